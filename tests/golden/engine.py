"""What a golden case is put to: an engine takes events in order and says what became of them.

Every fold of the ladder is wrapped as an `Engine` and answers in the plain fold's own terms, so that one table judges all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.ladder import Ladder
from schemas.touchpoint import Tick, Touchpoint
from streams.plain import Outcome, PlainFigures, PlainFold, PlainTransition


@dataclass(frozen=True)
class Sweep:
    """Every user's clock is moved to the last turn of its brand."""


Event = Touchpoint | Tick | Sweep


@dataclass(frozen=True)
class Result:
    """What a run of events came to.

    `transitions` are in the order found, `outcomes` one for each event that is no sweep; `layers` holds each (brand, user) ever
    seen, at its clock; `figures` is the money of all brands.
    """

    transitions: list[PlainTransition]
    layers: dict[tuple[str, str], str]
    outcomes: list[Outcome]
    figures: PlainFigures


class Engine(Protocol):
    """A fold under test; it starts empty at every run and keeps nothing between runs."""

    def run(self, ladder: Ladder, events: Sequence[Event]) -> Result:
        """Take the events in the order given."""
        ...


class PlainEngine:
    """The plain fold, one event at a time."""

    def run(self, ladder: Ladder, events: Sequence[Event]) -> Result:
        fold = PlainFold(ladder)
        transitions: list[PlainTransition] = []
        outcomes: list[Outcome] = []
        for event in events:
            if isinstance(event, Sweep):
                transitions += fold.sweep()
            else:
                outcome, found = fold.apply(event)
                outcomes.append(outcome)
                transitions += found
        layers = {key: ladder.layers[user.layer].id for key, user in fold.users.items()}
        return Result(transitions, layers, outcomes, fold.figures())
