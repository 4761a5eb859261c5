"""Counts with their uncertainty: orders, joins, exposures, leaves of a stretch of time against what was to be expected. Negative binomial.

Counts scatter more than Poisson counts would: the level itself wavers, as a Gamma distribution, which makes the count negative binomial
with variance mean + mean^2 / size (Cameron and Trivedi, "Regression Analysis of Count Data", 2nd edition, section 3.3: NB2;
Hilbe, "Negative Binomial Regression", chapter 8). 1 / size is fitted by moments to (count, expected) of stretches
of before: squared residuals, less Poisson's part.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from warroom.alerts.conversion import left_of_variance
from warroom.alerts.judged import Judged

LEAST_STRETCHES = 6
STEADIEST = 0.02
"""No level is taken to be steadier than this, as a relative standard deviation."""
_PLAIN = 10.0
"""Counts up to about so many weigh by their size, larger ones each alike: so that one large stretch does not decide alone."""


class UsualCounts(Struct, frozen=True, kw_only=True):
    """How many there are for each unit of what they are measured by, and how the level wavers: the variance of its relative error."""

    ratio: float
    wavering: float


def usual_counts(stretches: Sequence[tuple[int, float]]) -> UsualCounts | None:
    """From (count, measure) of stretches of equal length: the measure is what the count ought to be in proportion to.

    An earlier promotion's curve, the brand's whole traffic, or 1. None if there are too few stretches, or nothing was counted.
    """
    known = [(count, measure) for count, measure in stretches if measure > 0]
    if len(known) < LEAST_STRETCHES:
        return None
    kept = _middle(known)
    ratio = sum(count for count, _ in kept) / sum(measure for _, measure in kept)
    if ratio <= 0:
        return None
    left = left_of_variance(len(kept), len(known))
    weights = [1 / (1 + ratio * measure / _PLAIN) ** 2 for _, measure in kept]
    excess = sum(w * ((c - ratio * m) ** 2 / left - ratio * m) for w, (c, m) in zip(weights, kept, strict=True))
    wavering = excess / sum(w * (ratio * m) ** 2 for w, (_, m) in zip(weights, kept, strict=True))
    return UsualCounts(ratio=ratio, wavering=max(wavering, STEADIEST**2) + 1 / sum(count for count, _ in kept))


def judge_few(count: int, measure: float, usual: UsualCounts) -> Judged:
    """How unlikely so few are."""
    mean = usual.ratio * measure
    return Judged(observed=float(count), expected=mean, chance=_at_most(count, mean, usual.wavering))


def judge_many(count: int, measure: float, usual: UsualCounts) -> Judged:
    """How unlikely so many are: group leaves, refunds."""
    mean = usual.ratio * measure
    return Judged(observed=float(count), expected=mean, chance=_at_least(count, mean, usual.wavering))


def standard_score(count: int, measure: float, usual: UsualCounts) -> float:
    """By how many standard deviations it is off: quick, to look closer only where it is worth it."""
    mean = usual.ratio * measure
    return float((count - mean) / (mean + usual.wavering * mean**2) ** 0.5) if mean > 0 else 0.0


def _middle(known: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Without the twelfth of stretches at either end: a rush must not set the measure for the time after it."""
    ordered = sorted(known, key=lambda one: one[0] / one[1])
    cut = len(ordered) // 12
    return ordered[cut : len(ordered) - cut]


def _at_most(count: int, mean: float, wavering: float) -> float:
    from scipy import stats  # slow to import: only where something is judged

    size = 1 / wavering
    return float(stats.nbinom.cdf(count, size, size / (size + mean)))


def _at_least(count: int, mean: float, wavering: float) -> float:
    from scipy import stats

    size = 1 / wavering
    return float(stats.nbinom.sf(count - 1, size, size / (size + mean)))
