"""How many users are counted where records have to be walked through: all in a short period, a sample of them in a long one.

Up to `COUNTED` transitions, or orders, those of everybody are walked through. Beyond, those of one user in `one_in`, of the tables
`move_sample` and `order_sample`, no more than `WALKED` (`WALKED_BY_STAR` for the STAR tables). Each user is in it by a hash of their id,
which is Bernoulli sampling: the estimate of a sum of y has the standard error sqrt((one_in - 1) x sum of y^2) (Saerndal, Swensson,
Wretman, "Model Assisted Survey Sampling", 3.2). So

- of n users sqrt(n x (one_in - 1)): of a million told by one in 32 about half a per cent, by one in 128 1.1 per cent;
- of money that n buyers paid sqrt((one_in - 1) x (1 + c^2) / n) of it, c the standard deviation of what a buyer pays over its mean: with
  c = 1, of a million buyers told by one in 32 0.8 per cent, of ten thousand eight;
- of a share p of n users sqrt((one_in - 1) x p x (1 - p) / n).
"""

from __future__ import annotations

from typing import NamedTuple

from sinks.tables import SAMPLED_ONE_IN

COUNTED = 2_000_000
WALKED = 4_000_000
WALKED_BY_STAR = 1_000_000
"""The STAR tables walk several times, and a comparison through two periods."""
_RANKS = 6


class Sample(NamedTuple):
    """One user in `one_in`: those of `rank` and above in the tables of samples; everybody if that is 1."""

    one_in: int
    rank: int

    @property
    def is_partial(self) -> bool:
        """Whether it leaves anybody out."""
        return self.one_in > 1


def sample_of(records: int, counted: int = COUNTED, walked: int = WALKED) -> Sample:
    """The largest sample of a period with so many transitions, or orders, of which no more than `walked` are read."""
    if records <= counted:
        return Sample(1, 0)
    rank = 0
    while rank < _RANKS and records // (SAMPLED_ONE_IN << rank) > walked:
        rank += 1
    return Sample(SAMPLED_ONE_IN << rank, rank)
