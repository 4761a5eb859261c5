"""The board behind requests: how promotions stand, worked out once a second for all who look, in threads of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import msgspec
from msgspec import Struct

from schemas.ladder import Ladder
from sinks.config import ClickHouse
from streams import metrics
from warroom.promotions.board import Board
from warroom.promotions.desk import Desk
from warroom.promotions.errors import PromotionError
from warroom.sales import Sales
from warroom.web.desk import problem_of
from warroom.web.problems import Problem
from warroom.web.shared import Shared

T = TypeVar("T")

_THREADS = 2
_WAITING = 32
_KEPT_SECONDS = 1.0
_QUERY_SECONDS = 10


class Shown(Struct, frozen=True, kw_only=True):
    """An answer about a promotion as JSON, and whose promotions it tells of."""

    brands: frozenset[str]
    body: bytes


class WebBoard:
    """A board whose errors are problems, and whose answers are shared. `desk` is the process's own."""

    def __init__(self, clickhouse: ClickHouse, desk: Desk, ladder: Ladder, now: Callable[[], int]) -> None:
        self._clickhouse = replace(clickhouse, timeout=_QUERY_SECONDS + 5)
        self._desk = desk
        self._ladder = ladder
        self._now = now
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="board")
        self._local = threading.local()
        self._shared: Shared[Shown] = Shared(_KEPT_SECONDS)
        self._waiting = 0

    async def show(self, key: Hashable, promotions: tuple[str, ...], work: Callable[[Board], Struct]) -> Shown:
        """What `work` finds, at most a second ago if others asked with the same key; it tells of these promotions.

        Raises Problem 400, 404 or 503, StoreAway, StoreError.
        """

        def compute() -> Shown:
            brands = frozenset(self._desk.versions(one)[-1].brand for one in promotions)
            return Shown(brands=brands, body=msgspec.json.encode(work(self._board())))

        return await self._shared.get(key, lambda: self.ask(compute))

    async def ask(self, work: Callable[[], T]) -> T:
        """Something of the board's, in its threads. Raises Problem, StoreAway, StoreError."""
        if self._waiting >= _THREADS + _WAITING:
            metrics.WARROOM_BUSY.inc()
            raise Problem(503, "too many requests wait for their figures: try again in a moment", headers={"Retry-After": "2"})
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except PromotionError as error:
            raise problem_of(error) from error
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Ends the threads; what runs is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _board(self) -> Board:
        board: Board | None = getattr(self._local, "board", None)
        if board is None:
            sales = Sales(self._clickhouse, seconds=_QUERY_SECONDS)
            board = self._local.board = Board(self._desk, sales, self._ladder, self._now)
        metrics.WARROOM_QUERIES.labels("api").inc()
        return board
