"""The process of the ClickHouse sink."""

from __future__ import annotations

import threading
from dataclasses import replace

import structlog

from deploy.health import Report
from deploy.processes.common import on_stop, told
from deploy.security.granted import require_rights
from deploy.security.rights import Process
from deploy.settings import Settings
from deploy.wiring import arm_crash_point, clickhouse_of, ladder_of
from sinks.config import OnGap, SinkConfig
from sinks.sink import Sink

log = structlog.get_logger(__name__)


def sink_config(settings: Settings) -> SinkConfig:
    """What the sink needs to know."""
    return SinkConfig(
        kafka=settings.kafka_client(),
        # A request that is not answered is repeated, having looked what came of it; a dead connection is not waited for any longer.
        clickhouse=replace(clickhouse_of(settings), timeout=8),
        partitions=settings.partitions,
        topic_prefix=settings.topic_prefix,
        group=f"{settings.group}-sink",
        on_gap=OnGap(settings.on_gap),
        linger=settings.sink_linger,
    )


def run_sink(settings: Settings) -> None:
    """Runs the ClickHouse sink until it is told to stop. Raises what made going on impossible."""
    require_rights(settings, Process.SINK)
    arm_crash_point(settings)
    sink = Sink(sink_config(settings), ladder_of(settings))
    stop = threading.Event()
    on_stop(stop.set)

    def report() -> Report:
        health = sink.health()
        return Report(health.ok, health.ready, {"detail": health.detail, "lag_records": health.lag_records})

    with told(settings, "sink", report) as server:
        log.info("sink starts", http=f"{settings.http_host}:{server.port}", database=settings.clickhouse_database)
        sink.run(stop)
