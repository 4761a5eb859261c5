"""Any period against any other, over all STAR figures. Pure, but for `compare_periods` and `compare_tables`, which ask."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from msgspec import Struct

from warroom.figures import By, StarTables
from warroom.star import Star

TABLES = ("scaling", "triangulating", "activating", "returning")
_NAMES = ("split", "layer", "from_layer", "to_layer", "direction")


class Period(Struct, frozen=True, kw_only=True):
    """From a whole minute to before another, epoch milliseconds."""

    begins: int
    ends: int

    @property
    def minutes(self) -> int:
        """How long it is."""
        return (self.ends - self.begins) // 60_000


class Change(Struct, frozen=True, kw_only=True):
    """A figure of the period and of the one it is held against; null where there is none. `relative` is `absolute` over `against`."""

    value: float | None
    against: float | None
    absolute: float | None
    relative: float | None


class Compared(Struct, frozen=True, kw_only=True):
    """A line of a STAR table in both periods: what it is of (`split`, `layer`; or `from_layer`, `to_layer`), and its figures by name."""

    of: dict[str, str]
    figures: dict[str, Change]


class Comparison(Struct, frozen=True, kw_only=True):
    """All STAR figures of a period against another's. Sums of periods of different length (`same_length` false) are told as they are."""

    brand: str
    by: By
    period: Period
    against: Period
    same_length: bool
    scaling: list[Compared]
    triangulating: list[Compared]
    activating: list[Compared]
    returning: list[Compared]


def compare_periods(star: Star, brand: str, period: Period, against: Period, by: By = By.ALL) -> Comparison:
    """Both periods' STAR tables, asked for side by side. Raises StoreAway or StoreError."""
    with ThreadPoolExecutor(1) as beside:
        other = beside.submit(star.tables, brand, against.begins, against.ends, by)
        told = star.tables(brand, period.begins, period.ends, by)
    return _comparison(brand, by, period, told, against, other.result())


def compare_tables(star: Star, brand: str, period: Period, told: StarTables, against: Period, by: By = By.ALL) -> Comparison:
    """The same where the period's own tables are known."""
    return _comparison(brand, by, period, told, against, star.tables(brand, against.begins, against.ends, by))


def _comparison(brand: str, by: By, period: Period, told: StarTables, against: Period, other: StarTables) -> Comparison:
    tables = {name: compared(getattr(told, name), getattr(other, name)) for name in TABLES}
    return Comparison(brand=brand, by=by, period=period, against=against, same_length=period.minutes == against.minutes, **tables)


def compared(now: Sequence[Struct], then: Sequence[Struct]) -> list[Compared]:
    """Lines of one table, joined by what they are of: in the order of `now`, behind them what only `then` has."""
    mine, theirs = _by_name(now), _by_name(then)
    keys = dict.fromkeys((*mine, *theirs))
    names = dict.fromkeys(name for rows in (mine, theirs) for row in rows.values() for name in row if name not in _NAMES)
    return [
        Compared(
            of=dict(key),
            figures={name: _change(mine.get(key, {}).get(name), theirs.get(key, {}).get(name)) for name in names},
        )
        for key in keys
    ]


def _by_name(rows: Iterable[Struct]) -> dict[tuple[tuple[str, str], ...], dict[str, Any]]:
    told = [msgspec.to_builtins(row) for row in rows]
    return {tuple((name, row[name]) for name in _NAMES if name in row): row for row in told}


def _change(value: float | None, against: float | None) -> Change:
    absolute = None if value is None or against is None else value - against
    relative = absolute / abs(against) if absolute is not None and against else None
    return Change(value=value, against=against, absolute=absolute, relative=relative)


def aligned(period: Period, begins: int, ends: int) -> Period:
    """An earlier promotion's window, cut off where `period` has not come to yet: as many minutes at most."""
    return Period(begins=begins, ends=min(ends, begins + period.ends - period.begins))
