"""The process that hands transitions on, and where a subscription reads."""

from __future__ import annotations

import sys
from contextlib import suppress

import structlog
import uvloop

from deploy.health import HealthServer, Report
from deploy.processes.common import on_stop, told
from deploy.security.granted import require_rights
from deploy.security.rights import Process
from deploy.settings import Settings
from deploy.wiring import ladder_of, redis_of
from sinks.subscription.config import Subscription, Webhook
from sinks.subscription.run import Running, Source
from warroom.layer_snapshot import SnapshotConfig

log = structlog.get_logger(__name__)


def snapshot_config(settings: Settings) -> SnapshotConfig:
    """What it takes to write a snapshot of all users' layers. Raises LadderError."""
    return SnapshotConfig(
        redis=redis_of(settings),
        kafka=settings.kafka_client(),
        topic_prefix=settings.topic_prefix,
        partitions=settings.partitions,
        ladder=ladder_of(settings),
    )


def subscription_source(settings: Settings) -> Source:
    """Where a subscription reads transitions."""
    return Source(
        kafka={**settings.kafka_client(), "log_level": 2},
        topic=f"{settings.topic_prefix}transitions",
        accept_gap=settings.on_gap == "continue",
    )


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
    layers = {layer.id for layer in ladder_of(settings).layers}
    if unknown := subscription.wanted.layers_beside(layers):
        log.warning("layers are wanted that the ladder does not have", layers=unknown, subscription=subscription.subscription)
    running = Running(subscription, subscription_source(settings))
    on_stop(running.stop)
    return running


def _health_of(settings: Settings, running: Running) -> HealthServer:
    def report() -> Report:
        return Report(True, running.ready, {"waiting": running.waiting, "behind": running.behind, "error": running.trouble})

    return told(settings, "subscription", report)
