"""The long-running processes: each with its health server, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import threading

import structlog
import uvloop

from deploy.health import HealthServer, Report
from deploy.settings import Settings, faust_auth
from deploy.wiring import arm_crash_point, connections_of, ladder_of, process_name, sink_config, wall_clock, worker_config
from sinks.sink import Sink
from streams.worker import Health, Worker

log = structlog.get_logger(__name__)


def run_worker(settings: Settings) -> None:
    """Runs a worker until it is told to stop. Raises what made going on impossible."""
    uvloop.run(_worker(settings))


async def _worker(settings: Settings) -> None:
    arm_crash_point(settings)
    worker = Worker(worker_config(settings, process_name("worker")), connections_of(settings), wall_clock, faust_auth(settings.kafka))

    def report() -> Report:
        health, shards = worker.health()
        return Report(health is not Health.DEGRADED, health is Health.READY, {"state": health.value, "shards": shards})

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    with HealthServer(settings.http_host, settings.http_port, report) as server:
        log.info("worker starts", http=f"{settings.http_host}:{server.port}", ladder=settings.ladder, intake=settings.intake)
        await worker.run()


def run_sink(settings: Settings) -> None:
    """Runs the ClickHouse sink until it is told to stop. Raises what made going on impossible."""
    arm_crash_point(settings)
    sink = Sink(sink_config(settings), ladder_of(settings))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def report() -> Report:
        health = sink.health()
        return Report(health.ok, health.ready, {"detail": health.detail, "lag_records": health.lag_records})

    with HealthServer(settings.http_host, settings.http_port, report) as server:
        log.info("sink starts", http=f"{settings.http_host}:{server.port}", database=settings.clickhouse_database)
        sink.run(stop)
