"""How many users are counted where distinct ones have to be walked through: all in a short period, a sample of them in a long one.

Up to `COUNTED` transitions everybody is counted. Beyond, the users of the table `move_sample` are, one in `one_in`: of n users told, the
estimate's standard error is sqrt(n x (one_in - 1)), so of a million told by one in 32 about half a per cent.
"""

from __future__ import annotations

from typing import NamedTuple

from sinks.tables import SAMPLED_ONE_IN

COUNTED = 2_000_000
WALKED = 4_000_000
_RANKS = 6


class Sample(NamedTuple):
    """One user in `one_in`: those of `rank` and above in `move_sample`; everybody if that is 1."""

    one_in: int
    rank: int

    @property
    def is_partial(self) -> bool:
        """Whether it leaves anybody out."""
        return self.one_in > 1


def sample_of(transitions: int, counted: int = COUNTED, walked: int = WALKED) -> Sample:
    """The largest sample of a period with so many transitions of which no more than `walked` are read."""
    if transitions <= counted:
        return Sample(1, 0)
    rank = 0
    while rank < _RANKS and transitions // (SAMPLED_ONE_IN << rank) > walked:
        rank += 1
    return Sample(SAMPLED_ONE_IN << rank, rank)
