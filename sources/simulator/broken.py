"""Lines that are no touchpoints, one way for each reason there is to make a dead letter of a line."""

from __future__ import annotations

from collections.abc import Callable

from schemas.deadletter import Reason
from schemas.touchpoint import MAX_BYTES

_FAR_FUTURE_MS = 8_200_000_000_000
"""In 2229: before the latest time there may be, after any clock."""

_OFTEN = {Reason.TOO_LARGE: 1}
"""How often each reason comes, 12 if not named: the large ones would be most of the file otherwise."""


def reasons(among: tuple[Reason, ...]) -> list[Reason]:
    """A table to pick from."""
    return [reason for reason in among for _ in range(_OFTEN.get(reason, 12))]


def broken(line: bytes, reason: Reason, random: Callable[[], float]) -> bytes:
    """`line`, a sound purchase, so damaged that it becomes a dead letter for `reason`."""
    match reason:
        case Reason.TOO_LARGE:
            return line[:-1] + b',"attributes":{"note":"' + b"x" * MAX_BYTES + b'"}}'
        case Reason.UNKNOWN_TYPE:
            return line.replace(b'"type":"purchase"', b'"type":"telepathy"', 1)
        case Reason.WRONG_CURRENCY:
            return line[:-1] + b',"currency":"XTS"}'
        case Reason.FUTURE:
            return line[:-1] + b',"occurred_at":%d}' % _FAR_FUTURE_MS
        case Reason.INVALID_FIELD:
            ways = _FIELDS
        case _:
            ways = _SYNTAX
    return ways[int(random() * len(ways))](line)


# Where a name stands twice in an object, the later one holds.
_FIELDS: tuple[Callable[[bytes], bytes], ...] = (
    lambda line: line[:-1] + b',"amount":-100}',
    lambda line: line[:-1] + b',"amount":"99.90"}',
    lambda line: line[:-1] + b',"user_id":""}',
    lambda line: line[:-1] + b',"event_id":"' + b"e" * 129 + b'"}',
    lambda line: line[:-1] + b',"occurred_at":"2025-11-11T00:00:00"}',
    lambda line: line[:-1] + b',"occurred_at":-1}',
    lambda line: line.replace(b'"order_id"', b'"order"', 1),
    lambda line: line.replace(b'"user_id"', b'"user"', 1),
)

_SYNTAX: tuple[Callable[[bytes], bytes], ...] = (
    lambda line: line[: len(line) // 2],
    lambda line: b"[" + line + b"]",
    lambda line: line + line,
    lambda line: line.replace(b'"brand":"', b'"brand":"\xff\xfe', 1),
    lambda line: b"GET /touchpoints HTTP/1.1\r",
    lambda line: line.replace(b'"', b"'"),
)
