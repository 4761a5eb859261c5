"""The promotions' desk of a process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from deploy.settings import Settings
from deploy.wiring import ladder_of, redis_of, wall_clock
from warroom.event_clock import EventClock
from warroom.promotions.book import connected
from warroom.promotions.desk import Desk
from warroom.promotions.topic import PromotionTopic
from warroom.states import States


@contextmanager
def desk_of(settings: Settings) -> Iterator[Desk]:
    """The promotions' desk of this process."""
    topic = PromotionTopic(settings.kafka_client(), settings.topic_prefix, settings.partitions)
    with (
        connected(redis_of(settings)) as book,
        closing(EventClock(States(redis_of(settings)), settings.partitions, wall_clock)) as events,
        closing(Desk(book, topic, ladder_of(settings), wall_clock, events if settings.clock == "event" else None)) as desk,
    ):
        yield desk
