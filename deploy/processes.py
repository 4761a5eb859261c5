"""The long-running processes: each with its health server, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import uvicorn
import uvloop

from deploy.collector_tally import MetricsTally
from deploy.health import HealthServer, Report
from deploy.security.granted import require_rights
from deploy.security.rights import Process
from deploy.settings import Settings, SettingsError
from deploy.wiring import (
    arm_crash_point,
    collector_bounds,
    collector_sources,
    connections_of,
    ladder_of,
    process_name,
    pseudonyms_of,
    room_config,
    sink_config,
    subscription_source,
    validator_of,
    wall_clock,
    watch_config,
    worker_config,
)
from sinks.channels.file import load_channels
from sinks.sink import Sink
from sinks.subscription.config import Subscription, Webhook
from sinks.subscription.run import Running
from sources.collector.app import App, with_cors
from sources.collector.collector import Collector
from sources.collector.delivery import Delivery
from sources.collector.sources_file import SourcesFile
from streams import metrics
from streams.worker import Health, Worker
from warroom.alerts.book import opened
from warroom.alerts.outlet import Outlet
from warroom.alerts.topic import AlertTopic
from warroom.alerts.watch import Watch
from warroom.auth.accounts import AccountsFile
from warroom.web.app import make_app

if TYPE_CHECKING:
    from streams.tracing import Tracing

log = structlog.get_logger(__name__)

_STALE_SECONDS = 30.0
_GRACE_SECONDS = 5.0
_STALL_SECONDS = 3.0


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


async def _run_worker(settings: Settings, worker: Worker) -> None:
    def report() -> Report:
        health, shards = worker.health()
        return Report(health is not Health.DEGRADED, health is Health.READY, {"state": health.value, "shards": shards})

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    with _told(settings, "worker", report) as server:
        log.info("worker starts", http=f"{settings.http_host}:{server.port}", ladder=settings.ladder, intake=settings.intake)
        await worker.run()


def run_sink(settings: Settings) -> None:
    """Runs the ClickHouse sink until it is told to stop. Raises what made going on impossible."""
    require_rights(settings, Process.SINK)
    arm_crash_point(settings)
    sink = Sink(sink_config(settings), ladder_of(settings))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def report() -> Report:
        health = sink.health()
        return Report(health.ok, health.ready, {"detail": health.detail, "lag_records": health.lag_records})

    with _told(settings, "sink", report) as server:
        log.info("sink starts", http=f"{settings.http_host}:{server.port}", database=settings.clickhouse_database)
        sink.run(stop)


def run_webhook(settings: Settings, subscription: Subscription, webhook: Webhook) -> None:
    """Hands transitions on to a webhook until it is told to stop. Raises what made going on impossible."""
    running = _subscription(settings, subscription)
    with _health_of(settings, running) as server:
        log.info("subscription starts", http=f"{settings.http_host}:{server.port}", subscription=subscription.subscription, to=webhook.url)
        uvloop.run(running.to_webhook(webhook))


def run_lines(settings: Settings, subscription: Subscription, limit: int | None) -> None:
    """Writes transitions to standard output until it is told to stop, or nobody reads on. Raises what made going on impossible."""
    running = _subscription(settings, subscription)
    with suppress(BrokenPipeError), _health_of(settings, running):
        running.to_lines(sys.stdout.buffer, limit)


def _subscription(settings: Settings, subscription: Subscription) -> Running:
    require_rights(settings, Process.SUBSCRIBER)
    running = Running(subscription, subscription_source(settings))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: running.stop())
    return running


def _health_of(settings: Settings, running: Running) -> HealthServer:
    def report() -> Report:
        return Report(True, running.ready, {"waiting": running.waiting, "behind": running.behind, "error": running.trouble})

    return _told(settings, "subscription", report)


def _told(settings: Settings, process: str, report: Callable[[], Report]) -> HealthServer:
    """The health server of a process, which also tells what it is."""
    metrics.PROCESS.labels(process, version("rflow")).set(1)
    metrics.PARTITIONS.set(settings.partitions)
    return HealthServer(settings.http_host, settings.http_port, report)


def run_warroom(settings: Settings) -> None:
    """Serves the war room until it is told to stop. Raises SettingsError, or OSError if the port is taken."""
    config = room_config(settings)
    require_rights(settings, Process.WARROOM)
    if config.accounts is not None:
        AccountsFile(config.accounts).read()  # now, and not at the first request
    listener = _listen("the war room", settings.warroom_host, settings.warroom_port, "warroom_port")
    server = uvicorn.Server(
        uvicorn.Config(
            make_app(config, ladder_of(settings)),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(settings.warroom_proxies),
            forwarded_allow_ips=settings.warroom_proxies or None,
            timeout_graceful_shutdown=2,
        )
    )

    def report() -> Report:
        return Report(True, server.started, {})

    with _told(settings, "warroom", report) as health:
        address = f"http://{settings.warroom_host}:{listener.getsockname()[1]}"
        log.info("war room starts", address=address, http=f"{settings.http_host}:{health.port}", accounts=config.accounts is not None)
        server.run(sockets=[listener])


def run_alerts(settings: Settings) -> None:
    """Judges alerts and sends them until it is told to stop. Raises RulesError or ChannelsError for a file that cannot be used."""
    config = watch_config(settings)
    require_rights(settings, Process.ALERTS)
    channels = load_channels(Path(settings.alert_channels).expanduser()) if settings.alert_channels else []
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with opened(config.redis) as book:
        topic = AlertTopic(settings.kafka_client(), settings.topic_prefix)
        watch = Watch(config, ladder_of(settings), book, wall_clock)
        outlets = [Outlet(topic, book, wall_clock, to_all=True), *(Outlet(channel, book, wall_clock) for channel in channels)]
        threads = [threading.Thread(target=one.run, args=(stop,), name=f"alerts-{one.channel.name}", daemon=True) for one in outlets]

        def report() -> Report:
            fresh = time.monotonic() - watch.looked < _STALE_SECONDS
            return Report(fresh or not watch.looked, bool(watch.looked), {"channels": [one.channel.name for one in outlets]})

        with _told(settings, "alerts", report) as server:
            log.info("alerts start", http=f"{settings.http_host}:{server.port}", channels=[one.name for one in channels])
            for thread in threads:
                thread.start()
            watch.run(stop)
            for thread in threads:
                thread.join(_GRACE_SECONDS)
        topic.close()


def run_collector(settings: Settings) -> None:
    """Takes touchpoints over HTTP until it is told to stop. Raises SettingsError, SourcesError, or OSError if the port is taken."""
    require_rights(settings, Process.COLLECTOR)
    tally, bounds = MetricsTally(), collector_bounds(settings)
    sources = SourcesFile(collector_sources(settings), tally)
    delivery = Delivery(
        settings.kafka_client(),
        tally,
        prefix=settings.topic_prefix,
        partitions=settings.partitions,
        timeout=settings.collect_timeout,
        stall=_STALL_SECONDS,
        records=bounds.in_flight_records,
    )
    collector = Collector(delivery, validator_of(settings), tally, settings.partitions, bounds, pseudonyms_of(settings))
    app = App(collector, delivery, sources, tally)
    origins = [origin.strip() for origin in settings.collect_origins.split(",") if origin.strip()]
    listener = _listen("the collector", settings.collect_host, settings.collect_port, "collect_port")
    server = uvicorn.Server(
        uvicorn.Config(
            with_cors(app, origins) if origins else app,
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=bounds.in_flight_records,
            timeout_graceful_shutdown=round(settings.collect_timeout + _GRACE_SECONDS),
        )
    )

    def report() -> Report:
        ready = server.started and not server.should_exit and delivery.ready
        return Report(
            not delivery.trouble, ready, {"kafka": delivery.trouble or "ok", "away": delivery.away, "in_flight": delivery.in_flight}
        )

    with _told(settings, "collector", report) as health:
        address = f"http://{settings.collect_host}:{listener.getsockname()[1]}"
        log.info("collector starts", address=address, http=f"{settings.http_host}:{health.port}", sources=sources.names())
        # uvicorn raises a signal again once it has ended as told: that is no failure.
        signal.signal(signal.SIGTERM, lambda *_: None)
        server.run(sockets=[listener])


def _listen(what: str, host: str, port: int, setting: str) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise OSError(f"{what} cannot be served at {host}:{port}: {error.strerror}; set {setting}") from error
    return listener
