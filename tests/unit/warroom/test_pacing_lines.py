"""The pacing chart tells at every instant what the figures beside it tell of that instant."""

from __future__ import annotations

import pytest

from schemas.promotion import PlanPoint, Window
from schemas.times import MINUTE_MS, to_rfc3339
from tests.unit.warroom.promotions_by_hand import BEGIN, DAY, at, promotion, version
from tests.unit.warroom.test_progress import ACTUAL, minute, shown
from warroom.pacing_lines import pacing


def test_both_plans_are_drawn() -> None:
    versions = [promotion(), version(2, 720, plan=(PlanPoint(0, 0.0), PlanPoint(720, 0.8), PlanPoint(DAY, 1.0)))]
    lines = pacing(versions, [], at(719), 1, currency="CNY")
    assert lines.at == [at(n) for n in range(DAY + 1)]
    assert lines.gmv.original[719:721] == pytest.approx([16e6 * 719 / 1440, 8_000_000])
    assert lines.gmv.planned[719:721] == pytest.approx([16e6 * 719 / 1440, 12_800_000])
    assert lines.orders.planned[-1] == lines.orders.original[-1] == 800


def test_the_lines_agree_with_the_figures_beside_them() -> None:
    versions = [promotion(), version(2, 300, plan=(PlanPoint(0, 0.0), PlanPoint(600, 0.7), PlanPoint(DAY, 1.0)))]
    lines, figures = pacing(versions, ACTUAL.minutes, at(333), 60, currency="CNY"), shown(versions, 333)
    now = lines.at.index(lines.now)
    assert (lines.now, lines.at[-1]) == (at(333), at(DAY))
    for line, totals in ((lines.gmv, figures.gmv), (lines.orders, figures.orders)):
        assert line.actual[now] == totals.actual
        assert line.planned[now] == pytest.approx(totals.current_so_far)
        assert line.original[now] == pytest.approx(totals.original_so_far)
        assert totals.projected is not None
        assert (line.projected[-1], line.low[-1], line.high[-1]) == (totals.projected.end, totals.projected.low, totals.projected.high)
        assert line.actual[now + 1 :] == [None] * (len(lines.at) - now - 1)
        assert line.projected[:now] == [None] * now
        assert line.projected[now] == line.low[now] == line.high[now] == totals.actual


def test_the_range_opens_with_time() -> None:
    uneven = [minute(n, 1, 10_000 + 7_000 * (n % 3), n) for n in range(360)]
    lines = pacing([promotion()], uneven, at(360), 60, currency="CNY")
    widths = [high - low for high, low in zip(lines.gmv.high, lines.gmv.low, strict=True) if high is not None and low is not None]
    assert widths == sorted(widths)
    assert widths[0] == 0 < widths[-1]


@pytest.mark.parametrize("minutes", [-100, 0, DAY, DAY + 100])
def test_before_and_after_the_window(minutes: int) -> None:
    lines = pacing([promotion()], [minute(5, 1, 100, 1)], at(minutes), 60, currency="CNY")
    assert BEGIN <= lines.now <= BEGIN + DAY * MINUTE_MS
    assert [one for one in lines.gmv.actual if one is not None][-1] == (100 if minutes >= DAY else 0)
    assert [one for one in lines.gmv.projected if one is not None] == ([100] if minutes >= DAY else [])


def test_before_a_window_that_was_moved_to_an_earlier_time() -> None:
    earlier = version(2, -100, window=Window(from_=to_rfc3339(at(-100)), to=to_rfc3339(at(DAY))))
    lines = pacing([promotion(), earlier], [minute(-90, 1, 100, 1)], at(-300), 60, currency="CNY")
    assert (lines.version, lines.now, lines.at[0]) == (1, at(0), at(0))
    assert lines.gmv.actual[:2] == [0.0, None]
    begun = pacing([promotion(), earlier], [minute(-90, 1, 100, 1)], at(0), 60, currency="CNY")
    assert (begun.version, begun.at[0]) == (2, at(-100))
    assert begun.gmv.actual[begun.at.index(at(0))] == 100.0
