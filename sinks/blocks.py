"""From the records of a block to the columns that are inserted. Pure: the same ranges always give the same columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress
from operator import itemgetter
from typing import Any

import xxhash

from sinks.decision import Lane, Range
from sinks.rows import Record, Row
from sinks.tables import PARTS, SAMPLED_ONE_IN, SAMPLES, SHARDS, SPEND, STEPS, TABLES, Table

_REVISIONS_A_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Plan:
    """A block before it is filled: its number and a range for every lane, also for those it takes nothing of.

    `rows` is about how many rows it has; 0 in a plan that was read back, which does not tell.
    """

    block: int
    ranges: dict[Lane, Range]
    rows: int = 0


@dataclass(frozen=True, slots=True)
class TableBlock:
    """A block's rows for one table, `columns` in the order of `table.column_names`."""

    table: Table
    rows: int
    columns: list[Sequence[Any]]

    def token(self, block: int, attempt: int) -> str:
        """What the server tells a repeated insert by: the same rows always come with the same token."""
        return f"{self.table.name}:{block}:{attempt}"


def fill(block: int, records: Iterable[Record]) -> list[TableBlock]:
    """The tables that `records`, in the order of lanes and logs, have rows for."""
    rows: dict[str, list[Row]] = {table.name: [] for table in TABLES}
    for record in records:
        for name, of_table in record.rows.items():
            rows[name] += of_table
    rows[SPEND.name] = [(block * _REVISIONS_A_BLOCK + i, *row) for i, row in enumerate(rows[SPEND.name])]
    rows[SHARDS.name] = list(_last_steps(rows[STEPS.name]))
    tables = {table.name: _columns(block, table, rows[table.name]) for table in TABLES if rows[table.name]}
    for source, part in PARTS:
        if source.name in tables:
            picked = _pick(tables[source.name], part)
            tables[part.name] = _sampled(picked) if part in SAMPLES else picked
    return [tables[table.name] for table in TABLES if table.name in tables and tables[table.name].rows]


def _columns(block: int, table: Table, rows: list[Row]) -> TableBlock:
    return TableBlock(table, len(rows), [[block] * len(rows), *zip(*rows, strict=True)])


def _pick(source: TableBlock, table: Table) -> TableBlock:
    """The columns of `table` out of those of `source`, by name."""
    by_name = dict(zip(source.table.column_names, source.columns, strict=True))
    return TableBlock(table, source.rows, [by_name[name] for name in table.column_names])


def _sampled(block: TableBlock) -> TableBlock:
    """The rows of the users that SAMPLES take."""
    users = block.columns[block.table.column_names.index("user_id")]
    taken = [xxhash.xxh3_64_intdigest(user.encode()) % SAMPLED_ONE_IN == 0 for user in users]
    return TableBlock(block.table, sum(taken), [list(compress(column, taken)) for column in block.columns])


def _last_steps(steps: list[Row]) -> Iterable[Row]:
    """(shard, version, watermark, swept_to) of each shard's last step; 0 where it knows none."""
    shard, version, watermark, swept_to = (itemgetter(_STEP[name]) for name in ("shard", "version", "watermark", "swept_to"))
    last = {shard(step): step for step in steps}
    return ((shard(step), version(step), watermark(step) or 0, swept_to(step) or 0) for step in last.values())


_STEP = {name: i for i, (name, _) in enumerate(STEPS.columns)}
