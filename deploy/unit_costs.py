"""What an event and a user cost, as measured: the one place from which `rflow plan` and deploy/CAPACITY.md reckon.

CPU of worker, Redis and Kafka, and bytes a user, are those of bench/README.md (`python -m bench`); the rest is what
`python -m bench.unit_costs` prints of 600,000 events. Measure anew after a change that
could move them, and on hardware of your own.
"""

from __future__ import annotations

from msgspec import Struct


class UnitCosts(Struct, frozen=True, kw_only=True):
    """Of one event unless the name says otherwise: microseconds of CPU, bytes, shares."""

    measured: str
    machine: str
    worker_cpu_us: float
    redis_cpu_us: float
    kafka_cpu_us: float
    sink_cpu_us: float
    clickhouse_cpu_us: float
    redis_bytes_a_user: float
    kafka_input_bytes: float
    kafka_output_bytes: float
    transitions_an_event: float
    orders_an_event: float
    clickhouse_bytes_a_transition: float
    clickhouse_bytes_an_order: float
    clickhouse_bytes_a_user: float
    clickhouse_bytes_a_minute: float


MEASURED = UnitCosts(
    measured="2026-11-22",
    machine="Intel Xeon, 2 cores, 23.5 GiB",
    worker_cpu_us=17.61,
    redis_cpu_us=3.44,
    kafka_cpu_us=2.08,
    sink_cpu_us=15.27,
    clickhouse_cpu_us=21.95,
    redis_bytes_a_user=280.4,
    kafka_input_bytes=199.5,
    kafka_output_bytes=94.7,
    transitions_an_event=0.3188,
    orders_an_event=0.1961,
    clickhouse_bytes_a_transition=53.9,
    clickhouse_bytes_an_order=64.9,
    clickhouse_bytes_a_user=19.0,
    clickhouse_bytes_a_minute=23361.8,
)
