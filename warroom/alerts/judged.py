"""What every detector says of a figure: what it is, what it usually is, and how likely that is by chance."""

from __future__ import annotations

from math import log10

from msgspec import Struct


class Judged(Struct, frozen=True, kw_only=True):
    """`chance` is the probability, if all is as usual, of a figure as far from `expected` on its side as `observed` or further."""

    observed: float
    expected: float
    chance: float

    @property
    def change(self) -> float:
        """By how much it is off, as a fraction: -0.5 is half of what is expected; 0 where nothing is expected."""
        return self.observed / self.expected - 1.0 if self.expected else 0.0


def surprise(judged: Judged) -> float:
    """How surprising, in powers of ten: 6 is one in a million. 300 at most."""
    return 300.0 if judged.chance <= 1e-300 else -log10(judged.chance)
