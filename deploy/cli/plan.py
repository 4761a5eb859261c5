"""plan: how many workers, partitions, how much memory and disk a load takes."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from deploy.capacity import BUSY, READERS, ROOM, Capacity, Load, reckon
from deploy.cli.common import Json, out, print_json, table
from deploy.unit_costs import MEASURED

_PEAK_OVER_ORDINARY = 56
"""As has been seen at a midnight of Double 11."""


def plan(
    events_per_second: Annotated[float, typer.Option("--events-per-second", min=0.001, help="Touchpoints a second on an ordinary day.")],
    users: Annotated[int, typer.Option("--users", min=1, help="Users ever seen, all brands together.")],
    peak: Annotated[
        float | None,
        typer.Option("--peak", help=f"Touchpoints a second at the highest; default: {_PEAK_OVER_ORDINARY} times an ordinary day's."),
    ] = None,
    kafka_days: Annotated[int, typer.Option("--kafka-days", min=1, help="How long Kafka keeps records.")] = 30,
    clickhouse_days: Annotated[int, typer.Option("--clickhouse-days", min=1, help="How long ClickHouse keeps rows.")] = 365,
    replication: Annotated[int, typer.Option("--replication", min=1, help="Copies of each record in Kafka.")] = 3,
    as_json: Json = False,
) -> None:
    """Reckon what a load takes, from measured unit costs: workers, partitions, Redis, Kafka, ClickHouse."""
    load = Load(
        events_per_second=events_per_second,
        peak=peak if peak is not None else events_per_second * _PEAK_OVER_ORDINARY,
        users=users,
        kafka_days=kafka_days,
        clickhouse_days=clickhouse_days,
        replication=replication,
    )
    found = reckon(load)
    if as_json:
        told = {"load": load, "capacity": found, "unit_costs": MEASURED}
        print_json(msgspec.to_builtins(told))
        return
    title = f"{users:,} users, {events_per_second:,.0f} events/s on an ordinary day, {load.peak:,.0f} at peak"
    out.print(table(title, ["what", "how much", "because"], lines(load, found)))
    out.print(f"Unit costs: {MEASURED.measured}, {MEASURED.machine}.", highlight=False, soft_wrap=True)


def lines(load: Load, found: Capacity) -> list[list[str]]:
    """What is printed, row by row."""
    cost = MEASURED
    return [
        ["workers", f"{found.workers:,}", f"one core each, {cost.worker_cpu_us:g} µs an event, {BUSY:.0%} busy at peak"],
        ["partitions", f"{found.partitions:,}", "two shards a worker or more; fixed once and for all"],
        ["Redis memory", _bytes(found.redis_memory), f"{cost.redis_bytes_a_user:g} bytes a user, and {ROOM - 1:.0%} room"],
        ["Redis masters", f"{found.redis_masters:,}", f"{cost.redis_cpu_us:g} µs an event; 32 GiB each at most; each with a replica"],
        ["Redis disk", _bytes(found.redis_disk), "the file doubles before it is rewritten beside itself; fsync at every step"],
        [
            "Kafka disk",
            _bytes(found.kafka_disk),
            f"{_written()} bytes an event, {load.kafka_days} ordinary days, {load.replication} copies",
        ],
        ["Kafka network in", f"{_bytes(found.kafka_in)}/s", f"at peak, {load.replication} copies"],
        ["Kafka network out", f"{_bytes(found.kafka_out)}/s", f"at peak: workers, and {READERS} readers of what they tell"],
        ["Kafka cores", f"{found.kafka_cores:,.1f}", f"{cost.kafka_cpu_us:g} µs an event and copy, {BUSY:.0%} busy at peak"],
        ["ClickHouse disk", _bytes(found.clickhouse_disk), f"{load.clickhouse_days} ordinary days, one copy"],
        ["ClickHouse cores", f"{found.clickhouse_cores:,.1f}", "for inserts; what people ask comes on top"],
        ["sink", f"{found.sink_events_per_second:,.0f} events/s", _sink(found)],
    ]


def _written() -> str:
    return f"{MEASURED.kafka_input_bytes + MEASURED.kafka_output_bytes:,.0f}"


def _sink(found: Capacity) -> str:
    if found.minutes_behind is None:
        return "one process, one core: too little for an ordinary day; give each brand a deployment of its own"
    if not found.minutes_behind:
        return "one process, one core: keeps up"
    return f"one process, one core: figures of a peak of ten minutes are whole {found.minutes_behind:,.0f} minutes after it"


def _bytes(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            break
        size /= 1024
    return f"{size:,.1f} {unit}"
