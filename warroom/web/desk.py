"""The promotions' desk behind requests: its work blocks, so it has two threads of its own and lets only so many wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import structlog

from schemas.ladder import Ladder
from warroom.event_clock import EventClock
from warroom.promotions.book import Book
from warroom.promotions.desk import Desk
from warroom.promotions.errors import DeskAway, PromotionConflict, PromotionError, PromotionExists, PromotionInvalid, PromotionUnknown
from warroom.promotions.topic import PromotionTopic
from warroom.states import RedisConfig, States
from warroom.web.problems import Problem

T = TypeVar("T")
log = structlog.get_logger(__name__)

_THREADS = 2
_WAITING = 16
_REDIS_SECONDS = 3.0
_PUBLISH_SECONDS = 2.0
"""How often is looked whether somebody saved a change and died before it was published."""


class WebDesk:
    """A desk whose errors are problems."""

    def __init__(
        self,
        redis: RedisConfig,
        kafka: Mapping[str, str | int | float | bool],
        topic_prefix: str,
        partitions: int,
        ladder: Ladder,
        now: Callable[[], int],
        *,
        event_clock: bool = False,
    ) -> None:
        bounds = {"socket_timeout": _REDIS_SECONDS, "socket_connect_timeout": _REDIS_SECONDS}
        bounded = replace(redis, options={**bounds, **redis.options})
        self.redis = bounded.client()
        self._events = EventClock(States(bounded), partitions, now)
        topic = PromotionTopic(dict(kafka), topic_prefix, partitions)
        self.desk = Desk(Book(self.redis, redis.prefix), topic, ladder, now, self._events if event_clock else None)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="desk")
        self._waiting = 0
        self._stop = threading.Event()
        self._keeper = threading.Thread(target=self._keep_published, name="desk-keeper", daemon=True)

    def open(self) -> None:
        """From now on what is saved and waits for its publication is published, whoever saved it."""
        self._keeper.start()

    async def ask(self, work: Callable[[Desk], T]) -> T:
        """What the desk says. Raises Problem 400, 404, 409, 412 or 503."""
        if self._waiting >= _THREADS + _WAITING:
            raise Problem(503, "too many changes wait: try again in a moment", headers={"Retry-After": "5"})
        self._waiting += 1
        try:
            # A change that was begun is ended, whoever asked for it and is gone.
            return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._threads, work, self.desk))
        except PromotionError as error:
            raise problem_of(error) from error
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Ends the threads and lets go of the servers; what runs is waited for."""
        self._stop.set()
        if self._keeper.is_alive():
            self._keeper.join()
        self._threads.shutdown(wait=True, cancel_futures=True)
        self.desk.close()
        self._events.close()
        self.redis.close()

    def _keep_published(self) -> None:
        """Redis is held against the topic once; then the outbox is looked at again and again. A server that is away is waited for."""
        work: Callable[[], object] = self.desk.recover
        away = False
        while True:
            try:
                work()
                work, away = self.desk.publish_waiting, False
            except DeskAway as error:
                if not away:  # once, not every two seconds
                    log.warning("changes of promotions wait for their publication", error=str(error).splitlines()[0][:300])
                away = True
            if self._stop.wait(_PUBLISH_SECONDS):
                return


def problem_of(error: PromotionError) -> Problem:
    """What a request is told of it."""
    match error:
        case PromotionInvalid():
            return Problem(400, str(error))
        case PromotionUnknown():
            return Problem(404, "expected a promotion that is there and that you may see; /api/v1/promotions lists them")
        case PromotionExists():
            return Problem(409, str(error))
        case PromotionConflict():
            return Problem(412, str(error), headers={"ETag": version_tag(error.found.version)})
        case DeskAway():
            return Problem(503, "Redis or Kafka does not answer: whether the change was made is not known, look before trying again")
    return Problem(400, str(error))


def version_tag(version: int) -> str:
    """A promotion's ETag."""
    return f'"{version}"'
