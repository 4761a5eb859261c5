"""Shards that are missing or stand still while others go on. Pure; a minute is judged when every shard has passed it, so one that stands
still holds all judging up, and without a word of it nobody would know."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from schemas.times import MINUTE_MS, to_rfc3339

IDLE_SECONDS = 60.0
"""A shard that has nothing to apply or store for so long rests."""
_STALE_SECONDS = 10.0
"""After so long without a look nobody knows who rests."""


class Shards:
    """Looks at what is stored, look after look. `now` is in seconds of a clock that never runs backwards."""

    def __init__(self) -> None:
        self._stored: Mapping[int, tuple[int, int]] = {}
        self._since: dict[int, tuple[int, float]] = {}
        self._resting: dict[int, tuple[int, float]] = {}
        self._looked = 0.0

    def look(self, now: float, stored: Mapping[int, tuple[int, int]], waiting: Collection[int]) -> None:
        """`stored`: (version, watermark) by shard. `waiting`: shards of which something is not applied or not stored; others may rest."""
        self._stored = stored
        versions = {shard: stored[shard][0] if shard in stored else 0 for shard in waiting}
        before = self._since
        self._since = {
            shard: before[shard] if shard in before and before[shard][0] == version else (version, now)
            for shard, version in versions.items()
        }
        rested, self._looked = self._resting, now
        self._resting = {
            shard: rested[shard] if shard in rested and rested[shard][0] == version else (version, now)
            for shard, (version, _) in stored.items()
            if shard not in waiting
        }

    def reached(self, now: float, stored: Mapping[int, tuple[int, int]], partitions: int, clock: int | None) -> int:
        """Up to when (epoch milliseconds) all shards have come; 0 where one has not begun. `clock` is the wall clock, None where events
        alone tell the time: then every shard counts.

        Else a shard that rests holds nobody back, as a source that is idle does not in Flink (`WatermarkStrategy.withIdleness`): its logs
        are read to their ends and all is stored, so it has nothing to tell of the past but what comes late. With that all is missing that
        its users did, so no rate is the lower for it. Where all rest, nothing is new.
        """
        whole = min((watermark for _, watermark in stored.values()), default=0) if len(stored) == partitions else 0
        if clock is None or now - self._looked > _STALE_SECONDS:
            return whole
        resting = {shard for shard, (_, since) in self._resting.items() if now - since >= IDLE_SECONDS}
        resting |= set(range(partitions)) - stored.keys() - self._since.keys()
        awake = [stored[shard][1] if shard in stored else 0 for shard in range(partitions) if shard not in resting]
        return max(whole, min(*awake, clock - MINUTE_MS)) if awake else whole

    def standing(self, now: float, seconds: float) -> list[str]:
        """What has not moved for so many seconds, in English."""
        still = [shard for shard, (_, since) in sorted(self._since.items()) if now - since >= seconds]
        return [self._told(shard) for shard in still]

    def _told(self, shard: int) -> str:
        if shard not in self._stored:
            return f"records of shard {shard} wait and it has no figures yet"
        return f"records of shard {shard} wait and its figures stand at {to_rfc3339(self._stored[shard][1])}"


def waiting(applied: Sequence[tuple[int, Sequence[int]]], ends: Sequence[Sequence[int]], stored: Mapping[int, tuple[int, int]]) -> set[int]:
    """Shards of which records are not applied, or steps not stored. `applied`: (version, offset of each input topic) by shard."""
    found = set()
    for shard, (version, offsets) in enumerate(applied):
        unread = shard < len(ends) and any(end > offset + 1 for end, offset in zip(ends[shard], offsets, strict=True))
        if unread or version > (stored[shard][0] if shard in stored else 0):
            found.add(shard)
    return found
