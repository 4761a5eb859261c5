"""When a user's evidence carries which layer. Pure; all times relative to the state's base."""

from __future__ import annotations

from heapq import nlargest
from typing import NamedTuple

from schemas.touchpoint import Kind
from streams.ladder import Brand, Need
from streams.state import State

NEVER = -(1 << 62)
FOR_EVER = 1 << 62


class Lapse(NamedTuple):
    """Until when a layer holds, and the evidence that ends it: its name and the time of the piece whose age breaks the condition."""

    at: int
    evidence: str
    evidence_at: int


def evidence_time(state: State, need: Need) -> int:
    """The time of the count-th latest piece of evidence, NEVER if there are fewer."""
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


def holds_until(state: State, need: Need) -> int:
    """The first instant at which the condition no longer holds: FOR_EVER, or NEVER when the evidence is missing."""
    at = evidence_time(state, need)
    if at == NEVER:
        return NEVER
    return FOR_EVER if need.window is None else at + need.window


def layer_until(state: State, brand: Brand, layer: int) -> int:
    """The first instant at which `layer` no longer holds, given no further evidence; FOR_EVER for the lowest."""
    needs = brand.needs[layer]
    if len(needs) == 1:
        return holds_until(state, needs[0])
    return max((holds_until(state, need) for need in needs), default=FOR_EVER)


def layer_at(state: State, brand: Brand, at: int, below: int | None = None) -> int:
    """The highest layer (of those below `below`) whose predicate holds at `at`."""
    top = len(brand.needs) if below is None else below
    for layer in range(top - 1, 0, -1):
        if layer_until(state, brand, layer) > at:
            return layer
    return 0


def lapse_of(state: State, brand: Brand, layer: int) -> Lapse:
    """What ends `layer`: of the conditions that hold longest, the first in the ladder's order."""
    need = max(brand.needs[layer], key=lambda need: holds_until(state, need))
    return Lapse(holds_until(state, need), need.evidence, evidence_time(state, need))
