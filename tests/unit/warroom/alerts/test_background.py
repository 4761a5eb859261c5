"""Which promotion is the earlier one, and what else changed, in words."""

from __future__ import annotations

from schemas.promotion import Promotion, Window
from schemas.times import DAY_MS, HOUR_MS, to_rfc3339
from tests.unit.warroom.promotions_by_hand import BEGIN, TREE, at, promotion, row
from warroom.alerts.background import earlier_of
from warroom.alerts.telling import target_changed
from warroom.timeline import target_changes


def days_before(days: int, name: str) -> Promotion:
    window = Window(from_=to_rfc3339(BEGIN - days * DAY_MS), to=to_rfc3339(BEGIN - (days - 1) * DAY_MS))
    return promotion(promotion_id=name, window=window, effective_from=window.from_)


NOW, LAST, YEARS_AGO = promotion(), days_before(145, "618"), days_before(365, "d11-last")


def test_the_earlier_one_is_the_last_that_was_over_before_this_one_began() -> None:
    assert earlier_of([YEARS_AGO, NOW, LAST], at(60)) == (NOW, LAST)
    assert earlier_of([NOW], at(60)) is None
    assert earlier_of([LAST], at(60)) is None
    assert earlier_of([], at(60)) is None


def test_the_evening_before_counts_to_a_promotion_and_the_day_before_does_not() -> None:
    assert earlier_of([NOW, LAST], BEGIN - 3 * HOUR_MS) == (NOW, LAST)
    assert earlier_of([NOW, LAST], BEGIN - 20 * HOUR_MS) is None


def test_a_change_of_targets_in_both_languages() -> None:
    more = promotion(version=2, reason="the rush was strong", target=type(TREE)(owner="chen", layers=(row("R3", 20_000, 0.1, 10_000),)))
    _, change = target_changes([NOW, more])
    told = target_changed(change, "CNY")
    for text in told.values():
        for part in ("Double 11", "160,000 → 200,000 CNY", "the rush was strong"):
            assert part in text
