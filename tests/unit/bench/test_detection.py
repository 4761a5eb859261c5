"""Drops that are cut into days, and how what is found of them is told."""

from __future__ import annotations

from bench.days import Dent
from bench.detection import Quiet, Trial, by_detector, by_place, false_alarms, within
from bench.detection_journey import DETECTORS, journey_rows
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


def trial(delay: int | None, **given: object) -> Trial:
    values = {
        "detector": "rflow",
        "volume": "peak",
        "when": "evening",
        "where": (PAIR, "wecom"),
        "share": 0.5,
        "named": True,
        "moves": 70.0,
    }
    return Trial(**{**values, "delay": delay, **given})  # type: ignore[arg-type]


def test_the_tables_count_what_was_found_in_time() -> None:
    trials = [trial(1), trial(3, named=False), trial(4), trial(None)]
    assert within(trials, 3) == "50%"
    row = next(row for row in by_detector(trials) if row[:3] == ["rflow", "peak", "50%"])
    assert row[3:] == ["4", "75%", "50%", "75%", "75%", "3 min"]
    place = next(row for row in by_place(trials) if row[:3] == ["peak", "evening", "R2→R3 in wecom"])
    assert place[3:] == ["70", "50%", "–", "–", "–", "2 of 3"]


def test_false_alarms_are_told_by_the_day() -> None:
    quiet = [Quiet(detector="rflow", volume="peak", alarms=alarms, at_midnight=alarms // 2) for alarms in (0, 1, 2)]
    row = next(row for row in false_alarms(quiet) if row[:2] == ["rflow", "peak"])
    assert row[2:] == ["3", "1.00", "2", "1"]


def test_a_year_of_orders_without_any_left_is_found_by_the_fixed_threshold() -> None:
    head, *rows = journey_rows([20] * (24 * 66))
    assert len(head) == len(rows[0]) == 14
    assert [row[0] for row in rows] == list(DETECTORS)
    assert all(row[1] == "0.00" for row in rows)
    threshold = next(row for row in rows if row[0] == "fixed threshold")
    assert threshold[head.index("50%, 24 h")] == "100%"
