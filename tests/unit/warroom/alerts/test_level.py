"""All that comes of a brand falls to a trickle: told as the pipeline's, though every rate stays as it was."""

from __future__ import annotations

from random import Random

import pytest
from msgspec.structs import replace

from bench.days import binomial, poisson
from schemas.alert import Alert, AlertState
from schemas.ladder_file import load_ladder
from schemas.times import MINUTE_MS, from_rfc3339, to_rfc3339
from warroom.alerts.engine import BrandState, Facts, Judge, Worth
from warroom.alerts.flows import Flows, shape_of
from warroom.alerts.level import Fallen, Level, level_curve
from warroom.alerts.minutes import Minute
from warroom.alerts.rules import PipelineRule, Rules

START = from_rfc3339("2026-11-10T12:00:00Z")
EXPOSURE, INTERACTION = "touchpoints.exposure", "touchpoints.interaction"
RUSH = 180
FELL = 150


def minutes(count: int, *, level: float = 300.0, rush: float = 40.0, seed: int = 1) -> list[Minute]:
    """From minute RUSH on forty times as much comes, for ten minutes; then a fifth of what came before."""
    random = Random(seed)
    found = []
    for i in range(count):
        mean = level * (rush if RUSH <= i < RUSH + 10 else 0.2 if i >= RUSH + 10 else 1.0)
        arrivals = {EXPOSURE: poisson(random, mean * 0.4), INTERACTION: poisson(random, mean * 0.6)}
        found.append(Minute(at=START + i * MINUTE_MS, touches={"R1": sum(arrivals.values())}, arrivals=arrivals, moves={}))
    return found


def cut(day: list[Minute], begin: int, length: int, left: float, topics: tuple[str, ...] = (EXPOSURE, INTERACTION)) -> list[Minute]:
    random = Random(9)
    thin = [
        replace(one, arrivals={topic: binomial(random, count, left if topic in topics else 1.0) for topic, count in one.arrivals.items()})
        for one in day[begin : begin + length]
    ]
    return [*day[:begin], *thin, *day[begin + length :]]


def fallen(today: list[Minute], earlier: list[Minute] | None, share: float = 0.4) -> list[tuple[int, Fallen | None]]:
    """Each change of what holds, and the minute."""
    level, before = Level(), None
    found: list[tuple[int, Fallen | None]] = []
    level.earlier = None if earlier is None else level_curve(earlier, START)
    for i, minute in enumerate(today):
        level.add(minute, share, 9.0)
        if level.fallen != before:
            before = level.fallen
            found.append((i, before))
    return found


def test_a_trickle_is_found_in_five_minutes_and_over_when_it_is_over() -> None:
    (at, found), (over, nothing) = fallen(cut(minutes(180), FELL, 20, 0.25), minutes(300, level=180.0, seed=2))
    assert (at, nothing) == (FELL + 4, None)
    assert FELL + 20 <= over <= FELL + 23
    assert found is not None
    assert found.since == START + FELL * MINUTE_MS
    assert found.came == pytest.approx(75, rel=0.1)
    assert 200 < found.usual < 310
    assert found.topics == ()


def test_one_topic_that_trickles_is_named_where_it_is_most_of_all() -> None:
    today = cut(minutes(180), FELL, 20, 0.02, (INTERACTION,))
    assert [i for i, _ in fallen(today, minutes(300, seed=2), share=0.4)] == []  # the other two fifths still come
    ((_, found), _) = fallen(today, minutes(300, seed=2), share=0.6)
    assert found is not None
    assert [topic for topic, _ in found.topics] == [INTERACTION]


@pytest.mark.parametrize("rush", [15.0, 40.0, 100.0])
def test_a_rush_that_begins_and_ends_is_no_trickle_though_the_earlier_one_was_stronger_or_weaker(rush: float) -> None:
    assert fallen(minutes(420, rush=rush), minutes(420, level=180.0, seed=2)) == []


def test_a_trickle_in_the_rush_is_found_by_the_earlier_one_and_without_it_nothing_is_told() -> None:
    today = cut(minutes(190), RUSH + 2, 8, 0.1)
    assert fallen(today, minutes(300, level=180.0, seed=2))[0][0] in range(RUSH + 6, RUSH + 10)
    assert fallen(today, None) == []


def test_a_rush_that_does_not_come_is_no_trickle() -> None:
    assert fallen(minutes(190, rush=1.0), minutes(300, level=180.0, seed=2)) == []


def test_what_stays_low_becomes_the_usual() -> None:
    day = [replace(one, at=START + i * MINUTE_MS) for i, one in enumerate(minutes(180, seed=3) * 4)]
    found = fallen(cut(day, 170, 550, 0.2), [replace(one, at=START) for one in minutes(180, seed=2) * 4])
    assert [one is None for _, one in found] == [False, True]
    assert found[1][0] - found[0][0] < 4 * 60


def test_few_touchpoints_gaps_and_a_share_of_zero_alarm_nobody() -> None:
    earlier = minutes(300, seed=2)
    assert fallen(cut(minutes(180, level=2.0), FELL, 20, 0.25), minutes(300, level=2.0, seed=2)) == []
    assert fallen(cut(minutes(180), FELL, 20, 0.25), earlier, share=0.0) == []
    today = cut(minutes(180), FELL, 20, 0.25)
    assert fallen(today[:FELL] + today[FELL + 1 :], earlier) == []


def told_of(today: list[Minute], rules: Rules) -> list[tuple[int, Alert]]:
    judge = Judge(
        Facts(brand="acme", zone="Asia/Shanghai", currency="CNY"), Flows(shape_of(load_ladder("5r"), "acme")), BrandState(brand="acme")
    )
    judge.level.earlier = level_curve(minutes(300, level=180.0, seed=2), START)
    judge.remember(today[:100], rules)
    told = []
    for i, minute in enumerate(today[100:], 100):
        told += [(i, one) for one in judge.judge(minute, rules, Worth(by_layer={}, gmv_an_hour=0.0), well=judge.state.down is None)]
        told += [(i, one) for one in judge.gate(judge.silent_sources(rules), minute.at + MINUTE_MS, rules)]
    return told


def test_it_is_told_as_the_pipeline_with_from_what_to_what_and_since_when_and_resolves() -> None:
    (at, firing), (over, resolved) = told_of(cut(minutes(180), FELL, 20, 0.25), Rules())
    assert (at, firing.rule, firing.state) == (FELL + 4, "pipeline_down", AlertState.FIRING)
    assert firing.since == to_rfc3339(START + FELL * MINUTE_MS)
    assert firing.observed is not None
    assert firing.expected is not None
    assert f"{firing.observed / firing.expected:.0%}" in firing.title["en"]
    assert f"{firing.observed / firing.expected:.0%}" in firing.title["zh"]
    assert "since 22:30" in firing.summary["en"]
    assert "22:30" in firing.summary["zh"]
    assert over <= FELL + 23
    assert (resolved.alert_id, resolved.state) == (firing.alert_id, AlertState.RESOLVED)


def test_with_the_gate_switched_off_a_trickle_is_nobodys_matter() -> None:
    assert told_of(cut(minutes(180), FELL, 20, 0.25), Rules(pipeline=PipelineRule(enabled=False))) == []
