"""A plan curve keeps the shape of what it is made from."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.promotion import Phase, PhaseName, PlanPoint, Promotion, Window
from schemas.times import MINUTE_MS, to_rfc3339
from tests.unit.warroom.promotions_by_hand import BEGIN, DAY, at, promotion
from warroom.plan_curve import CurveError, from_earlier, laid_over


def window(begin: int, minutes: int) -> Window:
    return Window(from_=to_rfc3339(begin), to=to_rfc3339(begin + minutes * MINUTE_MS))


def phase(name: PhaseName, begin: int, end: int) -> Phase:
    return Phase(phase=name, from_=to_rfc3339(begin), to=to_rfc3339(end))


def planned(plan: tuple[PlanPoint, ...], over: Window) -> Promotion:
    return promotion(plan=plan, window=over, effective_from=over.from_)


@given(st.dictionaries(st.integers(-10, DAY + 10), st.integers(0, 10_000), min_size=1), st.sampled_from([60, DAY, 3 * DAY]))
def test_an_earlier_promotions_curve_is_a_plan(minutes: dict[int, int], length: int) -> None:
    sold = {at(minute): float(amount) for minute, amount in minutes.items()}
    over = window(BEGIN, length)
    if not any(amount for minute, amount in minutes.items() if 0 <= minute < DAY):
        with pytest.raises(CurveError, match="expected sales of acme"):
            from_earlier(sold, promotion(), over)
        return
    plan = from_earlier(sold, promotion(), over)
    assert len(plan) < 1_100
    again = msgspec.json.decode(msgspec.json.encode(planned(plan, over)), type=Promotion)
    assert again.plan == plan
    total = sum(amount for minute, amount in minutes.items() if 0 <= minute < DAY)
    for minute in (0, DAY // 4, DAY // 2, DAY):
        reached = sum(amount for one, amount in minutes.items() if 0 <= one < minute) / total
        if length == DAY:
            assert again.share_at(at(minute)) == pytest.approx(reached, abs=0.005)


def test_a_longer_window_stretches_it() -> None:
    sold = {at(minute): 1.0 + 9.0 * (600 <= minute < 700) for minute in range(DAY)}
    plan = from_earlier(sold, promotion(), window(BEGIN, 2 * DAY))
    over = planned(plan, window(BEGIN, 2 * DAY))
    total = sum(sold.values())
    assert over.share_at(at(1200)) == pytest.approx(600 / total, abs=0.005)
    assert over.share_at(at(1400)) == pytest.approx(1600 / total, abs=0.005)


def test_phases_are_laid_upon_phases() -> None:
    earlier = promotion(phases=(phase(PhaseName.TEASER, at(0), at(1000)), phase(PhaseName.PEAK, at(1000), at(DAY))))
    new = (phase(PhaseName.TEASER, at(0), at(200)), phase(PhaseName.PEAK, at(200), at(DAY)))
    sold = {at(minute): 1.0 for minute in range(1000)} | {at(minute): 10.0 for minute in range(1000, DAY)}
    plan = planned(from_earlier(sold, earlier, window(BEGIN, DAY), new), window(BEGIN, DAY))
    assert plan.share_at(at(200)) == pytest.approx(1000 / 5400, abs=0.005)
    others = (phase(PhaseName.TEASER, at(0), at(200)),)
    stretched = planned(from_earlier(sold, earlier, window(BEGIN, DAY), others), window(BEGIN, DAY))
    assert stretched.share_at(at(200)) == pytest.approx(200 / 5400, abs=0.005)


@given(st.lists(st.tuples(st.integers(1, DAY - 1), st.floats(0, 1)), max_size=6), st.sampled_from([10, 60, DAY, 3 * DAY]))
def test_a_plan_laid_over_another_window_is_a_plan_of_the_same_shape(inner: list[tuple[int, float]], length: int) -> None:
    minutes = sorted({minute for minute, _ in inner})
    shares = sorted(share for _, share in inner)[: len(minutes)]
    plan = (PlanPoint(0, 0.0), *map(PlanPoint, minutes, shares), PlanPoint(DAY, 1.0))
    over = window(BEGIN, length)
    laid = planned(laid_over(promotion(plan=plan), over), over)
    again = msgspec.json.decode(msgspec.json.encode(laid), type=Promotion)
    assert again.plan == (plan if length == DAY else laid.plan)
    if length == 3 * DAY:
        assert again.share_at(at(3 * DAY // 2)) == pytest.approx(promotion(plan=plan).share_at(at(DAY // 2)))


def test_a_straight_plan_stays_one_and_peak_stays_on_peak() -> None:
    assert laid_over(promotion(), window(BEGIN, 60)) == ()
    before = (phase(PhaseName.TEASER, at(0), at(1000)), phase(PhaseName.PEAK, at(1000), at(DAY)))
    after = (phase(PhaseName.TEASER, at(0), at(200)), phase(PhaseName.PEAK, at(200), at(DAY)))
    plan = (PlanPoint(0, 0.0), PlanPoint(1000, 0.3), PlanPoint(DAY, 1.0))
    laid = laid_over(promotion(plan=plan, phases=before), window(BEGIN, DAY), after)
    assert laid == (PlanPoint(0, 0.0), PlanPoint(200, 0.3), PlanPoint(DAY, 1.0))
