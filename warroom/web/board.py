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
from schemas.promotion import PlanPoint, Promotion
from sinks.config import ClickHouse
from streams import metrics
from warroom.drill import Drill
from warroom.notes import Notes
from warroom.plan_curve import CurveError
from warroom.promotions.board import Board
from warroom.promotions.definition import Definition, first_version
from warroom.promotions.desk import Desk
from warroom.promotions.errors import PromotionError, PromotionInvalid
from warroom.report.facts import Library
from warroom.sales import Openings, Sales
from warroom.web.desk import problem_of
from warroom.web.problems import Problem
from warroom.web.shared import Shared

T = TypeVar("T")

_THREADS = 2
_WAITING = 32
_KEPT_SECONDS = 1.0
_QUERY_SECONDS = 10
_LONGEST_SECONDS = 65


class Shown(Struct, frozen=True, kw_only=True):
    """An answer about promotions as it is sent, and whose they are."""

    brands: frozenset[str]
    body: bytes


class WebBoard:
    """A board whose errors are problems, and whose answers are shared. `desk` and `notes` are the process's own."""

    def __init__(self, clickhouse: ClickHouse, desk: Desk, notes: Notes, ladder: Ladder, now: Callable[[], int]) -> None:
        self._clickhouse = replace(clickhouse, timeout=_LONGEST_SECONDS)
        self._openings: Openings = {}
        self._desk = desk
        self._notes = notes
        self._ladder = ladder
        self._now = now
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="board")
        self._local = threading.local()
        self._shared: Shared[Shown] = Shared(_KEPT_SECONDS)
        self._waiting = 0

    async def show(self, key: Hashable, promotions: tuple[str, ...], work: Callable[[Board], Struct]) -> Shown:
        """What `work` finds as JSON, at most a second ago if others asked with the same key; it tells of these promotions.

        Raises Problem 400, 404 or 503, StoreAway, StoreError.
        """
        return await self.told(key, promotions, lambda library: msgspec.json.encode(work(library.board)))

    async def told(self, key: Hashable, promotions: tuple[str, ...], work: Callable[[Library], bytes]) -> Shown:
        """As `show`, of all that a report is made of, in whatever form."""

        def compute() -> Shown:
            brands = frozenset(self._desk.versions(one)[-1].brand for one in promotions)
            return Shown(brands=brands, body=work(self._library()))

        return await self._shared.get(key, lambda: self.ask(compute))

    async def curve(self, definition: Definition, make: Callable[[Board, Promotion], tuple[PlanPoint, ...]]) -> tuple[PlanPoint, ...]:
        """A plan curve as `make` makes it for the window and phases of a definition. Raises Problem, StoreAway, StoreError."""

        def compute() -> tuple[PlanPoint, ...]:
            like = first_version(definition, self._ladder, by="nobody", because="its window", now=self._now())
            try:
                return make(self._library().board, like)
            except CurveError as error:
                raise PromotionInvalid(f"plan: {error}") from None

        return await self.ask(compute)

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

    def _library(self) -> Library:
        library: Library | None = getattr(self._local, "library", None)
        if library is None:
            sales = Sales(self._clickhouse, seconds=_QUERY_SECONDS, openings=self._openings)
            library = self._local.library = Library(
                board=Board(self._desk, sales, self._ladder, self._now),
                drill=Drill(self._clickhouse, seconds=_QUERY_SECONDS),
                notes=self._notes,
                ladder=self._ladder,
            )
        metrics.WARROOM_QUERIES.labels("api").inc()
        return library
