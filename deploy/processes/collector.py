"""The collector's process."""

from __future__ import annotations

import signal
from pathlib import Path

import structlog
import uvicorn

from deploy.collector_tally import MetricsTally
from deploy.health import Report
from deploy.processes.common import GRACE_SECONDS, listen, told
from deploy.security.granted import require_rights
from deploy.security.rights import Process
from deploy.settings import Settings, SettingsError
from deploy.wiring import pseudonyms_of, validator_of
from sources.collector.app import App, with_cors
from sources.collector.collector import Bounds, Collector
from sources.collector.delivery import Delivery
from sources.collector.sources_file import SourcesFile

log = structlog.get_logger(__name__)
_STALL_SECONDS = 3.0


def collector_bounds(settings: Settings) -> Bounds:
    """What the collector may hold."""
    return Bounds(
        body=settings.collect_body_bytes,
        in_flight_bytes=max(settings.collect_in_flight_bytes, settings.collect_body_bytes),
        in_flight_records=settings.collect_in_flight_records,
    )


def collector_sources(settings: Settings) -> Path:
    """The file of who may send what. Raises SettingsError where none is named."""
    if not settings.collect_sources:
        raise SettingsError("collect_sources: expected the file of who may send what (`rflow collect token NAME` prints how it begins)")
    return Path(settings.collect_sources).expanduser().resolve()


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
    listener = listen("the collector", settings.collect_host, settings.collect_port, "collect_port")
    server = uvicorn.Server(
        uvicorn.Config(
            with_cors(app, origins) if origins else app,
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=bounds.in_flight_records,
            timeout_graceful_shutdown=round(settings.collect_timeout + GRACE_SECONDS),
        )
    )

    def report() -> Report:
        ready = server.started and not server.should_exit and delivery.ready
        return Report(
            not delivery.trouble, ready, {"kafka": delivery.trouble or "ok", "away": delivery.away, "in_flight": delivery.in_flight}
        )

    with told(settings, "collector", report) as health:
        address = f"http://{settings.collect_host}:{listener.getsockname()[1]}"
        log.info("collector starts", address=address, http=f"{settings.http_host}:{health.port}", sources=sources.names())
        # uvicorn raises a signal again once it has ended as told: that is no failure.
        signal.signal(signal.SIGTERM, lambda *_: None)
        server.run(sockets=[listener])
