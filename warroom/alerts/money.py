"""A promotion that will miss its target, and spend that brings nothing back. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from schemas.alert import Severity
from schemas.promotion import Promotion
from schemas.times import DAY_MS
from warroom.alerts import telling
from warroom.alerts.counts import LEAST_STRETCHES, UsualCounts, judge_few, usual_counts
from warroom.alerts.judged import Judged, surprise
from warroom.alerts.lasting import Stands
from warroom.alerts.rules import PaceRule, SpendRule
from warroom.pacing import LEVEL, Projection, planned_by_minute, project
from warroom.targets import in_force

EARLIEST = 0.25
"""Of a day that must be over before what its spend brought is judged; until then that of the day before is."""
_BACK = 5.0
"""So many times likelier than what alarms counts as back."""


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


def judge_return(orders: int, spend: float, usual: UsualCounts) -> Judged:
    """How unlikely it is that `spend` (minor units) brought so few orders, by what the same money brought before.

    Spend is the exposure of a Poisson count whose rate differs between campaigns and days as a Gamma does, so orders are negative binomial
    (Gelman et al., "Bayesian Data Analysis", 3rd edition, section 2.6).
    """
    return judge_few(orders, spend, usual)


def pace(versions: list[Promotion], gmv: Sequence[float], at: int, rule: PaceRule, words: telling.Words) -> Stands | None:
    """How a promotion (all versions, oldest first) stands to its target at a whole minute within its window; `gmv` by minute from its begin
    on. None while too little of the plan is due to say."""
    now = in_force(versions, at)
    due = now.share_at(at)
    if due < rule.least_due or not now.target.gmv:
        return None
    projection = project(gmv, planned_by_minute(now, at), 1 - due)
    if projection is None:
        return None
    target = float(now.target.gmv)
    judged = judge_pace(projection, target)
    short = target - projection.end
    return Stands(
        rule="pace_behind",
        key=now.promotion_id,
        alarming=judged.chance <= rule.chance and short >= rule.least_shortfall * target,
        back=judged.chance >= min(0.5, _BACK * rule.chance) or short < rule.least_shortfall / 2 * target,
        severity=Severity.CRITICAL if short >= rule.critical_shortfall * target else Severity.WARNING,
        title=telling.pace_title(now.name, short / target),
        summary=telling.pace_summary(projection, target, due, judged.chance, words),
        scope={"promotion_id": now.promotion_id},
        observed=projection.end,
        expected=target,
        gmv_at_stake=max(0, round(short)),
    )


class SpendDay(Struct, frozen=True, kw_only=True):
    """What a label (`dimension`: `channel` or `campaign_id`) cost on the day that begins at `begins_at`, minor units, and the orders it has
    brought on it."""

    dimension: str
    label: str
    begins_at: int
    spend: int
    orders: int


def spend(days: Sequence[SpendDay], at: int, rule: SpendRule, words: telling.Words) -> list[Stands]:
    """What the spend of each label brings: on the running day once EARLIEST of it is over, before that on the last.

    Of the running day's spend as much is held against its orders as is over of the day: whether what is told was spent so far or is for
    the whole day, no more than that can have brought anything yet.
    """
    paid = [one for one in days if one.spend > 0 and one.label]
    found = []
    for dimension, label in sorted({(one.dimension, one.label) for one in paid}):
        of_dimension = [one for one in paid if one.dimension == dimension]
        judged = max(
            (one for one in of_dimension if one.label == label and one.begins_at + EARLIEST * DAY_MS <= at), key=_begin, default=None
        )
        if judged is None or at - judged.begins_at >= 2 * DAY_MS:
            continue
        usual = _usual(of_dimension, label, judged.begins_at)
        if usual is not None:
            found.append(_returned(judged, min(1.0, (at - judged.begins_at) / DAY_MS), usual, rule, words))
    return found


def _begin(day: SpendDay) -> int:
    return day.begins_at


def _usual(days: Sequence[SpendDay], label: str, before: int) -> UsualCounts | None:
    """By the label's own days; of a label that is new by everybody's: then labels that differ make it waver the more."""
    past = [one for one in days if one.begins_at < before]
    own = [(one.orders, float(one.spend)) for one in past if one.label == label]
    return usual_counts(own if len(own) >= LEAST_STRETCHES else [(one.orders, float(one.spend)) for one in past])


def _returned(day: SpendDay, over: float, usual: UsualCounts, rule: SpendRule, words: telling.Words) -> Stands:
    judged = judge_return(day.orders, day.spend * over, usual)
    lost = max(0.0, -judged.change) * day.spend * over
    enough = day.spend * over >= rule.least_spend
    return Stands(
        rule="spend_without_return",
        key=f"{day.dimension}={day.label}",
        alarming=enough and surprise(judged) >= rule.surprise and judged.change <= -rule.least_change,
        back=judged.change > -rule.least_change / 2,
        severity=Severity.WARNING,
        title=telling.spend_title(day.label, -judged.change),
        summary=telling.spend_summary(day.orders, judged.expected, round(day.spend * over), judged.chance, words),
        scope={day.dimension: day.label},
        observed=judged.observed,
        expected=judged.expected,
        gmv_at_stake=round(lost),
    )
