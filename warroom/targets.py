"""A promotion's target tree as its cells: one for each leaf of the tree and layer in it, with who answers for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msgspec import Struct

from schemas.promotion import Promotion, Target

NOT_NAMED = "-"
"""Stands in a path for the channel of a target that covers a store whatever the channel."""


class Scope(NamedTuple):
    """What a target covers: a channel, a store, a store's part in a channel, or (both None) the brand."""

    channel: str | None = None
    store_id: str | None = None

    @property
    def path(self) -> str:
        """`tmall`, `store/sh-017`, `-/sh-017`; empty for the brand."""
        if self.store_id is not None:
            return f"{self.channel or NOT_NAMED}/{self.store_id}"
        return self.channel or ""

    def covers(self, channel: str, store_id: str) -> bool:
        """Whether an order with these labels (empty: none) falls under it."""
        return self.channel in (None, channel) and self.store_id in (None, store_id)


class Factors(Struct, frozen=True):
    """What the GMV of a cell is made of: heads, orders a head, money an order (minor units)."""

    headcount: float
    conversion_rate: float
    order_value: float

    @property
    def orders(self) -> float:
        """Heads x conversion rate."""
        return self.headcount * self.conversion_rate

    @property
    def gmv(self) -> float:
        """Heads x conversion rate x order value, minor units."""
        return self.orders * self.order_value


class Cell(NamedTuple):
    """A layer of a leaf of the tree."""

    scope: Scope
    layer: str

    @property
    def path(self) -> str:
        """`tmall/R3`, `store/sh-017/R3`; `R3` where the tree is one leaf."""
        return f"{self.scope.path}/{self.layer}".lstrip("/")


def leaves(target: Target) -> Iterator[Target]:
    """The leaves of the tree, in its order."""
    if not target.parts:
        yield target
    for part in target.parts:
        yield from leaves(part)


def scope_of(target: Target) -> Scope:
    """What a node of the tree covers."""
    return Scope(target.channel, target.store_id)


def cells(target: Target) -> dict[Cell, Factors]:
    """The target of every cell, in the order of the tree."""
    return {
        Cell(scope_of(leaf), row.layer): Factors(row.headcount, row.conversion_rate, row.order_value)
        for leaf in leaves(target)
        for row in leaf.layers
    }


def owners(target: Target) -> dict[Scope, str]:
    """Who answers for each leaf."""
    return {scope_of(leaf): leaf.owner for leaf in leaves(target)}


def covering(scopes: list[Scope], channel: str, store_id: str) -> Scope | None:
    """The narrowest scope that covers these labels (the first of equals), None if none does: so an order counts once."""
    found = [scope for scope in scopes if scope.covers(channel, store_id)]
    return min(found, key=lambda scope: (scope.channel is None) + (scope.store_id is None), default=None)


def planned_orders(target: Target) -> float:
    """How many orders the target takes: heads x conversion rate over all cells. A plan knows one order a buyer, so also buyers."""
    return sum(factors.orders for factors in cells(target).values())


def in_force(versions: list[Promotion], at_ms: int) -> Promotion:
    """The version that counts at an instant: the newest of those that have taken effect; before any has, the first.

    `versions` are one promotion's, oldest first, at least one.
    """
    effective = [version for version in versions if version.effective_ms <= at_ms]
    return max(effective, key=lambda version: version.version, default=versions[0])
