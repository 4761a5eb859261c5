"""What some processes do with the rights that they have, by their own parts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from typing import Any

import msgspec
import orjson

from deploy.collector_tally import MetricsTally
from deploy.security.rights import Process
from deploy.settings import Settings
from deploy.wiring import redis_of, wall_clock
from schemas.alert import Acknowledgement, Alert
from schemas.follow import Subscriber
from schemas.times import DAY_MS
from schemas.touchpoint import KINDS
from sources.collector.delivery import Delivery, Routed
from sources.kafka_log import KafkaLog
from tests.secured.world import World
from tests.workers import ROOT
from warroom.alerts.book import opened
from warroom.alerts.engine import BrandState
from warroom.alerts.outlet import Outlet
from warroom.alerts.silence import Silence
from warroom.alerts.topic import AlertTopic
from warroom.notes import Notes

_TICK = orjson.dumps({"type": "tick", "occurred_at": 1})
_PATIENCE_S = 60.0


class NotTaken(Exception):
    """Kafka has not taken a record."""


def delivered(settings: Settings) -> None:
    """As the collector does: a record for each topic. Raises NotTaken."""

    async def run() -> dict[int, str]:
        own = {"prefix": settings.topic_prefix, "partitions": settings.partitions}
        delivery = Delivery(settings.kafka_client(), MetricsTally(), **own, timeout=_PATIENCE_S, stall=3.0, records=100)  # type: ignore[arg-type]
        delivery.open()
        sending = delivery.send([Routed(kind, 0, None, _TICK) for kind in KINDS], None)
        await sending.done
        await delivery.close()
        return sending.failures

    if failures := asyncio.run(run()):
        raise NotTaken(str(failures))


def sent(settings: Settings) -> None:
    """As a source does: a record for each topic. Raises DeliveryFailed."""

    async def run() -> None:
        with KafkaLog(settings.kafka_bootstrap, prefix=settings.topic_prefix, settings=settings.kafka_options()) as log:
            for kind in KINDS:
                await log.send(kind, 0, None, _TICK)
            await log.drained()

    asyncio.run(run())


def followed(settings: Settings) -> None:
    """As a subscriber does: from the beginning to the first transition. Raises KafkaException."""
    with closing(Subscriber(settings.kafka_client(), topic=f"{settings.topic_prefix}transitions")) as subscriber:
        while not subscriber.read().transitions:
            pass


def alert_of(brand: str) -> Alert:
    """One that fires."""
    fires = msgspec.json.decode((ROOT / "schemas/examples/alerts/valid/firing.json").read_bytes(), type=Alert)
    return msgspec.structs.replace(fires, alert_id=f"{brand}-1", brand=brand)


def keep_the_alerts_book(world: World, **given: Any) -> None:
    """What the engine and the war room do with it where there is something to tell, by their own parts."""
    alert = alert_of("kept")
    engine, room = world.settings(Process.ALERTS, **given), world.settings(Process.WARROOM, **given)
    with opened(redis_of(engine)) as telling, opened(redis_of(room)) as taking, closing(redis_of(room).client()) as client:
        assert telling.save(0, BrandState(brand=alert.brand), [alert])
        outlet = Outlet(AlertTopic(engine.kafka_client(), engine.topic_prefix), telling, wall_clock, to_all=True)
        assert outlet.step() == 0.0
        silence = Silence(silence_id="s", brand=alert.brand, until=wall_clock() + DAY_MS, by="chen", because="planned")
        taking.silence(silence, wall_clock())
        (unread,) = telling.unread("robot", 1)
        telling.done("robot", unread.entry, withheld=["a"])
        telling.done("robot", unread.entry, known=["a"])
        assert telling.withheld("robot") == set()
        telling.trim(["robot", AlertTopic.name])
        taking.acknowledge(alert, Acknowledgement(by="chen", at=alert.at))
        assert telling.save(1, BrandState(brand=alert.brand), [], [one.alert.alert_id for one in telling.asked()])
        notes = Notes(client, room.redis_prefix)
        note = notes.add(alert.brand, 0, "live from eight", author="chen", now=0)
        assert notes.remove(alert.brand, note.note_id)
        assert taking.end_silence(alert.brand, "s", by="chen", now=wall_clock())


USES: dict[Process, Callable[[Settings], None]] = {
    Process.COLLECTOR: delivered,
    Process.SOURCE: sent,
    Process.SUBSCRIBER: followed,
}
