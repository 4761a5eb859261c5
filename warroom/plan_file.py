"""A plan curve out of a file: CSV as a spreadsheet saves it, or JSON. Pure. All raise CurveError, which names the line."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from schemas.fields import Count, Share
from schemas.promotion import PlanPoint
from warroom.plan_curve import CurveError

_BYTE = re.compile(r"byte (\d+)")


class _Point(NamedTuple):
    line: int
    minute: int
    value: float


class _Written(Struct, frozen=True):
    """A point as a promotion's file has it; records have `[minute, share]`."""

    minute: Count
    share: Share


class _Whole(Struct, frozen=True):
    """Whatever has a plan: a promotion's file, or its record."""

    plan: msgspec.Raw


def from_file(text: str, minutes: int) -> tuple[PlanPoint, ...]:
    """A curve over a window of so many minutes, from CSV or JSON, whichever it is."""
    text = text.removeprefix("\ufeff")
    return from_json(text, minutes) if text.lstrip()[:1] in ("[", "{") else from_csv(text, minutes)


def from_csv(text: str, minutes: int) -> tuple[PlanPoint, ...]:
    """A curve from lines `minute,share`, or `minute,gmv` with cumulative GMV of which the last line is the whole.

    Minutes count from the window's begin, shares go from 0 to 1; the first line may be left out if it is `0,0`.
    """
    lines = csv.reader(text.removeprefix("\ufeff").splitlines())
    rows = [(lines.line_num, row) for row in lines if row]
    head = [name.strip().lower() for name in rows[0][1]] if rows else []
    if head not in (["minute", "share"], ["minute", "gmv"]):
        raise CurveError(f"line 1: expected `minute,share` or `minute,gmv`, found {','.join(head) or 'an empty file'!r}")
    points = [_cells(row, line) for line, row in rows[1:]]
    if not points:
        raise CurveError("expected at least one line below the first, found none")
    whole = points[-1].value if head[1] == "gmv" else 1.0
    if whole <= 0:
        raise CurveError(f"line {points[-1].line}: expected the whole GMV on the last line, found {whole:g}")
    return _curve(points, whole, minutes)


def from_json(text: str, minutes: int) -> tuple[PlanPoint, ...]:
    """A curve from points `{"minute": 0, "share": 0}` or `[0, 0]`: a list of them, or what has such a list as its `plan`."""
    try:
        told = msgspec.json.decode(text)
        at = text.index("[") if isinstance(told, list) else _plan_at(text)
    except (msgspec.DecodeError, RecursionError) as error:
        found = _BYTE.search(str(error))
        line = text.encode()[: int(found[1]) if found else 0].count(b"\n") + 1
        raise CurveError(f"line {line}: expected JSON with a list of points, found a mistake: {error}") from None
    return _curve([_converted(item, line) for line, item in _items(text, at + 1)], 1.0, minutes)


def _cells(row: list[str], line: int) -> _Point:
    try:
        minute, value = row
        return _Point(line, int(minute), float(value))
    except ValueError:
        raise CurveError(f"line {line}: expected a whole minute and a number, found {','.join(row)!r}") from None


def _plan_at(text: str) -> int:
    plan = bytes(msgspec.json.decode(text, type=_Whole).plan)
    if plan[:1] != b"[":
        raise CurveError(f"expected a list of points as `plan`, found {plan.decode()[:40]}")
    return text.index(plan.decode())


def _items(text: str, at: int) -> Iterator[tuple[int, Any]]:
    """The items of a JSON list, sound as is known, of which the first begins at or after `at`; each with its line."""
    decoder, line, counted = json.JSONDecoder(), 1, 0
    while True:
        while text[at] in " \t\r\n,":
            at += 1
        if text[at] == "]":
            return
        line, counted = line + text.count("\n", counted, at), at
        item, at = decoder.raw_decode(text, at)
        yield line, item


def _converted(item: Any, line: int) -> _Point:
    point: PlanPoint | _Written
    try:
        point = msgspec.convert(item, PlanPoint) if isinstance(item, list) else msgspec.convert(item, _Written)
    except msgspec.ValidationError as error:
        raise CurveError(f'line {line}: expected a point such as {{"minute": 0, "share": 0}}: {error}') from None
    return _Point(line, point.minute, point.share)


def _curve(points: list[_Point], whole: float, minutes: int) -> tuple[PlanPoint, ...]:
    if not points:
        raise CurveError("expected at least one point, found none")
    if points[0].minute != 0:
        points.insert(0, _Point(points[0].line, 0, 0.0))
    for one, other in pairwise(points):
        if other.minute <= one.minute or not one.value <= other.value:
            raise CurveError(
                f"line {other.line}: expected minutes and figures that grow, found {other.minute},{other.value:g} "
                f"after {one.minute},{one.value:g}"
            )
    last = points[-1]
    if last.minute != minutes or last.value / whole != 1:
        raise CurveError(
            f"line {last.line}: expected the last point at minute {minutes}, where the window ends, with the whole (share 1), "
            f"found {last.minute},{last.value:g}"
        )
    if points[0].value < 0:
        raise CurveError(f"line {points[0].line}: expected figures of 0 or more, found {points[0].value:g}")
    return tuple(PlanPoint(point.minute, point.value / whole) for point in points)
