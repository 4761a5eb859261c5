"""Is what is shown the present, and if not, what stands still and why? A pure function of what is known."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Reason(StrEnum):
    """Why figures do not move, the most telling first."""

    CLICKHOUSE_AWAY = "clickhouse_away"
    REDIS_AWAY = "redis_away"
    KAFKA_AWAY = "kafka_away"
    WORKER_DOWN = "worker_down"
    SINK_BEHIND = "sink_behind"
    WORKER_BEHIND = "worker_behind"
    NO_EVENTS = "no_events"


class Vitals(Struct, frozen=True, kw_only=True):
    """What is known of the way from the topics to the figures. Seconds are of the wall clock; None is not known.

    `*_away` is for how long a server has not answered. `unread` are the input records that are in Kafka and not yet applied,
    `applied_still` for how long no shard has taken a step or moved an offset. `stored_lag` is the age of the oldest step that is applied
    and not stored, 0 if all are. `quiet` is for how long no input log has grown.
    """

    clickhouse_away: float | None = None
    redis_away: float | None = None
    kafka_away: float | None = None
    unread: int | None = None
    applied_still: float | None = None
    stored_lag: float | None = None
    quiet: float | None = None


class Limits(Struct, frozen=True, kw_only=True):
    """From how many seconds, or records, on something is said."""

    away: float = 3.0
    worker_down: float = 5.0
    unread: int = 50_000
    stored_lag: float = 5.0
    quiet: float = 60.0


class Standstill(Struct, frozen=True, kw_only=True):
    """One thing that stands still, for how many seconds, and in words."""

    reason: Reason
    seconds: float
    detail: str


class Freshness(Struct, frozen=True, kw_only=True):
    """`live` while nothing stands still; else `causes`, the most telling first."""

    live: bool
    causes: list[Standstill]


def freshness(vitals: Vitals, limits: Limits = Limits()) -> Freshness:  # noqa: B008 - frozen
    """What stands still. What cannot be known because a server is away is not guessed at."""
    causes = [found for look in (_away, _worker, _sink, _events) for found in look(vitals, limits)]
    order = list(Reason)
    causes.sort(key=lambda cause: order.index(cause.reason))
    return Freshness(live=not causes, causes=causes)


def _away(v: Vitals, limits: Limits) -> list[Standstill]:
    said = (
        (Reason.CLICKHOUSE_AWAY, v.clickhouse_away, "ClickHouse does not answer: figures stand as they were"),
        (Reason.REDIS_AWAY, v.redis_away, "Redis does not answer: the workers wait for it, headcounts stand as they were"),
        (Reason.KAFKA_AWAY, v.kafka_away, "Kafka does not answer: nothing comes in"),
    )
    return [_of(reason, seconds, text) for reason, seconds, text in said if seconds is not None and seconds >= limits.away]


def _worker(v: Vitals, limits: Limits) -> list[Standstill]:
    """No heartbeat is trusted, only work: records wait, and no step is taken."""
    if _is_away(v.redis_away, limits) or not v.unread:
        return []
    if v.applied_still is not None and v.applied_still >= limits.worker_down:
        return [_of(Reason.WORKER_DOWN, v.applied_still, f"{v.unread} records wait and no worker takes them")]
    if v.unread >= limits.unread:
        return [_of(Reason.WORKER_BEHIND, 0.0, f"the workers are {v.unread} records behind")]
    return []


def _sink(v: Vitals, limits: Limits) -> list[Standstill]:
    if _is_away(v.clickhouse_away, limits) or v.stored_lag is None or v.stored_lag < limits.stored_lag:
        return []
    return [_of(Reason.SINK_BEHIND, v.stored_lag, f"the sink has not stored what was applied {v.stored_lag:.0f} s ago")]


def _events(v: Vitals, limits: Limits) -> list[Standstill]:
    if _is_away(v.kafka_away, limits) or v.unread or v.quiet is None or v.quiet < limits.quiet:
        return []
    return [_of(Reason.NO_EVENTS, v.quiet, f"no touchpoint has come for {v.quiet:.0f} s")]


def _is_away(seconds: float | None, limits: Limits) -> bool:
    return seconds is not None and seconds >= limits.away


def _of(reason: Reason, seconds: float, detail: str) -> Standstill:
    return Standstill(reason=reason, seconds=round(seconds, 1), detail=detail)
