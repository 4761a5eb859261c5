"""The notation of the golden cases, as their README describes it: lines to events and expectations."""

from __future__ import annotations

import re
from dataclasses import dataclass

from schemas.times import DAY_MS, MINUTE_MS, from_rfc3339
from schemas.touchpoint import CATALOGUE, STRUCTS, Kind, Tick
from streams.plain import PlainFigures
from tests.golden.engine import Event, Sweep

DAY_ZERO = from_rfc3339("2025-12-31T00:00:00+08:00")

_CLOCK = r"\d\d:\d\d(?::\d\d(?:\.\d{3})?)?"
_TIME = rf"day \d+ {_CLOCK}"
_EVENT = re.compile(rf"({_TIME})\s+(\w+)((?:\s+\S+)*)")
_REPEAT = re.compile(r"(\d+) times every (\d+) (minute|day)s?:\s*(.+)")
_MOVE = re.compile(rf"(\w+)>(\w+) (advance|retract|decay) at ({_TIME})")
_MONEY = re.compile(r"(\d+) orders? by (\d+) buyers?, (\d+\.\d\d) paid, (\d+\.\d\d) refunded")
_ENDS = re.compile(r"ends (\w+)(?: by (\S+))?(?: of (\S+))?")

USER, BRAND = "u1", "acme"
_LABELS = ("channel", "campaign_id", "store_id", "guide_id")


class NotationError(ValueError):
    """A line that the notation does not know."""


@dataclass
class Move:
    """An expected transition; None stands for what the case does not say."""

    from_: str
    to: str
    kind: str
    effective_at: int
    occurred_at: int
    user: str = USER
    brand: str = BRAND
    late: bool = False
    dwell_ms: int | None = None
    cause_type: str | None = None
    cause_at: int | None = None
    touch: tuple[str | None, ...] | None = None
    first_touch: tuple[str | None, str | None, int] | None = None


@dataclass
class Expected:
    """What a case expects of one ladder."""

    moves: list[Move]
    layers: dict[tuple[str, str], str]


def lines_of(text: str) -> list[str]:
    """The lines that say something, remarks cut off."""
    cut = (re.sub(r"(^|\s)#\s.*", "", line).strip() for line in text.splitlines())
    return [line for line in cut if line]


def parse_events(text: str) -> list[Event]:
    """The events of a case, in order of arrival; each has an id of its own unless it says otherwise."""
    events: list[Event] = []
    for line in lines_of(text):
        repeat = _REPEAT.fullmatch(line)
        if repeat is None:
            events.append(_event(line, f"e{len(events) + 1}", 0))
            continue
        step = int(repeat[2]) * (MINUTE_MS if repeat[3] == "minute" else DAY_MS)
        for n in range(int(repeat[1])):
            events.append(_event(repeat[4].replace("{n}", str(n + 1)), f"e{len(events) + 1}", n * step))
    return events


def _event(line: str, event_id: str, shift: int) -> Event:
    if line == "sweep":
        return Sweep()
    match = _EVENT.fullmatch(line)
    if match is None:
        raise NotationError(f"expected an event such as `day 1 10:00 ad_exposure`, found {line!r}")
    at, type_, words = _time(match[1]) + shift, match[2], match[3].split()
    if type_ == "tick":
        return Tick(occurred_at=at)
    values: dict[str, object] = {}
    kind = CATALOGUE[type_]
    if kind is Kind.MEMBERSHIP:
        values["relation_id"] = words.pop(0)
    elif kind is Kind.ORDER:
        values["order_id"], values["amount"] = words.pop(0), _minor(words.pop(0))
    extras = dict(zip(words[::2], words[1::2], strict=True))
    values["user_id"] = extras.pop("by", USER)
    values["brand"] = extras.pop("of", BRAND)
    values["event_id"] = extras.pop("id", event_id)
    if "via" in extras:
        values |= zip(_LABELS, extras.pop("via").split("/"), strict=False)
    if extras:
        raise NotationError(f"expected by, of, id or via, found {', '.join(extras)} in {line!r}")
    return STRUCTS[kind](type=type_, occurred_at=at, **values)  # type: ignore[arg-type]


def parse_expected(text: str) -> Expected:
    """The expectation for one ladder; dwell is filled in from the moves of the same user."""
    expected = Expected([], {})
    last: dict[tuple[str, str], int] = {}
    for line in lines_of(text):
        if ends := _ENDS.fullmatch(line):
            expected.layers[ends[3] or BRAND, ends[2] or USER] = ends[1]
            continue
        move = _move(line)
        key = move.brand, move.user
        dwell = move.effective_at - last[key] if key in last else None
        if move.dwell_ms is not None and move.dwell_ms != dwell:
            raise NotationError(f"expected the time since the user's last move in {line!r}")
        move.dwell_ms = dwell
        last[key] = move.effective_at
        expected.moves.append(move)
    return expected


def _move(line: str) -> Move:
    head, *extras = line.split(", ")
    match = _MOVE.fullmatch(head)
    if match is None:
        raise NotationError(f"expected a line such as `R0>R1 advance at day 1 10:00` or `ends R1`, found {line!r}")
    at = _time(match[4])
    move = Move(match[1], match[2], match[3], at, at)
    for extra in extras:
        _add_extra(move, extra)
    return move


def _add_extra(move: Move, extra: str) -> None:
    """Extend `move` by what stands after a comma."""
    if extra == "late":
        move.late = True
    elif m := re.fullmatch(r"by (\S+)", extra):
        move.user = m[1]
    elif m := re.fullmatch(r"of (\S+)", extra):
        move.brand = m[1]
    elif m := re.fullmatch(rf"occurred ({_TIME})", extra):
        move.occurred_at = _time(m[1])
    elif m := re.fullmatch(r"because of (\w+)", extra):
        move.cause_type, move.cause_at = m[1], move.occurred_at
    elif m := re.fullmatch(rf"(\w+) of ({_TIME}) lapsed", extra):
        move.cause_type, move.cause_at = m[1], _time(m[2])
    elif m := re.fullmatch(rf"after (\d+) days? ({_CLOCK})", extra):
        move.dwell_ms = int(m[1]) * DAY_MS + _clock(m[2])
    elif m := re.fullmatch(r"via (\S+)", extra):
        move.touch = _labels(m[1], 4)
    elif m := re.fullmatch(rf"first via (\S+) on ({_TIME})", extra):
        channel, campaign = _labels(m[1], 2)
        move.first_touch = channel, campaign, _time(m[2])
    else:
        raise NotationError(f"expected one of the README's additions, found {extra!r}")


def parse_money(text: str | None) -> PlainFigures:
    """`2 orders by 1 buyer, 300.00 paid, 20.00 refunded`; None where nothing was bought."""
    if text is None:
        return PlainFigures()
    match = _MONEY.fullmatch(text)
    if match is None:
        raise NotationError(f"expected `1 order by 1 buyer, 100.00 paid, 0.00 refunded`, found {text!r}")
    return PlainFigures(purchases=int(match[1]), buyers=int(match[2]), gmv=_minor(match[3]), refunds=_minor(match[4]))


def _time(text: str) -> int:
    _, day, clock = text.split()
    return DAY_ZERO + int(day) * DAY_MS + _clock(clock)


def _clock(text: str) -> int:
    hours, minutes, *seconds = text.split(":")
    return int(hours) * 60 * MINUTE_MS + int(minutes) * MINUTE_MS + round(float(seconds[0]) * 1000 if seconds else 0)


def _minor(text: str) -> int:
    whole, cents = text.split(".")
    return int(whole) * 100 + int(cents)


def _labels(text: str, count: int) -> tuple[str | None, ...]:
    given: list[str | None] = list(text.split("/"))
    return tuple((given + [None] * count)[:count])
