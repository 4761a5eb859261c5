"""The process that judges alerts and sends them."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import structlog

from deploy.health import Report
from deploy.processes.common import GRACE_SECONDS, on_stop, told
from deploy.security.granted import require_rights
from deploy.security.rights import Process
from deploy.settings import Settings
from deploy.wiring import clickhouse_of, ladder_of, redis_of, wall_clock
from sinks.channels.file import load_channels
from warroom.alerts.book import opened
from warroom.alerts.outlet import Outlet
from warroom.alerts.topic import AlertTopic
from warroom.alerts.watch import Watch, WatchConfig

log = structlog.get_logger(__name__)
_STALE_SECONDS = 30.0


def watch_config(settings: Settings) -> WatchConfig:
    """Where alerts are judged from."""
    return WatchConfig(
        clickhouse=replace(clickhouse_of(settings), timeout=12),
        redis=redis_of(settings),
        kafka=settings.kafka_client(),
        topic_prefix=settings.topic_prefix,
        partitions=settings.partitions,
        rules=Path(settings.alert_rules).expanduser().resolve() if settings.alert_rules else None,
        link=settings.alert_link,
        event_clock=settings.clock == "event" or settings.intake == "strict",
    )


def run_alerts(settings: Settings) -> None:
    """Judges alerts and sends them until it is told to stop. Raises RulesError or ChannelsError for a file that cannot be used."""
    config = watch_config(settings)
    require_rights(settings, Process.ALERTS)
    channels = load_channels(Path(settings.alert_channels).expanduser()) if settings.alert_channels else []
    stop = threading.Event()
    on_stop(stop.set)
    with opened(config.redis) as book:
        topic = AlertTopic(settings.kafka_client(), settings.topic_prefix)
        watch = Watch(config, ladder_of(settings), book, wall_clock)
        outlets = [Outlet(topic, book, wall_clock, to_all=True), *(Outlet(channel, book, wall_clock) for channel in channels)]
        threads = [threading.Thread(target=one.run, args=(stop,), name=f"alerts-{one.channel.name}", daemon=True) for one in outlets]

        def report() -> Report:
            fresh = time.monotonic() - watch.looked < _STALE_SECONDS
            return Report(fresh or not watch.looked, bool(watch.looked), {"channels": [one.channel.name for one in outlets]})

        with told(settings, "alerts", report) as server:
            log.info("alerts start", http=f"{settings.http_host}:{server.port}", channels=[one.name for one in channels])
            for thread in threads:
                thread.start()
            watch.run(stop)
            for thread in threads:
                thread.join(GRACE_SECONDS)
        topic.close()
