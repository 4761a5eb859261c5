"""Conversion rates with their uncertainty: of `tried`, `done`. Beta-binomial.

A rate is not the same in every stretch of time: it scatters by itself, as a Beta distribution with intraclass correlation rho, and what is
counted scatters about it as a binomial. rho is fitted to the stretches of before by moments (Williams 1982, "Extra-binomial variation in
logistic linear models", Applied Statistics 31; the estimator for one proportion, weighted as in Kleinman 1973, JASA 68). That the usual
rate is itself an estimate adds 1 / tried to it. The tail probability is the beta-binomial's (Gelman et al., "Bayesian Data Analysis",
3rd edition, section 2.4: the predictive distribution of a binomial under a Beta prior).

Few stretches say little of the scatter: it is drawn towards SUPPOSED as if that had been seen in SEEN stretches more (scaled inverse
chi-squared, Gelman et al., section 2.6).

A rush in the past must not set the measure for the time after it: stretches count no more than three times the median one, and the
twelfth of stretches with the highest rates, and that with the lowest, do not count at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import NormalDist, median

from msgspec import Struct

from warroom.alerts.judged import Judged

LEAST_STRETCHES = 6
STEADIEST = 0.02
"""No rate is taken to be steadier than this, as a relative standard deviation."""

SUPPOSED, SEEN = 0.04, 6
"""The relative standard deviation that is supposed before any is seen, and how many stretches that counts for."""

COMMON = 0.1
"""Scatter of rates between stretches, as a relative standard deviation, that is nothing special: few figures are not believed much more."""

_HIGHEST = 0.99
_CAP = 3.0
_TRIMMED = 12
_EXACT = 20_000
"""Up to so many tries the tail is summed term by term; above it a Beta of the same mean and variance stands in.

Where the chance is above 1e-10 it was at most 0.37 powers of ten off in 1,500 cases drawn at the bound."""


class UsualRate(Struct, frozen=True, kw_only=True):
    """A rate, and how closely a stretch of time follows it: the intraclass correlation, what the rate's own uncertainty adds included."""

    rate: float
    rho: float

    @property
    def scatter(self) -> float:
        """The relative standard deviation of the rate between stretches."""
        return sqrt(self.rho * (1 - self.rate) / self.rate)

    def expected(self, done: int, measure: float, *, alone: bool) -> float:
        """How many are to be expected of `measure` tries; where those that were done are tries of their own (`alone`), of the rest."""
        return (measure - done) * self.rate / (1 - self.rate) if alone else measure * self.rate

    def moved(self, level: float, scatter: float) -> UsualRate:
        """A rate `level` times as high that scatters by so much."""
        rate = min(self.rate * level, _HIGHEST)
        return UsualRate(rate=rate, rho=min(scatter**2 * rate / (1 - rate), 0.5))

    def at_least(self, scatter: float) -> UsualRate:
        """The same rate, taken to scatter by no less."""
        return UsualRate(rate=self.rate, rho=min(max(self.rho, scatter**2 * self.rate / (1 - self.rate)), 0.5))


def usual_rate(stretches: Sequence[tuple[int, int]]) -> UsualRate | None:
    """From (done, tried) of stretches of equal length; None if there are too few of them, or nothing was done."""
    known = [(x, n) for x, n in stretches if n > 0]
    if len(known) < LEAST_STRETCHES:
        return None
    kept = _kept(known)
    cap = _CAP * median(n for _, n in kept)
    weights = [min(1.0, cap / n) for _, n in kept]
    tried = sum(w * n for w, (_, n) in zip(weights, kept, strict=True))
    rate = sum(w * x for w, (x, _) in zip(weights, kept, strict=True)) / tried
    if not 0.0 < rate < 1.0:
        return None
    found = _correlation(kept, weights, rate, left_of_variance(len(kept), len(known)))
    rho = _shrunk(found, rate, len(kept), tried / sum(weights))
    return UsualRate(rate=rate, rho=min(rho + 1 / tried, 0.5))


def _shrunk(found: float, rate: float, stretches: int, tried: float) -> float:
    """The correlation that was found, drawn towards a steady rate the more, the less so many stretches of so many tries can tell of it
    (normal shrinkage; the standard error is that of a variance about a binomial's)."""
    unit = rate / (1 - rate)
    steady, common = STEADIEST**2 * unit, COMMON**2 * unit
    error = sqrt(2 / stretches) / tried
    weight = common**2 / (common**2 + error**2)
    likely = max(steady, weight * found + (1 - weight) * steady)
    return (stretches * likely + SEEN * SUPPOSED**2 * unit) / (stretches + SEEN)


def left_of_variance(kept: int, known: int) -> float:
    """What is left of a normal distribution's variance without the ends that were cut off (Johnson, Kotz and Balakrishnan 1994,
    "Continuous Univariate Distributions", volume 1, section 13.10: the doubly truncated normal)."""
    if kept == known:
        return 1.0
    normal = NormalDist()
    bound = normal.inv_cdf((1 + kept / known) / 2)
    return 1 - 2 * bound * normal.pdf(bound) * known / kept


def _correlation(kept: list[tuple[int, int]], weights: list[float], rate: float, left: float) -> float:
    """The intraclass correlation, by moments: by how much squared residuals are larger than a binomial's."""
    unit = rate * (1 - rate)
    squares = [(x - n * rate) ** 2 / (n * unit) / left for x, n in kept]
    excess = sum(w * (square - 1) for w, square in zip(weights, squares, strict=True))
    freedom = sum(w * (n - 1) for w, (_, n) in zip(weights, kept, strict=True))
    return excess / freedom if freedom > 0 else 0.0


def judge_drop(done: int, tried: int, usual: UsualRate) -> Judged:
    """How unlikely it is that of `tried` so few were done."""
    return Judged(observed=done / tried, expected=usual.rate, chance=_at_most(done, tried, usual))


def judge_rise(done: int, tried: int, usual: UsualRate) -> Judged:
    """How unlikely it is that of `tried` so many were done."""
    mirrored = UsualRate(rate=1 - usual.rate, rho=usual.rho)
    return Judged(observed=done / tried, expected=usual.rate, chance=_at_most(tried - done, tried, mirrored))


def standard_score(done: int, tried: int, usual: UsualRate) -> float:
    """By how many standard deviations it is off: quick, to look closer only where it is worth it."""
    variance = tried * usual.rate * (1 - usual.rate) * (1 + (tried - 1) * usual.rho)
    return float((done - tried * usual.rate) / variance**0.5) if variance > 0 else 0.0


def _kept(stretches: list[tuple[int, int]]) -> list[tuple[int, int]]:
    ordered = sorted(stretches, key=lambda one: one[0] / one[1])
    cut = len(ordered) // _TRIMMED
    return ordered[cut : len(ordered) - cut]


def _at_most(done: int, tried: int, usual: UsualRate) -> float:
    from scipy import stats  # slow to import: only where something is judged

    strength = 1 / usual.rho - 1
    if tried <= _EXACT:
        return float(min(1.0, stats.betabinom.cdf(done, tried, usual.rate * strength, (1 - usual.rate) * strength)))
    rho = usual.rho + (1 - usual.rho) / tried  # the share's variance, over rate (1 - rate)
    strength = 1 / rho - 1
    return float(stats.beta.cdf((done + 0.5) / tried, usual.rate * strength, (1 - usual.rate) * strength))
