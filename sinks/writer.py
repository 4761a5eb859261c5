"""Takes one block through its states in ClickHouse: the decisions of `sinks.decision` joined to the statements of `sinks.store`."""

from __future__ import annotations

import logging
import time
import uuid

from sinks.blocks import Plan, TableBlock
from sinks.decision import Agreement, Opening, Settling, agreement, opening, settling
from sinks.errors import StoreError
from sinks.patience import Patience
from sinks.store import LastBlock, Store
from streams import metrics
from streams.crash import CrashPoint, crash_point
from streams.forgotten import Forgotten

log = logging.getLogger("rflow.sink")

_ATTEMPTS = 5


class Writer:
    """Writes blocks, and waits while ClickHouse is away. Every method raises StoreError, or Stopped while waiting."""

    def __init__(self, store: Store, patience: Patience) -> None:
        self._store = store
        self._patience = patience
        self._sink = uuid.uuid4().hex

    def last_block(self) -> tuple[Opening, LastBlock | None]:
        """What the last block is, read back."""
        last = self._patience.insist(lambda _: self._store.last_block())
        metrics.SINK_UP.set(1)
        return opening(last.plan.block if last else 0, bool(last and last.done)), last

    def forgotten(self) -> dict[int, list[Forgotten]]:
        """By shard the steps to be passed over."""
        return self._patience.insist(lambda _: self._store.forgotten())

    def agree(self, plan: Plan) -> tuple[Agreement, Plan]:
        """Steps 1 and 2: write the intent and read back whose stands; the plan to go on with (of no use if OVERTAKEN)."""
        for attempt in range(1, _ATTEMPTS + 1):
            crash_point(CrashPoint.SINK_BEFORE_INTENT)
            self._patience.insist(lambda _, attempt=attempt: self._store.write_intent(plan, self._sink, attempt))  # type: ignore[misc]
            crash_point(CrashPoint.SINK_AFTER_INTENT)
            _, last = self.last_block()
            highest, done, author = (last.plan.block, last.done, last.author) if last else (0, False, None)
            found = agreement(plan.block, self._sink, highest, done, author)
            if found is not Agreement.LOST:
                crash_point(CrashPoint.SINK_AFTER_AGREEMENT)
                return found, last.plan if last else plan
            log.warning("block %d: the intent was dropped by the server though it has none, attempt %d", plan.block, attempt)
        raise StoreError(f"block {plan.block}: expected its intent in sink_blocks, ClickHouse dropped it {_ATTEMPTS} times")

    def store(self, plan: Plan, tables: list[TableBlock], *, doubtful: bool) -> None:
        """Steps 3 and 4: insert the rows table by table, and mark the block as done. `doubtful`: some may be there already."""
        began = time.perf_counter()
        for table_block in tables:
            self._settle(plan.block, table_block, doubtful=doubtful)
        crash_point(CrashPoint.SINK_BEFORE_DONE)
        self._patience.insist(lambda _: self._store.write_done(plan.block, self._sink))
        crash_point(CrashPoint.SINK_AFTER_DONE)
        metrics.SINK_UP.set(1)
        metrics.SINK_SECONDS.observe(time.perf_counter() - began)
        for stream in {lane.stream for lane, range_ in plan.ranges.items() if range_.records}:
            metrics.SINK_BLOCKS.labels(stream=stream.value).inc()
        for table_block in tables:
            metrics.SINK_ROWS.labels(table=table_block.table.name).inc(table_block.rows)

    def _settle(self, block: int, table_block: TableBlock, *, doubtful: bool) -> None:
        """Insert until the table has the block: at once if nothing can be there, else looking first."""
        looks = doubtful

        def insert(attempt: int, n: int) -> None:
            nonlocal looks
            looks = looks or n > 1  # how the try before ended is not known
            if looks and self._is_stored(block, table_block):
                return
            crash_point(CrashPoint.SINK_BEFORE_INSERT)
            self._store.insert(table_block, block, attempt)
            crash_point(CrashPoint.SINK_AFTER_INSERT)

        for attempt in range(1, _ATTEMPTS + 1):
            self._patience.insist(lambda n, attempt=attempt: insert(attempt, n))  # type: ignore[misc]
            if not looks or self._patience.insist(lambda _: self._is_stored(block, table_block)):
                return
            log.warning("block %d: %s has none of its rows though the server says so, attempt %d", block, table_block.table.name, attempt)
        raise StoreError(f"block {block}: expected its rows in {table_block.table.name}, ClickHouse dropped them {_ATTEMPTS} times")

    def _is_stored(self, block: int, table_block: TableBlock) -> bool:
        return settling(block, self._store.highest_block(table_block.table, block)) is Settling.STORED
