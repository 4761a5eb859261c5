"""A flow's part among its siblings: found where a rush moves all of them, named, and no drop where only a sibling grew."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from bench.days import poisson
from schemas.alert import Alert, AlertState
from schemas.ladder_file import load_ladder
from schemas.times import MINUTE_MS, from_rfc3339
from warroom.alerts.engine import BrandState, Facts, Judge, Worth
from warroom.alerts.flows import Flows, shape_of
from warroom.alerts.minutes import Key, Minute
from warroom.alerts.rules import Rules
from warroom.alerts.siblings import Common, Siblings, common_level

START = from_rfc3339("2026-11-10T12:00:00Z")
SHAPE = shape_of(load_ladder("5r"), "acme")
WORTH = Worth(by_layer={"R4": 20_000.0}, gmv_an_hour=50_000_000.0)
JOINS = {"wecom": 0.02, "store": 0.03, "mini_program": 0.03}
BUYS = {("R1", "R4"): 0.05, ("R2", "R4"): 0.1, ("R3", "R4"): 0.2}
RUSH = range(300, 340)
Scaled = Callable[[int, str], float]
"""By what a flow or channel is multiplied in a minute."""


def minutes(scaled: Scaled, count: int = 360, seed: int = 1) -> list[Minute]:
    random, found = Random(seed), []
    for i in range(count):
        touches = dict.fromkeys(("R1", "R2", "R3"), 1_000)
        moves = {("R2", "R3"): {name: poisson(random, 1_000 * rate * scaled(i, name)) for name, rate in JOINS.items()}}
        moves |= {pair: {"tmall": poisson(random, 1_000 * rate * scaled(i, ">".join(pair)))} for pair, rate in BUYS.items()}
        found.append(Minute(at=START + i * MINUTE_MS, touches=touches, arrivals={}, moves=moves))
    return found


def firing(day: list[Minute]) -> list[tuple[int, Alert]]:
    engine = Judge(Facts(brand="acme", zone="Asia/Shanghai", currency="CNY"), Flows(SHAPE), BrandState(brand="acme"))
    told = [(i, one) for i, minute in enumerate(day) for one in engine.judge(minute, Rules(), WORTH, well=True)]
    return [(i, one) for i, one in told if one.state is AlertState.FIRING]


def in_the_rush(minute: int, flow: str) -> float:
    """Everybody buys four times as often."""
    return 4.0 if minute in RUSH and ">" in flow else 1.0


def test_half_of_one_flow_in_a_rush_that_nobody_foresaw_is_found_and_the_rush_is_none() -> None:
    assert firing(minutes(in_the_rush)) == []

    def thinned(minute: int, flow: str) -> float:
        return in_the_rush(minute, flow) * (0.5 if minute >= 302 and flow == "R3>R4" else 1.0)

    ((when, alert),) = firing(minutes(thinned, 320))
    assert 302 <= when < 309
    assert alert.flow is not None
    assert (alert.flow.from_, alert.flow.to) == ("R3", "R4")
    assert alert.expected is not None
    assert alert.observed is not None
    assert 0.5 < alert.observed / alert.expected < 0.8  # at least so many were to be expected


def test_a_channel_is_judged_by_its_part_of_the_flow() -> None:
    def thinned(minute: int, flow: str) -> float:
        return 0.4 if minute >= 300 and flow == "wecom" else 1.0

    (when, alert), *more = firing(minutes(thinned))
    assert 300 <= when < 310
    assert alert.scope == {"channel": "wecom"}
    assert more == []


def test_where_one_grows_the_others_have_not_dropped() -> None:
    def grown(minute: int, flow: str) -> float:
        return 3.0 if minute >= 300 and flow == "store" else 1.0

    assert firing(minutes(grown)) == []


def test_how_far_the_flow_is_off_is_believed_by_its_wandering_and_by_what_siblings_did() -> None:
    level, scatter = common_level([(5_700, 6_000.0), (3_800, 4_000.0)], 0.03) or Common(0.0, 0.0)
    assert level == pytest.approx((1 / 0.03**2 + 9_500) / (1 / 0.03**2 + 10_000))
    assert scatter == pytest.approx((1 / 0.03**2 + 9_500) ** -0.5)
    assert common_level([(0, 0.0)], 0.03) is None


def test_siblings_that_are_further_off_than_the_flow_wanders_are_believed_without_the_one_that_grew_most() -> None:
    assert common_level([(900, 300.0), (310, 300.0), (290, 300.0)], 0.03) == Common(1.0, 600**-0.5)
    halved = common_level([(150, 300.0), (160, 300.0), (140, 300.0)], 0.03)
    assert halved is not None
    assert halved.level == pytest.approx(290 / 600)
    assert common_level([(900, 300.0)], 0.03) is None


def test_of_two_channels_none_is_held_against_the_other() -> None:
    keys = [Key("R2", "R3", name) for name in ("a", "b", "c")]
    three, two = Siblings(), Siblings()
    for minute in range(120):
        three.add(START + minute * MINUTE_MS, dict.fromkeys(keys, 30), frozen=False)
        two.add(START + minute * MINUTE_MS, dict.fromkeys(keys[:2], 30), frozen=False)
    assert three.enough
    assert not two.enough
    assert three.scatter(keys[0], 10) is not None
    assert three.scatter(Key("R2", "R3", "d"), 10) is None
