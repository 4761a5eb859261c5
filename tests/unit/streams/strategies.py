"""Hypothesis strategies for streams of touchpoints, made to collide: few users and ids, times around every edge the rules have.

- `wild_records`: anything valid, ids reused at will. For what must hold of any stream (chains, batches, two folds that agree).
- `consistent_records`: records that share an id are the same record told again. For what must not depend on order.
- `with_sweeps`, `with_retries`, `batches`: the same records, disturbed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

from hypothesis import strategies as st

from schemas.ladder import Ladder
from schemas.times import DAY_MS, MINUTE_MS, from_rfc3339
from schemas.touchpoint import CATALOGUE, STRUCTS, Kind, Tick, Touchpoint
from streams.plain_evidence import millis
from tests.golden.cases import ladder_named
from tests.golden.engine import Event, Sweep

T = TypeVar("T")
U = TypeVar("U")

BRANDS = ("acme", "zeta", "liberty")
USERS = ("u1", "u2")
EVENT_IDS = tuple(f"e{n}" for n in range(64))
ORDER_IDS = ("o1", "o2")
RELATION_IDS = ("x", "y")
AMOUNTS = (0, 1, 40, 60, 100)
CHANNELS = (None, "douyin", "wecom")
LADDERS = ("5r", "aipl", "four_exposures", "chosen_types", "brands", "forever")

_STARTS = tuple(from_rfc3339(text) for text in ("2026-01-01T04:00:00+08:00", "2026-01-01T10:00:00+08:00", "2026-01-01T04:00:00-05:00"))
_DAYS = (0, 0, 0, 1, 7, 14, 15, 16, 29, 30, 31, 60, 89, 90, 91, 92, 365, 366, 730)
_SHIFTS = (0, 0, -1, 1, 10 * MINUTE_MS, 10 * MINUTE_MS + 1)
_TYPES = (*CATALOGUE, *["purchase", "refund", "ad_exposure", "like", "group_join", "group_leave"] * 3)


def ladders() -> st.SearchStrategy[Ladder]:
    """The shipped ladders and the golden variants."""
    return st.sampled_from(LADDERS).map(ladder_named)


def crowded_ladders() -> st.SearchStrategy[Ladder]:
    """The same, and one under which much is junk."""
    return st.sampled_from((*LADDERS, "three_a_minute", "three_a_minute")).map(ladder_named)


def instants() -> st.SearchStrategy[int]:
    """Epoch milliseconds at and next to turns, the ends of windows and the bound of lateness; many of them equal."""
    return st.builds(lambda start, days, shift: start + days * DAY_MS + shift, *map(st.sampled_from, (_STARTS, _DAYS, _SHIFTS)))


def ticks() -> st.SearchStrategy[Tick]:
    return st.builds(Tick, occurred_at=instants())


@st.composite
def touchpoints(
    draw: st.DrawFn,
    *,
    event_ids: Sequence[str] = EVENT_IDS,
    brands: Sequence[str] = BRANDS,
    users: Sequence[str] = USERS,
) -> Touchpoint:
    """One valid touchpoint of any type, its ids from small pools."""
    type_ = draw(st.sampled_from(_TYPES))
    kind = CATALOGUE[type_]
    own: dict[str, object] = {}
    if kind is Kind.MEMBERSHIP:
        own["relation_id"] = draw(st.sampled_from(RELATION_IDS))
    elif kind is Kind.ORDER:
        own["order_id"], own["amount"] = draw(st.sampled_from(ORDER_IDS)), draw(st.sampled_from(AMOUNTS))
    return STRUCTS[kind](
        event_id=draw(st.sampled_from(event_ids)),
        type=type_,
        brand=draw(st.sampled_from(brands)),
        user_id=draw(st.sampled_from(users)),
        occurred_at=draw(instants()),
        channel=draw(st.sampled_from(CHANNELS)),
        campaign_id=draw(st.sampled_from((None, "c1"))),
        store_id=draw(st.sampled_from((None, "s1"))),
        **own,  # type: ignore[arg-type]
    )


def _lists(elements: st.SearchStrategy[T], max_size: int) -> st.SearchStrategy[list[T]]:
    """Lists of all lengths: left to itself Hypothesis rarely draws more than ten elements."""
    return st.sampled_from((0, 6, 12, 24)).flatmap(lambda least: st.lists(elements, min_size=min(least, max_size), max_size=max_size))


def _casts() -> st.SearchStrategy[tuple[Sequence[str], Sequence[str]]]:
    """Brands and users of a stream: mostly a single user, to whom much happens."""
    return st.sampled_from(((BRANDS[:1], USERS[:1]), (BRANDS[1:2], USERS[:1]), (BRANDS, USERS)))


def wild_records(*, max_size: int = 60) -> st.SearchStrategy[list[Touchpoint | Tick]]:
    """Any valid records; ids are reused for different things. Some streams are in order of time, others in none."""
    drawn = _casts().flatmap(lambda cast: _lists(_mostly(touchpoints(brands=cast[0], users=cast[1]), ticks()), max_size))
    return st.builds(_ordered, drawn, st.booleans())


def _ordered(records: list[Touchpoint | Tick], by_time: bool) -> list[Touchpoint | Tick]:
    return sorted(records, key=lambda record: millis(record.occurred_at)) if by_time else records


def _mostly(usual: st.SearchStrategy[T], other: st.SearchStrategy[U]) -> st.SearchStrategy[T | U]:
    return st.integers(0, 7).flatmap(lambda n: other if n == 7 else usual)


@st.composite
def consistent_records(draw: st.DrawFn, *, max_size: int = 40, retries: bool = True) -> list[Touchpoint | Tick]:
    """Records of which those that share an event id or a bought order are equal; users share event ids among each other.

    Some streams are in order of time, others in none. With `retries` some records come more than once, next to each other or
    far apart. No user nears a bound on evidence.
    """
    brands, users = draw(_casts())
    drawn = draw(_lists(touchpoints(brands=brands, users=users), max_size))
    records: list[Touchpoint | Tick] = list(_without_conflicts(drawn))
    records += draw(st.lists(ticks(), max_size=3))
    if retries and records:
        records += draw(st.lists(st.sampled_from(records), max_size=max_size // 2))
    return _ordered(draw(st.permutations(records)), draw(st.booleans()))


def _without_conflicts(touchpoints: list[Touchpoint]) -> list[Touchpoint]:
    """Give each touchpoint an event id of its own within its user, and leave out second purchases of an order."""
    kept: list[Touchpoint] = []
    seen: dict[tuple[str, str], int] = {}
    bought: set[tuple[str, str, str]] = set()
    for touchpoint in touchpoints:
        user = touchpoint.brand, touchpoint.user_id
        if touchpoint.type == "purchase":
            order = (*user, str(getattr(touchpoint, "order_id")))  # noqa: B009 - only orders have one
            if order in bought:
                continue
            bought.add(order)
        seen[user] = seen.get(user, 0) + 1
        touchpoint.event_id = f"e{seen[user]}"
        kept.append(touchpoint)
    return kept


@st.composite
def with_sweeps(draw: st.DrawFn, records: Sequence[Touchpoint | Tick]) -> list[Event]:
    """The records in their order, with sweeps at any places between them."""
    events: list[Event] = []
    for record in records:
        if draw(st.booleans()):
            events.append(Sweep())
        events.append(record)
    return events


@st.composite
def with_retries(draw: st.DrawFn, records: Sequence[T]) -> list[T]:
    """The records in their order, some of them told again, once or more, at any later place."""
    told: list[T] = []
    for record in records:
        told.append(record)
        told += draw(st.lists(st.sampled_from(told), max_size=2))
    return told


@st.composite
def merged_otherwise(draw: st.DrawFn, records: Sequence[Touchpoint | Tick]) -> list[Touchpoint | Tick]:
    """The same logs, each in its own order, merged in another one; ticks are a log of their own."""
    logs: dict[Kind | None, list[Touchpoint | Tick]] = {}
    for record in records:
        logs.setdefault(CATALOGUE[record.type] if isinstance(record, Touchpoint) else None, []).append(record)
    order = draw(st.permutations([kind for kind, log in logs.items() for _ in log]))
    heads = {kind: iter(log) for kind, log in logs.items()}
    return [next(heads[kind]) for kind in order]


@st.composite
def batches(draw: st.DrawFn, records: Sequence[T]) -> list[list[T]]:
    """The records in their order, cut into consecutive batches, empty ones among them."""
    cuts = sorted(draw(st.lists(st.integers(0, len(records)), max_size=8)))
    edges = [0, *cuts, len(records)]
    return [list(records[a:b]) for a, b in pairwise(edges)]
