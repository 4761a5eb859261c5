"""A period as whole spans of eight hours, the hours at their ends and the minutes at theirs: read of a long one in place of all minutes.

Spans of eight hours begin at 0:00, 8:00 and 16:00 UTC. The tables by the minute and by the span are side by side in `sinks/tables.py`.
"""

from __future__ import annotations

from typing import Any

from warroom.reader import datetime64

HOUR_MS = 3_600_000
_AT = "DateTime64(3, 'UTC')"

MINUTES = f"""minute >= {{start:{_AT}}} AND minute < {{end:{_AT}}}
        AND (minute < {{hours_from:{_AT}}} OR minute >= {{hours_to:{_AT}}})"""
"""Which rows of a table by the minute a period takes beside those of SPANS."""

SPANS = f"""(minutes = 480 AND begins >= {{longs_from:{_AT}}} AND begins < {{longs_to:{_AT}}}
        OR minutes = 60 AND begins >= {{hours_from:{_AT}}} AND begins < {{hours_to:{_AT}}}
            AND (begins < {{longs_from:{_AT}}} OR begins >= {{longs_to:{_AT}}}))"""
"""Which rows of a table by the hour and by eight hours."""

ALL_SPANS = f"""({SPANS} OR minutes = 1 AND begins >= {{start:{_AT}}} AND begins < {{end:{_AT}}}
            AND (begins < {{hours_from:{_AT}}} OR begins >= {{hours_to:{_AT}}}))"""
"""Which rows of a table by the minute, the hour and eight hours."""


def bound_spans(start: int, end: int, *, minutes_only: bool = False) -> dict[str, Any]:
    """What MINUTES and SPANS bind; epoch milliseconds. `minutes_only`: where there are no longer spans of what is asked."""
    hours_from, hours_to = (start, start) if minutes_only else _whole(start, end, HOUR_MS)
    longs_from, longs_to = _whole(hours_from, hours_to, 8 * HOUR_MS)
    edges = {"hours_from": hours_from, "hours_to": hours_to, "longs_from": longs_from, "longs_to": longs_to}
    return {"start": datetime64(start), "end": datetime64(end), **{name: datetime64(at) for name, at in edges.items()}}


def _whole(start: int, end: int, length: int) -> tuple[int, int]:
    """Where the whole spans of a length within a period begin and end; nothing (at its start) if there are none."""
    first, last = -(-start // length) * length, end // length * length
    return (first, last) if first < last else (start, start)
