"""Drops that are cut into days, and how what is found of them is told."""

from __future__ import annotations

import pytest

from bench.days import COUNTED, Dent, Lack
from bench.detection_journey import DETECTORS, journey_rows
from bench.detection_rules import COOLDOWN, Baseline, Place
from bench.detection_tables import Quiet, Trial, by_count, by_detector, by_place, false_alarms, findable, within
from schemas.touchpoint import Kind
from warroom.alerts.minutes import Minute

PAIR = ("R2", "R3")
DAY = [
    Minute(at=i * 60_000, touches={"R2": 1_000}, arrivals={}, moves={PAIR: {"wecom": 400, "store": 300}, ("R3", "R4"): {"": 9}})
    for i in range(40)
]


def test_a_drop_takes_its_share_of_one_channel_and_nothing_else() -> None:
    cut = Dent(pair=PAIR, begin=10, minutes=20, share=0.5, channel="wecom").cut(DAY, 1)
    assert [one.at for one in cut] == [one.at for one in DAY[10:30]]
    taken = sum(one.moves[PAIR]["wecom"] for one in cut) / (20 * 400)
    assert 0.48 < taken < 0.52  # of 8,000, by chance off by 0.02 in one case of 2,500
    assert all(one.moves[PAIR]["store"] == 300 and one.moves["R3", "R4"] == {"": 9} and one.touches == {"R2": 1_000} for one in cut)
    assert DAY[10].moves[PAIR]["wecom"] == 400
    assert cut == Dent(pair=PAIR, begin=10, minutes=20, share=0.5, channel="wecom").cut(DAY, 1)


ARRIVALS = {kind.topic: 400 for kind in Kind}
COUNTS = [Minute(at=i * 60_000, touches={"R2": 900}, arrivals=ARRIVALS, moves={PAIR: {"": 9}}, orders=400, gmv=40_000) for i in range(40)]


@pytest.mark.parametrize("count", COUNTED)
def test_a_lack_takes_its_share_of_one_count_and_nothing_else(count: str) -> None:
    cut = Lack(count=count, begin=10, minutes=20, share=0.5).cut(COUNTS, 1)
    assert [one.at for one in cut] == [one.at for one in COUNTS[10:30]]
    assert 0.48 < sum(COUNTED[count](one) for one in cut) / (20 * 400) < 0.52
    assert all(one.moves == {PAIR: {"": 9}} and one.touches == {"R2": 900} for one in cut)
    others = [name for name in COUNTED if name != count]
    assert all(COUNTED[name](one) == 400 for one in cut for name in others)
    assert all(one.gmv == 100 * one.orders for one in cut)


def test_a_baseline_tells_a_stretch_once() -> None:
    rule = Baseline(lambda counts: counts[-1] == 0, [PAIR])
    day = [Minute(at=i, touches={}, arrivals={}, moves={PAIR: {"": 0 if 70 <= i < 75 or i == 99 else 5}}) for i in range(100)]
    fired = [rule.see(minute) for minute in day]
    assert [i for i, told in enumerate(fired) if Place(PAIR) in told] == [70, 99]
    assert COOLDOWN < 99 - 74


def trial(delay: int | None, **given: object) -> Trial:
    values = {
        "detector": "rflow",
        "volume": "peak",
        "when": "evening",
        "place": Place(PAIR, "wecom"),
        "share": 0.5,
        "named": True,
        "come": (70,) * 60,
        "beside": (180,) * 60,
        "rush": False,
        "judged": 54,
    }
    return Trial(**{**values, "delay": delay, **given})  # type: ignore[arg-type]


def test_the_tables_count_what_was_found_in_time() -> None:
    trials = [trial(1), trial(3, named=False), trial(14), trial(None)]
    assert within(trials, 3) == "50%"
    row = next(row for row in by_detector(trials) if row[:3] == ["rflow", "peak", "50%"])
    assert row[3:] == ["4", "50%", "50%", "75%", "50%", "75%", "75%", "3 min"]
    place = next(row for row in by_place(trials) if row[:3] == ["peak", "evening", "R2→R3 in wecom"])
    assert place[3:] == ["70", "50% (100%)", "–", "–", "–", "2 of 3"]


def test_counts_have_rows_of_their_own() -> None:
    lacks = [trial(delay, place=Place("orders"), share=share) for share, delay in ((0.5, 8), (0.5, 18), (0.1, None))]
    assert by_detector(lacks) == by_detector([])
    head, row = by_count(lacks)
    assert head[4:] == ["10% in 60 min", "50% in 60 min", "50% in 15 min", "50%, median delay"]
    assert row == ["rflow", "peak", "orders", "70", "0%", "100%", "50%", "13 min"]


def test_the_bound_grows_with_depth_time_and_volume_and_never_lets_chance_alarm_more_often() -> None:
    found = [findable(trial(None, share=share), minutes) for share, minutes in ((0.0, 5), (0.2, 5), (0.2, 15), (0.3, 15), (0.5, 15))]
    assert found == sorted(found)
    assert found[0] <= 0.5 / 1_440 / 54
    assert found[-1] > 0.999
    assert findable(trial(None, share=0.3), 5) < findable(trial(None, share=0.3, come=(140,) * 60, beside=(360,) * 60), 5)
    assert findable(trial(None, share=0.3, rush=True), 5) < findable(trial(None, share=0.3), 5)
    assert findable(trial(None, share=0.3, place=Place(PAIR)), 5) < findable(trial(None, share=0.3), 5)  # nobody tells of its wandering


def test_false_alarms_are_told_by_the_day() -> None:
    quiet = [Quiet(detector="rflow", volume="peak", alarms=alarms, of_counts=alarms % 2, at_midnight=alarms // 2) for alarms in (0, 1, 2)]
    row = next(row for row in false_alarms(quiet) if row[:2] == ["rflow", "peak"])
    assert row[2:] == ["3", "1.00", "2", "1", "1", "1"]


def test_a_year_of_orders_without_any_left_is_found_by_the_fixed_threshold() -> None:
    head, *rows = journey_rows([20] * (24 * 66))
    assert len(head) == len(rows[0]) == 14
    assert [row[0] for row in rows] == list(DETECTORS)
    assert all(row[1] == "0.00" for row in rows)
    threshold = next(row for row in rows if row[0] == "fixed threshold")
    assert threshold[head.index("50%, 24 h")] == "100%"
