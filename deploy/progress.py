"""How far shards and sink have come: what a replay waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from redis.exceptions import RedisError

from deploy.check import StateReader
from deploy.settings import Settings
from deploy.wiring import clickhouse_of, ladder_of
from schemas.touchpoint import KINDS
from sinks.errors import SinkError
from streams.errors import RflowError
from streams.ladder import Rules
from streams.meta import Meta
from warroom.star import Star

Log = tuple[str, int]
_POLL_S = 0.05


class Progress:
    """Watches Redis for what is applied and ClickHouse for what is stored."""

    def __init__(self, settings: Settings, *, patience_s: float = 180.0) -> None:
        self._settings = settings
        self._patience_s = patience_s
        self._states = StateReader(settings)
        self._star: Star | None = None
        self._rules = Rules(ladder_of(settings))
        self._index = {settings.topic_prefix + kind.topic: i for i, kind in enumerate(KINDS)}

    def close(self) -> None:
        """Ends the connections."""
        self._states.close()
        if self._star is not None:
            self._star.close()

    async def wait(self, produced: Mapping[Log, int]) -> None:
        """Returns when every log is applied up to its end offset (exclusive) and the steps that did so are stored.

        Raises RflowError when nothing moves for `patience_s` seconds.
        """
        await self._until(lambda metas: self._is_applied(produced, metas), "applied")
        await self._stored()

    async def settled(self) -> None:
        """Returns when every shard has swept to the last turn and all its steps are stored."""
        await self._until(self._is_swept, "swept")
        await self._stored()

    async def _stored(self) -> None:
        versions = [meta.version for meta in await self._metas()]
        seen, since = -1, _now()
        while True:
            try:
                stored = await asyncio.to_thread(self._stored_versions)
            except SinkError:
                stored = [-1] * len(versions)
            if all(have >= want for have, want in zip(stored, versions, strict=True)):
                return
            if sum(stored) != seen:
                seen, since = sum(stored), _now()
            self._lose_patience(since, f"expected ClickHouse to store the shards' versions {versions}, found {stored}")
            await asyncio.sleep(_POLL_S)

    def _stored_versions(self) -> list[int]:
        if self._star is None:
            self._star = Star(clickhouse_of(self._settings))
        found = self._star.stored()
        return [found[shard].version if shard in found else 0 for shard in range(self._settings.partitions)]

    async def _until(self, holds: object, what: str) -> None:
        assert callable(holds)
        seen, since = "", _now()
        while True:
            metas = await self._metas()
            if metas and holds(metas):
                return
            state = str([(meta.version, meta.offsets) for meta in metas])
            if state != seen:
                seen, since = state, _now()
            self._lose_patience(since, f"expected all records to be {what}, found the shards at {state}; see the worker's log")
            await asyncio.sleep(_POLL_S)

    async def _metas(self) -> list[Meta]:
        try:
            return await asyncio.to_thread(lambda: [self._states.meta(shard) for shard in range(self._settings.partitions)])
        except (RedisError, OSError):
            return []

    def _is_applied(self, produced: Mapping[Log, int], metas: list[Meta]) -> bool:
        return all(metas[partition].offsets[self._index[topic]] >= end - 1 for (topic, partition), end in produced.items())

    def _is_swept(self, metas: list[Meta]) -> bool:
        return all(
            meta.watermark is None or (meta.sweeping is None and (meta.swept_to or 0) >= self._rules.last_turn(meta.watermark))
            for meta in metas
        )

    def _lose_patience(self, since: float, why: str) -> None:
        if _now() - since > self._patience_s:
            raise RflowError(f"{why} after {self._patience_s:.0f} s without progress")


def _now() -> float:
    return asyncio.get_running_loop().time()
