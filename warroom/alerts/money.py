"""A promotion that will miss its target, and spend that brings nothing back."""

from __future__ import annotations

from warroom.alerts.counts import UsualCounts, judge_few
from warroom.alerts.judged import Judged
from warroom.pacing import LEVEL, Projection


def judge_pace(projection: Projection, target: float) -> Judged:
    """How likely it is that a promotion still comes to its target, by the range of its projected end (`warroom.pacing`).

    The range is taken as a normal distribution's at LEVEL about the projected end (the ratio estimator's, Cochran 1977, "Sampling
    Techniques", section 6.3): so the further the target above the range, the smaller the chance.
    """
    from scipy import stats  # slow to import: only where something is judged

    spread = (projection.high - projection.end) / stats.norm.ppf((1 + LEVEL) / 2)
    if spread <= 0:
        return Judged(observed=projection.end, expected=target, chance=1.0 if projection.end >= target else 0.0)
    return Judged(observed=projection.end, expected=target, chance=float(stats.norm.sf((target - projection.end) / spread)))


def judge_return(orders: int, spend: int, usual: UsualCounts) -> Judged:
    """How unlikely it is that `spend` (minor units) brought so few orders, by what the same money brought before.

    Spend is the exposure of a Poisson count whose rate differs between campaigns and days as a Gamma does, so orders are negative binomial
    (Gelman et al., "Bayesian Data Analysis", 3rd edition, section 2.6).
    """
    return judge_few(orders, float(spend), usual)
