"""Blocking clients on a bounded number of threads: each thread has its ClickHouse connection, and nothing can pile up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from sinks.config import ClickHouse
from streams import metrics
from warroom.alerts.kept import KeptAlerts
from warroom.drill import Drill
from warroom.states import RedisConfig, States
from warroom.web.problems import Problem

T = TypeVar("T")

_QUERY_SECONDS = 10
_REDIS_SECONDS = 3.0


class Lists(Drill, KeptAlerts):
    """All that requests ask ClickHouse for."""


class Pool:
    """Readers of ClickHouse and Redis for the requests of a process. A request that finds `waiting` before it is refused."""

    def __init__(self, clickhouse: ClickHouse, redis: RedisConfig, *, threads: int = 8, waiting: int = 64) -> None:
        self._clickhouse = replace(clickhouse, timeout=_QUERY_SECONDS + 5)
        bounds = {"socket_timeout": _REDIS_SECONDS, "socket_connect_timeout": _REDIS_SECONDS}
        self._states = States(replace(redis, options={**bounds, **redis.options}))
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="api")
        self._most = threads + waiting
        self._inside = 0
        self._lock = threading.Lock()
        self._local = threading.local()

    async def ask(self, work: Callable[[Lists], T]) -> T:
        """What ClickHouse says. Raises StoreAway, StoreError, or Problem 503 if too many wait."""
        return await self._run(lambda: work(self._reader()))

    async def look(self, work: Callable[[States], T]) -> T:
        """What Redis says. Raises RedisError, or Problem 503 if too many wait."""
        return await self._run(lambda: work(self._states))

    async def do(self, work: Callable[[], T]) -> T:
        """Something slow or blocking that is neither. Raises Problem 503 if too many wait."""
        return await self._run(work)

    def close(self) -> None:
        """Ends the threads; what runs is not waited for."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._states.close()

    async def _run(self, work: Callable[[], T]) -> T:
        with self._lock:
            if self._inside >= self._most:
                metrics.WARROOM_BUSY.inc()
                raise Problem(503, "too many requests wait for their figures: try again in a moment", headers={"Retry-After": "2"})
            self._inside += 1
        # A request that is given up leaves its query running: it counts until that has ended.
        running = self._executor.submit(work)
        running.add_done_callback(self._left)
        return await asyncio.wrap_future(running)

    def _left(self, _: Future[Any]) -> None:
        with self._lock:
            self._inside -= 1

    def _reader(self) -> Lists:
        reader: Lists | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._local.reader = Lists(self._clickhouse, seconds=_QUERY_SECONDS)
        metrics.WARROOM_QUERIES.labels("api").inc()
        return reader
