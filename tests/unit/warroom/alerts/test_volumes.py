"""Counts that stay away: found and told once, silent through night and rush, and where a flow's alert tells it already."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import pytest

from bench.days import poisson
from schemas.alert import Alert, AlertState
from schemas.ladder_file import load_ladder
from schemas.times import MINUTE_MS, from_rfc3339
from schemas.touchpoint import Kind
from warroom.alerts.engine import BrandState, Facts, Judge, Worth
from warroom.alerts.flows import Flows, shape_of
from warroom.alerts.minutes import Minute
from warroom.alerts.rules import CountRule, Rules

START = from_rfc3339("2026-11-10T04:00:00Z")
SHAPE = shape_of(load_ladder("5r"), "acme")
WORTH = Worth(by_layer={}, gmv_an_hour=0.0)
USUAL = {"exposure": 300, "interaction": 100, "membership": 20, "order": 12}
MIDNIGHT = 720
Scaled = Callable[[int, str], float]


def day(scaled: Scaled, seed: int = 1, count: int = 1_200) -> list[Minute]:
    """Traffic by the hour of day, and a rush of ten times as much at midnight, in which four times as many buy."""
    random, found = Random(seed), []
    for i in range(count):
        rush = MIDNIGHT <= i < MIDNIGHT + 60
        level = (1 + 0.6 * math.sin(2 * math.pi * i / 1440)) * (10 if rush else 1)
        drawn = {
            kind: poisson(random, usual * level * (4 if rush and kind == "order" else 1) * scaled(i, kind) * random.gauss(1, 0.05))
            for kind, usual in USUAL.items()
        }
        arrivals = {Kind(kind).topic: number for kind, number in drawn.items()}
        orders = drawn["order"]
        found.append(Minute(at=START + i * MINUTE_MS, touches={}, arrivals=arrivals, moves={}, orders=orders, gmv=orders * 20_000))
    return found


def told(minutes: list[Minute], rules: Rules | None = None) -> list[tuple[int, Alert]]:
    judge = Judge(Facts(brand="acme", zone="Asia/Shanghai", currency="CNY"), Flows(SHAPE), BrandState(brand="acme"))
    found = []
    for i, minute in enumerate(minutes):
        found += [(i, one) for one in judge.judge(minute, rules or Rules(), WORTH, well=True)]
        if i % 10 == 9:
            found += [(i, one) for one in judge.stand([], minute.at + MINUTE_MS, rules or Rules())]
    return found


@pytest.mark.parametrize("seed", range(3))
def test_a_day_with_its_night_and_rush_alarms_nobody(seed: int) -> None:
    assert told(day(lambda *_: 1.0, seed)) == []


@pytest.mark.parametrize(("kind", "name"), [("exposure", "exposures"), ("membership", "joins"), ("order", "orders")])
def test_half_of_a_count_is_missed_told_once_and_resolved(kind: str, name: str) -> None:
    found = told(day(lambda i, one: 0.5 if 600 <= i < 690 and one == kind else 1.0))
    (when, firing), *_, (_, last) = found
    assert 600 < when <= 639
    assert (firing.rule, firing.state, firing.scope) == ("count_drop", AlertState.FIRING, {"count": name})
    assert firing.expected is not None
    assert firing.observed is not None
    assert 0.35 < firing.observed / firing.expected < 0.75
    assert name in firing.summary["en"]
    assert (firing.gmv_at_stake or 0) > 0 or name != "orders"
    assert last.state is AlertState.RESOLVED
    assert len({one.alert_id for _, one in found}) == 1


def test_one_that_grows_makes_no_other_look_small_and_a_silent_topic_is_not_a_small_count() -> None:
    assert told(day(lambda i, one: 5.0 if i >= 600 and one == "exposure" else 1.0)) == []
    assert told(day(lambda i, one: 0.0 if i >= 600 and one == "exposure" else 1.0)) == []


def test_the_rule_can_be_switched_off() -> None:
    assert told(day(lambda i, one: 0.5 if i >= 600 and one == "order" else 1.0), Rules(count=CountRule(enabled=False))) == []
