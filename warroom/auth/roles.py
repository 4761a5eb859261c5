"""Roles, and whoever is asking."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from msgspec import Struct


class Role(StrEnum):
    """What one may do, each role all that the ones before may.

    A viewer sees figures, user ids masked; an operator also users, audiences and promotions, which it may change; an admin the audit log.
    """

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def may(self, needed: Role) -> bool:
        """Whether this role may do what `needed` may."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class Principal(Struct, frozen=True, kw_only=True):
    """Who is asking: a user by a session, a token, or whoever sits at a machine without accounts. `brands` None: all of them."""

    name: str
    role: Role
    brands: tuple[str, ...] | None = None
    by: Literal["session", "token", "local"]

    def sees(self, brand: str) -> bool:
        """Whether the brand is theirs to see."""
        return self.brands is None or brand in self.brands

    @property
    def id(self) -> str:
        """Tells a user from a token of the same name."""
        return f"{self.by}:{self.name}"


LOCAL = Principal(name="local", role=Role.ADMIN, by="local")
"""Without accounts, which only a loopback address allows, everyone is at home."""
