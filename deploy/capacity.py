"""How much a deployment takes, from measured unit costs (`deploy.unit_costs`). Pure: a sum, with every assumption named here."""

from __future__ import annotations

from math import ceil

from msgspec import Struct

from deploy.unit_costs import MEASURED, UnitCosts

BUSY = 0.7
"""Of a core at peak: the rest is for a worker that is lost, a rebalance, and catching up after them."""
SHARDS_A_WORKER = 2
"""At least, so that shards can be shared anew evenly when a worker comes or goes."""
PARTITIONS_ROUNDED_TO = 12
ROOM = 1.25
"""Memory over what the state takes: fragmentation, and pages copied while Redis rewrites its file."""
LARGEST_MASTER = 32 * 2**30
"""Bytes of memory of one Redis master: beyond it, a restart that reads its file back takes many minutes."""
FILE_OF_STATE = 2.0
"""Redis' file over the state: it doubles until it is rewritten, and the new one is written beside it."""
READERS = 3
"""Of the output topics: the sink, the war room, one subscriber."""
_DAY_S = 86_400
_PEAK_MINUTES = 10


class Load(Struct, frozen=True, kw_only=True):
    """What is to be carried: events a second on an ordinary day and at the highest, users ever seen, and how it is kept."""

    events_per_second: float
    peak: float
    users: int
    kafka_days: int = 30
    clickhouse_days: int = 365
    replication: int = 3


class Capacity(Struct, frozen=True, kw_only=True):
    """What it takes. Bytes, cores, processes; `sink_events_per_second` is what one sink stores, `minutes_behind` how long after a peak of
    ten minutes it has caught up: 0 if it keeps up, None if it cannot even carry an ordinary day."""

    workers: int
    partitions: int
    redis_masters: int
    redis_memory: float
    redis_disk: float
    kafka_disk: float
    kafka_in: float
    kafka_out: float
    kafka_cores: float
    clickhouse_disk: float
    clickhouse_cores: float
    sink_events_per_second: float
    minutes_behind: float | None


def reckon(load: Load, costs: UnitCosts = MEASURED) -> Capacity:
    """The capacity for a load. Raises ValueError for one that makes no sense."""
    if load.events_per_second <= 0 or load.users <= 0 or load.peak < load.events_per_second:
        raise ValueError(
            f"expected users and events a second above 0, and a peak not below them; found {load.users:,} users, "
            f"{load.events_per_second:,.0f} events a second, peak {load.peak:,.0f}"
        )
    workers = _cores(load.peak, costs.worker_cpu_us)
    state = load.users * costs.redis_bytes_a_user
    written = costs.kafka_input_bytes + costs.kafka_output_bytes
    a_day = load.events_per_second * _DAY_S
    sink_rate = 1e6 / costs.sink_cpu_us
    return Capacity(
        workers=workers,
        partitions=_rounded(workers * SHARDS_A_WORKER, PARTITIONS_ROUNDED_TO),
        redis_masters=max(_cores(load.peak, costs.redis_cpu_us), ceil(state * ROOM / LARGEST_MASTER)),
        redis_memory=state * ROOM,
        redis_disk=state * (1 + FILE_OF_STATE),
        kafka_disk=a_day * written * load.kafka_days * load.replication,
        kafka_in=load.peak * written * load.replication,
        kafka_out=load.peak * (costs.kafka_input_bytes + READERS * costs.kafka_output_bytes),
        kafka_cores=load.peak * costs.kafka_cpu_us * load.replication / 1e6 / BUSY,
        clickhouse_disk=load.users * costs.clickhouse_bytes_a_user + load.clickhouse_days * _stored_a_day(a_day, costs),
        clickhouse_cores=min(load.peak, sink_rate) * costs.clickhouse_cpu_us / 1e6 / BUSY,
        sink_events_per_second=sink_rate,
        minutes_behind=_behind(load, sink_rate),
    )


def _stored_a_day(events: float, costs: UnitCosts) -> float:
    """Bytes of a day in ClickHouse: a row for each transition and order, and sums by the minute, which do not grow with events."""
    rows = costs.transitions_an_event * costs.clickhouse_bytes_a_transition + costs.orders_an_event * costs.clickhouse_bytes_an_order
    return events * rows + _DAY_S / 60 * costs.clickhouse_bytes_a_minute


def _behind(load: Load, sink_rate: float) -> float | None:
    if load.events_per_second >= sink_rate:
        return None
    return _PEAK_MINUTES * max(0.0, load.peak - sink_rate) / (sink_rate - load.events_per_second)


def _cores(events_per_second: float, cpu_us: float) -> int:
    return max(1, ceil(events_per_second * cpu_us / 1e6 / BUSY))


def _rounded(count: int, to: int) -> int:
    return ceil(count / to) * to
