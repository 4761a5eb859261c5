"""From what is read now and then to what `freshness` asks: who answers, what moves, how far the sink is behind. The clock is passed in."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from warroom.live.freshness import Vitals

_REMEMBERED = 600
"""Samples of applied versions, about one a second: a sink that is further behind is at least so far behind."""


class Answering:
    """Whether a server answers. Times are seconds of a clock that never runs backwards."""

    def __init__(self, now: float, patience: float = 2.0) -> None:
        self._patience = patience
        self._good = now
        self._asked: float | None = None
        self._failing = False
        self.ever = False

    def asking(self, now: float) -> None:
        """A request is sent."""
        self._asked = now

    def answered(self, now: float) -> None:
        """It was answered."""
        self._good, self._asked, self._failing, self.ever = now, None, False, True

    def failed(self) -> None:
        """It was not, or with an error."""
        self._asked, self._failing = None, True

    def away(self, now: float) -> float | None:
        """Seconds since the last answer if requests fail or one is pending for long, else None."""
        hanging = self._asked is not None and now - self._asked > self._patience
        return now - self._good if self._failing or hanging else None


class Watch:
    """Follows the shards' versions, the logs' ends and what is stored, and says since when they stand still."""

    def __init__(self, now: float) -> None:
        self.clickhouse = Answering(now)
        self.redis = Answering(now)
        self.kafka = Answering(now)
        self._applied: list[tuple[int, list[int]]] | None = None
        self._moved = now
        self._samples: deque[tuple[float, list[int]]] = deque(maxlen=_REMEMBERED)
        self._stored: Mapping[int, int] | None = None
        self._ends: Sequence[Sequence[int]] | None = None
        self._grew = now

    def applied(self, now: float, shards: list[tuple[int, list[int]]]) -> None:
        """(version, applied offset of each input topic) of every shard, as Redis tells them."""
        self.redis.answered(now)
        if shards != self._applied:
            self._applied, self._moved = shards, now
            self._samples.append((now, [version for version, _ in shards]))

    def stored(self, now: float, versions: Mapping[int, int]) -> None:
        """The last step of each shard in ClickHouse."""
        self.clickhouse.answered(now)
        self._stored = versions
        while len(self._samples) > 1 and self._has(self._samples[0][1]):
            self._samples.popleft()

    def ends(self, now: float, ends: Sequence[Sequence[int]]) -> None:
        """The end of each input log: by shard, then by topic."""
        self.kafka.answered(now)
        if ends != self._ends:
            self._ends, self._grew = ends, now

    def vitals(self, now: float) -> Vitals:
        """What is known at this moment."""
        return Vitals(
            clickhouse_away=self.clickhouse.away(now),
            redis_away=self.redis.away(now),
            kafka_away=self.kafka.away(now),
            unread=self._unread(),
            applied_still=None if self._applied is None else now - self._moved,
            stored_lag=self._lag(now),
            quiet=None if self._ends is None else now - self._grew,
        )

    def _unread(self) -> int | None:
        if self._ends is None or self._applied is None:
            return None
        return sum(
            max(0, end - offset - 1)
            for ends, (_, offsets) in zip(self._ends, self._applied, strict=False)
            for end, offset in zip(ends, offsets, strict=True)
        )

    def _lag(self, now: float) -> float | None:
        if self._stored is None or not self._samples:
            return None
        missing = next((at for at, versions in self._samples if not self._has(versions)), None)
        return 0.0 if missing is None else now - missing

    def _has(self, versions: list[int]) -> bool:
        assert self._stored is not None
        return all(self._stored.get(shard, 0) >= version for shard, version in enumerate(versions))
