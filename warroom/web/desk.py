"""The promotions' desk behind requests: its work blocks, so it has two threads of its own and lets only so many wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from schemas.ladder import Ladder
from warroom.promotions.book import Book
from warroom.promotions.desk import Desk
from warroom.promotions.errors import DeskAway, PromotionConflict, PromotionError, PromotionExists, PromotionInvalid, PromotionUnknown
from warroom.promotions.topic import PromotionTopic
from warroom.states import RedisConfig
from warroom.web.problems import Problem

T = TypeVar("T")

_THREADS = 2
_WAITING = 16
_REDIS_SECONDS = 3.0


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
    ) -> None:
        bounds = {"socket_timeout": _REDIS_SECONDS, "socket_connect_timeout": _REDIS_SECONDS}
        self._redis = replace(redis, options={**bounds, **redis.options}).client()
        self._desk = Desk(Book(self._redis, redis.prefix), PromotionTopic(dict(kafka), topic_prefix, partitions), ladder, now)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="desk")
        self._waiting = 0

    async def ask(self, work: Callable[[Desk], T]) -> T:
        """What the desk says. Raises Problem 400, 404, 409, 412 or 503."""
        if self._waiting >= _THREADS + _WAITING:
            raise Problem(503, "too many changes wait: try again in a moment", headers={"Retry-After": "5"})
        self._waiting += 1
        try:
            # A change that was begun is ended, whoever asked for it and is gone.
            return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._threads, work, self._desk))
        except PromotionError as error:
            raise _problem(error) from error
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Ends the threads and lets go of the servers; what runs is waited for."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._desk.close()
        self._redis.close()


def _problem(error: PromotionError) -> Problem:
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
