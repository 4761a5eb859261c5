"""What time it is in a deployment whose clock is its events: a replay or a simulation."""

from __future__ import annotations

from collections.abc import Callable

from redis.exceptions import RedisError

from warroom.promotions.errors import DeskAway
from warroom.states import States


class EventClock:
    """How far the stream has come: the watermark of the shard furthest ahead; `wall()` before there is one. Epoch milliseconds."""

    def __init__(self, states: States, partitions: int, wall: Callable[[], int]) -> None:
        self._states = states
        self._partitions = partitions
        self._wall = wall

    def __call__(self) -> int:
        """Now. Raises DeskAway."""
        try:
            metas = self._states.metas(self._partitions)
        except (RedisError, OSError) as error:
            raise DeskAway(f"Redis does not answer: {error}") from error
        return max((meta.watermark for meta in metas if meta.watermark is not None), default=None) or self._wall()

    def close(self) -> None:
        """Ends the connection."""
        self._states.close()
