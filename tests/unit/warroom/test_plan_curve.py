"""A plan curve keeps the shape of what it is made from."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.promotion import Phase, PhaseName, PlanPoint, Promotion, Window
from schemas.times import MINUTE_MS, to_rfc3339
from tests.unit.warroom.promotions_by_hand import BEGIN, DAY, at, promotion
from warroom.plan_curve import CurveError, from_csv, from_earlier


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


def test_a_file_of_shares_or_of_gmv() -> None:
    expected = (PlanPoint(0, 0.0), PlanPoint(60, 0.25), PlanPoint(DAY, 1.0))
    assert from_csv("minute,share\n0,0\n60,0.25\n1440,1\n", DAY) == expected
    assert from_csv("\ufeffminute, gmv\r\n60,500\r\n1440,2000\r\n", DAY) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty file"),
        ("time,share\n0,0\n", "a first line `minute,share` or `minute,gmv`"),
        ("minute,share\n", "at least one line"),
        ("minute,share\n0,0\n60,half\n", "line 3: expected a whole minute and a number"),
        ("minute,share\n0,0\n60,0.5,1\n", "line 3"),
        ("minute,share\n0,0\n60,0.5\n50,0.6\n1440,1\n", "minutes and figures that grow, found 50,0.6 after 60,0.5"),
        ("minute,share\n0,0\n60,0.5\n", "the last line to be minute 1440"),
        ("minute,share\n0,0\n1440,0.9\n", "the last line to be minute 1440"),
        ("minute,gmv\n0,0\n1440,0\n", "the whole GMV"),
    ],
)
def test_a_file_that_is_no_curve_says_why(text: str, message: str) -> None:
    with pytest.raises(CurveError, match=message):
        from_csv(text, DAY)
