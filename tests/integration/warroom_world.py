"""What the war room's tests stand on: a simulated day that went through a real worker and a real sink."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from schemas.alert import Alert, AlertState, Flow, Severity
from schemas.ladder_file import load_ladder
from schemas.rollup import OrderRow
from schemas.times import HOUR_MS, MINUTE_MS, to_rfc3339
from schemas.transition import Transition
from sinks.config import ClickHouse
from sources.simulator.config import SimulatorConfig
from sources.simulator.day import PromotionDay
from tests.integration.sink_config import config
from tests.integration.sink_world import run_until_stored
from tests.workers import Deployment
from warroom.live.live import LiveConfig
from warroom.states import RedisConfig
from warroom.web.room import RoomConfig

LADDER = load_ladder("5r")
DATABASE = "warroom_day"
BRAND = "acme"


@dataclass
class Day:
    """The deployment, where its figures are, and what its topics say of the brand; of its alerts one is over and one open."""

    deployment: Deployment
    clickhouse: ClickHouse
    watermark: int
    moves: list[Transition] = field(default_factory=list)
    orders: list[OrderRow] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)

    def live(self, **given: Any) -> LiveConfig:
        """Where the war room asks."""
        settings = self.deployment.settings
        values: dict[str, Any] = {
            "clickhouse": self.clickhouse,
            "redis": RedisConfig(url=settings.redis_url.get_secret_value(), prefix=settings.redis_prefix),
            "kafka": {"bootstrap.servers": self.deployment.bootstrap, "log_level": 0},
            "topic_prefix": settings.topic_prefix,
            "partitions": settings.partitions,
        }
        return LiveConfig(**{**values, **given})

    def room(self, **given: Any) -> RoomConfig:
        """A war room open to this machine, that does not limit the tests."""
        return RoomConfig(**{"live": self.live(), "rate": 1e6, "burst": 1e6, **given})

    @property
    def headcount(self) -> dict[str, int]:
        """Users per layer as Redis counts them."""
        counts: Counter[str] = Counter()
        for meta in self.deployment.metas():
            counts.update(dict(zip((layer.id for layer in LADDER.layers), meta.census.get(BRAND, []), strict=False)))
        return dict(counts)


@contextmanager
def simulated_day(folder: Path, bootstrap: str, redis_url: str, clickhouse_url: str, events: int = 2_500) -> Iterator[Day]:
    """A day of three brands, applied and stored."""
    given: dict[str, Any] = {"intake": "strict", "clock": "event", "topic_ids": False}
    with Deployment(folder, bootstrap, redis_url, "warroom.", "warroom", **given) as deployment:
        deployment.create_topics()
        worker = deployment.start()
        lines = list(PromotionDay(SimulatorConfig(LADDER, events=events, users=events // 8, seed=7)).lines())
        deployment.until_applied(deployment.replay(lines).ends)
        told = deployment.told()
        worker.stop()
        metas = deployment.metas()
        watermark = max(meta.watermark or 0 for meta in metas)
        alerts = _alerts(watermark)
        deployment.produce(("alerts", 1, one.alert_id.encode(), msgspec.json.encode(one), None) for one in alerts)
        settings = config(bootstrap, "warroom.", clickhouse_url, DATABASE, block_rows=10_000)
        run_until_stored(settings, {shard: meta.version for shard, meta in enumerate(metas)}, len(told.transitions), 240, len(alerts))
        yield Day(
            deployment,
            settings.clickhouse,
            watermark,
            [one for one in told.transitions if one.brand == BRAND],
            [order for rollup in told.rollups for order in rollup.orders if order.brand == BRAND],
            alerts,
        )


def _alerts(watermark: int) -> list[Alert]:
    """States of three alerts in the order in which they were told: one that is over, one that is open, one of another brand."""
    begin = watermark - watermark % MINUTE_MS - 4 * HOUR_MS

    def told(alert_id: str, since: int, version: int, state: AlertState, severity: Severity, brand: str = BRAND) -> Alert:
        return Alert(
            alert_id=alert_id,
            brand=brand,
            rule="flow_drop",
            state=state,
            severity=severity,
            title={"en": "R2→R3 has dropped by 52%", "zh": "R2→R3 流转下降 52%"},
            summary={"en": "At stake: 735 users an hour.", "zh": "每小时影响 735 人。"},
            flow=Flow(from_="R2", to="R3"),
            scope={"channel": "wecom"},
            users_at_stake=735,
            gmv_at_stake=9_547_650,
            since=to_rfc3339(since),
            at=to_rfc3339(since + version * 5 * MINUTE_MS),
            version=version,
        )

    return [
        told("over", begin, 1, AlertState.FIRING, Severity.CRITICAL),
        told("over", begin, 2, AlertState.UPDATED, Severity.CRITICAL),
        told("nova's", begin, 1, AlertState.FIRING, Severity.INFO, "nova"),
        told("over", begin, 3, AlertState.RESOLVED, Severity.INFO),
        told("open", begin + HOUR_MS, 1, AlertState.FIRING, Severity.WARNING),
    ]
