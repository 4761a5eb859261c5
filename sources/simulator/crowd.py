"""The people of one brand, and what the simulator remembers of each: two bytes, and their last order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

SEEN, RESPONDED, RELATION = 1, 2, 4
"""Bits of what a person has done; relation 0 to 3 is RELATION shifted by as much."""

_MOST_PAID = 255


class Standing(NamedTuple):
    """What puts a person on a layer: bits of evidence, and how many orders they have paid for and kept."""

    evidence: int
    paid: int

    @property
    def stage(self) -> int:
        """0 to 5: what the 5R ladder says, as long as no window runs out."""
        if self.paid:
            return 5 if self.paid > 1 else 4
        return 3 if self.evidence >= RELATION else self.evidence.bit_length()


@dataclass(slots=True)
class LastOrder:
    """An order that may still be returned; amounts in minor units."""

    order_id: str
    amount: int
    refunded: int = 0


class Crowd:
    """People 0 to `size` - 1, all outside the ladder at first. Their standing is kept so that they act their part, and told to
    nobody. More than 255 orders of one person are not told apart."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.last_order: dict[int, LastOrder] = {}
        self._evidence = bytearray(size)
        self._paid = bytearray(size)

    def standing(self, person: int) -> Standing:
        """Where they are now."""
        return Standing(self._evidence[person], self._paid[person])

    def move(self, person: int, standing: Standing) -> None:
        """Puts them there."""
        self._evidence[person] = standing.evidence
        self._paid[person] = min(standing.paid, _MOST_PAID)
