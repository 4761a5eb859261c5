"""The ladder compiled for the fold: evidence as slots, conditions in milliseconds, one rule book per brand."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from msgspec import Struct

from schemas.ladder import Evidence, Ladder
from schemas.times import DAY_MS
from schemas.touchpoint import CATALOGUE, PURCHASE, RELATIONS, Kind
from streams.calendar import Calendar
from streams.predicate import NEVER, Need, Until, layer_until
from streams.state import State

RELATION_KINDS: tuple[str, ...] = tuple(dict.fromkeys(kind for kind, _ in RELATIONS.values()))
"""Kinds of relation, numbered as states hold them: only ever append."""


class Effect(IntEnum):
    """What a type of touchpoint does to a user's evidence."""

    NOTHING = 0
    TOUCH = 1
    RELATION = 2
    PURCHASE = 3
    REFUND = 4


class Rule(Struct, frozen=True):
    """What one type does: its effect, the evidence slot it feeds, and for relations their kind and whether they are active after it."""

    kind: Kind
    effect: Effect
    slot: int
    relation: int
    active: bool
    reversal: bool
    """leaves and refunds: they are no touch of the user by the brand"""


class Brand:
    """The rule book of one brand."""

    def __init__(self, ladder: Ladder, name: str, calendar: Calendar) -> None:
        self.name = name
        self.key = name.replace("%", "%25").replace(":", "%3A")
        """the brand inside Redis keys, where a colon ends it"""
        self.calendar = calendar
        self.currency = ladder.currency_of(name)
        self.junk_above = ladder.junk_above_of(name)
        slots = list(ladder.evidence)
        self.needs: tuple[tuple[Need, ...], ...] = tuple(
            tuple(
                Need(
                    kind=ladder.evidence[c.evidence].topic,
                    slot=slots.index(c.evidence),
                    at_least=c.count,
                    window=None if c.window_days is None else c.window_days * DAY_MS,
                    evidence=c.evidence,
                    relations=_relations(ladder.evidence[c.evidence]),
                )
                for c in conditions
            )
            for conditions in ladder.conditions(name)
        )
        # A layer without conditions, such as a brand can take from the ladder, never holds; nobody asks about the lowest.
        self.until: tuple[Until, ...] = tuple(layer_until(needs) if needs else _never for needs in self.needs)
        """per layer, until when a user's evidence carries it"""
        self.keep = tuple(
            max((need.at_least for needs in self.needs for need in needs if need.slot == s), default=1) for s in range(len(slots))
        )
        """per slot, the highest count any layer asks for"""
        self.above = tuple(
            tuple(
                tuple(layer for layer in range(len(self.needs) - 1, current, -1) if any(need.slot == s for need in self.needs[layer]))
                for current in range(len(self.needs))
            )
            for s in range(len(slots))
        )
        """above[slot][layer]: the layers above `layer` that evidence in `slot` can lead to, highest first"""


MAX_BRANDS = 4_096
"""Rule books kept: a producer that invents brands costs time, not memory."""


class Brands(dict[str, Brand]):
    """The rule book of each brand by name, made at its first use."""

    def __init__(self, make: Callable[[str], Brand]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, name: str) -> Brand:
        if len(self) >= MAX_BRANDS:
            self.clear()
        brand = self[name] = self._make(name)
        return brand


class Rules:
    """A ladder, compiled. Pure values but for the cache of brands. `layers` where users are counted by others beside the ladder's own."""

    def __init__(self, ladder: Ladder, layers: tuple[str, ...] | None = None) -> None:
        self.ladder = ladder
        self.id = ladder.id
        self.layers = layers or tuple(layer.id for layer in ladder.layers)
        self.slots = tuple(ladder.evidence)
        self.types = {name: _rule(ladder, name, kind) for name, kind in CATALOGUE.items()}
        self.channels = frozenset(ladder.channels).union(*(override.channels for override in ladder.brands.values()))
        """all that the ladder names: a producer can invent more"""
        self._calendars: dict[tuple[str, str], Calendar] = {}
        self.brands = Brands(self._new_brand)
        for name in ("", *ladder.brands):
            self._calendar(name)

    def brand_of_key(self, key: str) -> Brand:
        """The rule book of the brand written `key` in Redis."""
        return self.brands[key.replace("%3A", ":").replace("%25", "%")]

    def last_turn(self, at: int) -> int:
        """The latest turn at or before `at` of any brand: the one the shard sweeps to."""
        return max(calendar.last_turn(at) for calendar in self._calendars.values())

    def _new_brand(self, name: str) -> Brand:
        return Brand(self.ladder, name, self._calendar(name))

    def _calendar(self, name: str) -> Calendar:
        zone, turn = self.ladder.calendar(name)
        return self._calendars.setdefault((zone, turn), Calendar(zone, turn))


def _never(_: State) -> int:
    return NEVER


def _rule(ladder: Ladder, name: str, kind: Kind) -> Rule:
    slot = next(
        (i for i, e in enumerate(ladder.evidence.values()) if e.topic is kind and (e.types is None or name in e.types)),
        -1,
    )
    if kind is Kind.MEMBERSHIP:
        relation, active = RELATIONS[name]
        return Rule(kind, Effect.RELATION, slot, RELATION_KINDS.index(relation), active, reversal=not active)
    if kind is Kind.ORDER:
        bought = name == PURCHASE
        return Rule(kind, Effect.PURCHASE if bought else Effect.REFUND, slot, -1, bought, reversal=not bought)
    return Rule(kind, Effect.NOTHING if slot < 0 else Effect.TOUCH, slot, -1, active=True, reversal=False)


def _relations(evidence: Evidence) -> frozenset[int]:
    names = evidence.types if evidence.types is not None else RELATIONS
    return frozenset(RELATION_KINDS.index(RELATIONS[name][0]) for name in names if name in RELATIONS)
