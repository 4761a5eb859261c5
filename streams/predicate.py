"""When a user's evidence carries which layer. Pure; all times relative to the state's base."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import nlargest
from typing import NamedTuple

from schemas.touchpoint import Kind
from streams.state import State

NEVER = -(1 << 62)
FOR_EVER = 1 << 62

Until = Callable[[State], int]
"""The first instant at which something no longer holds, given no further evidence: FOR_EVER, or NEVER where it does not hold at all."""


class Need(NamedTuple):
    """One condition of a layer: at least `at_least` pieces of the evidence in `slot`, each younger than `window` ms (None: for ever)."""

    kind: Kind
    slot: int
    at_least: int
    window: int | None
    evidence: str
    relations: frozenset[int]


class Lapse(NamedTuple):
    """What ended a layer: the evidence's name and the time of the piece whose age broke the condition."""

    evidence: str
    at: int


def layer_until(needs: Sequence[Need]) -> Until:
    """Until when the layer with these conditions holds; the lowest layer, which has none, for ever."""
    untils = [need_until(need) for need in needs]
    if not untils:
        return lambda _: FOR_EVER
    if len(untils) == 1:
        return untils[0]
    return lambda state: max(until(state) for until in untils)


def need_until(need: Need) -> Until:
    """Until when one condition holds."""
    window, slot = need.window, need.slot
    if need.at_least == 1 and window is not None and need.kind in (Kind.EXPOSURE, Kind.INTERACTION):

        def latest(state: State) -> int:
            touch = state.touches[slot]
            return touch[1] + window if touch else NEVER

        return latest

    def nth_latest(state: State) -> int:
        at = evidence_time(state, need)
        if at == NEVER:
            return NEVER
        return FOR_EVER if window is None else at + window

    return nth_latest


def evidence_time(state: State, need: Need) -> int:
    """The time of the `at_least`-th latest piece of evidence, NEVER if there are fewer."""
    count = need.at_least
    if need.kind is Kind.ORDER:
        if state.orders is None or len(state.orders) < count:
            return NEVER
        times = [order.at for order in state.orders if order.is_net_paid]
    elif need.kind is Kind.MEMBERSHIP:
        if state.relations is None or len(state.relations) < count:
            return NEVER
        times = [relation.at for relation in state.relations if relation.active and relation.kind in need.relations]
    else:
        touch = state.touches[need.slot]
        if not touch:
            return NEVER
        if count == 1:
            return touch[1]
        times = touch[3::2]
    if len(times) < count:
        return NEVER
    return max(times) if count == 1 else nlargest(count, times)[-1]


def layer_at(state: State, until: Sequence[Until], at: int, below: int) -> int:
    """The highest layer below `below` whose predicate holds at `at`."""
    for layer in range(below - 1, 0, -1):
        if until[layer](state) > at:
            return layer
    return 0


def lapse_of(state: State, needs: Sequence[Need]) -> Lapse:
    """What ends the layer with these conditions: of those that hold longest, the first in the ladder's order."""
    need = max(needs, key=lambda need: need_until(need)(state))
    return Lapse(need.evidence, evidence_time(state, need))
