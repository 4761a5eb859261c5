"""Sums that ought to be equal and are not: figures that nobody should judge by. Pure.

While the sink stores a block, one table has it and the next not yet. What is out of balance in every look for some time is no such thing.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class Unbalanced(Struct, frozen=True, kw_only=True):
    """What does not add up: of which brand ("" for all), where, and in words."""

    brand: str
    where: str
    detail: str


class Balance:
    """Remembers since when what is out of balance. `now` is in seconds of a clock that never runs backwards."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, str], tuple[float, Unbalanced]] = {}
        self._looked = 0.0

    def look(self, now: float, found: Mapping[tuple[str, str], Unbalanced]) -> None:
        """All that is out of balance at this look."""
        self._looked = now
        self._since = {key: (self._since.get(key, (now, one))[0], one) for key, one in found.items()}

    def lasting(self, brand: str, seconds: float) -> list[str]:
        """What has been out of balance in every look over so many seconds, in English; of the time since the last look nothing is known."""
        return [
            f"the ledger is out of balance: {one.where}: {one.detail}"
            for since, one in self._since.values()
            if one.brand in ("", brand) and self._looked - since >= seconds
        ]
