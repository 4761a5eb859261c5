"""The worker process."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import structlog
import uvloop

from deploy.health import Report
from deploy.processes.common import told
from deploy.security.granted import require_rights
from deploy.security.rights import Process
from deploy.settings import Settings, SettingsError
from deploy.wiring import arm_crash_point, connections_of, ladder_of, process_name, wall_clock
from streams.app import GroupConfig
from streams.stage import StepConfig
from streams.worker import Health, Worker, WorkerConfig

if TYPE_CHECKING:
    from streams.tracing import Tracing

log = structlog.get_logger(__name__)

END_S = 15.0
"""Seconds after SIGTERM within which a worker ends; it gives itself ten."""


def worker_config(settings: Settings, name: str) -> WorkerConfig:
    """What the worker `name` needs to know. Raises LadderError."""
    return WorkerConfig(
        kafka=settings.kafka_client(),
        group=GroupConfig(
            group=settings.group,
            bootstrap=settings.kafka_bootstrap,
            session_timeout=settings.session_timeout,
            # A worker hears only with its next heartbeat that shards are to be shared anew; until then all of them stand still.
            heartbeat=min(0.5, settings.session_timeout / 3),
            # Nor do they stand still any longer for one who does not answer than for one who has died.
            rebalance_timeout=settings.session_timeout,
        ),
        topic_prefix=settings.topic_prefix,
        key_prefix=settings.redis_prefix,
        worker=name,
        ladder=ladder_of(settings),
        step=StepConfig(
            partitions=settings.partitions,
            strict=settings.intake == "strict",
            event_clock=settings.clock == "event" or settings.intake == "strict",
            continue_on_gap=settings.on_gap == "continue",
            any_ladder=settings.on_ladder_change == "recompute",
            continue_on_rewind=settings.on_rewind == "continue",
            replicas=settings.redis_replicas,
            replica_timeout=settings.redis_replica_timeout,
            topic_ids=settings.topic_ids,
        ),
        check_future=settings.future_check,
        look_s=min(30.0, 3 * settings.session_timeout),
    )


def run_worker(settings: Settings) -> None:
    """Runs a worker until it is told to stop. Raises what made going on impossible."""
    require_rights(settings, Process.WORKER)
    uvloop.run(_worker(settings))


async def _worker(settings: Settings) -> None:
    arm_crash_point(settings)
    name = process_name("worker")
    with _tracing(settings, name) as tracing:
        await _run_worker(settings, Worker(worker_config(settings, name), connections_of(settings), wall_clock, tracing))


def _tracing(settings: Settings, name: str) -> AbstractContextManager[Tracing | None]:
    if not settings.otlp_endpoint:
        return nullcontext()
    try:
        from deploy.tracing import tracing
    except ImportError as error:
        raise SettingsError(f"otlp_endpoint: expected OpenTelemetry (pip install 'rflow[tracing]'), found: {error}") from error
    return tracing(settings, name)


def end_within(seconds: float, state: str) -> None:
    """Ends the process if it is still there by then: a library that waits for a server without end must not hold up whoever stops it."""

    def end() -> None:
        log.error("worker does not end; it is ended as by kill -9, which loses nothing", seconds=seconds, state=state)
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


async def _run_worker(settings: Settings, worker: Worker) -> None:
    def report() -> Report:
        health, shards = worker.health()
        return Report(health is not Health.DEGRADED, health is Health.READY, {"state": health.value, "shards": shards})

    def stop() -> None:
        worker.stop()
        end_within(END_S, str(worker.health()[0].value))

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    with told(settings, "worker", report) as server:
        log.info("worker starts", http=f"{settings.http_host}:{server.port}", ladder=settings.ladder, intake=settings.intake)
        await worker.run()
