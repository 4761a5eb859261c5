"""The metrics of one shard, their labels bound once."""

from __future__ import annotations

from streams import metrics
from streams.fold import Fold
from streams.meta import Moving


class ShardMetrics:
    """What a shard tells of itself; `remove` when it is let go."""

    def __init__(self, number: int, channels: frozenset[str]) -> None:
        """`channels` are those that junk is told by; all others together are `other`."""
        shard = str(number)
        self._shard = shard
        self._channels = channels
        self.decode = metrics.STEP_SECONDS.labels("decode")
        self.conflicts = metrics.STEP_CONFLICTS.labels(shard)
        self.lost = metrics.STEP_UNKNOWN.labels(shard)
        self._steps = metrics.STEPS.labels(shard)
        self._read = metrics.STEP_SECONDS.labels("read")
        self._fold = metrics.STEP_SECONDS.labels("fold")
        self._apply = metrics.STEP_SECONDS.labels("apply")
        self._publish = metrics.STEP_SECONDS.labels("publish")
        self._outbox = metrics.OUTBOX_DEPTH.labels(shard)
        self._watermark = metrics.WATERMARK.labels(shard)

    def step(self, fold: Fold, unacknowledged: int, read: float, folded: float, applied: float, published: float) -> None:
        """A step was taken; how long its phases were, in seconds, and how many outbox entries are not acknowledged."""
        self._steps.inc()
        self._read.observe(read)
        self._fold.observe(folded)
        self._apply.observe(applied)
        self._publish.observe(published)
        self._outbox.set(unacknowledged)
        if fold.meta.watermark is not None:
            self._watermark.set(fold.meta.watermark / 1000)
        counts = fold.counts
        events = {"applied": counts.applied(), "duplicate": counts.duplicates, "late": counts.late, "forwarded": counts.forwarded}
        for outcome, by_type in events.items():
            for type_, n in by_type.items():
                metrics.EVENTS.labels(type_, outcome).inc(n)
        metrics.EVENTS.labels("tick", "tick").inc(counts.ticks)
        metrics.EVENTS.labels("unknown", "dead_letter").inc(fold.reasons.total())
        for reason, n in fold.reasons.items():
            metrics.DEAD_LETTERS.labels(reason).inc(n)
        for outcome, n in counts.replays.items():
            metrics.REPLAYS.labels(outcome).inc(n)
        for flow, n in fold.flows.items():
            metrics.TRANSITIONS.labels(*flow).inc(n)
        for (_, _, type_, channel), n in counts.junk.items():
            metrics.EVENTS.labels(type_, "junk").inc(n)
            metrics.JUNK.labels(channel if channel in self._channels else "other").inc(n)
        for what, n in counts.dropped.items():
            metrics.DROPPED_EVIDENCE.labels(what).inc(n)

    def moved(self, before: Moving, after: Moving) -> None:
        """A stretch of the roster has been moved to a new ladder."""
        moved = after.moved - before.moved
        metrics.RECOMPUTED.labels("moved").inc(moved)
        metrics.RECOMPUTED.labels("stayed").inc(after.index - before.index - moved)
        metrics.RECOMPUTED_SHORT.inc(after.short - before.short)

    def rewound(self, versions: int) -> None:
        """So many published versions were forgotten by Redis, and the shard goes on above them."""
        metrics.REWINDS.labels(self._shard).inc()
        metrics.REWOUND_VERSIONS.labels(self._shard).inc(versions)

    def lost_records(self, topic: str, records: int) -> None:
        """So many records of a log were gone before they were applied, and the shard goes on without them."""
        metrics.GAP_RECORDS.labels(self._shard, topic).inc(records)

    def remove(self) -> None:
        """The shard's gauges are another worker's to tell."""
        for gauge in (metrics.OUTBOX_DEPTH, metrics.WATERMARK, metrics.REDIS_DURABLE):
            try:
                gauge.remove(self._shard)
            except KeyError:
                continue
