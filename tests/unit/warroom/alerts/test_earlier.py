"""An earlier promotion's curve as a baseline: jumps are kept, levels are not, and what chance made of it is left out."""

from __future__ import annotations

from random import Random

import pytest

from bench.days import binomial, poisson
from schemas.ladder_file import load_ladder
from schemas.times import MINUTE_MS, from_rfc3339
from warroom.alerts.earlier import TRUST
from warroom.alerts.flows import Finding, Flows, bars_of, curve_of, shape_of
from warroom.alerts.minutes import Minute
from warroom.alerts.rules import FlowRule

START = from_rfc3339("2026-11-10T12:00:00Z")
YEAR = 365 * 24 * 60 * MINUTE_MS
SHAPE = shape_of(load_ladder("5r"), "acme")
BOUGHT = ("R3", "R4")
RUSH = range(300, 320)


def minutes(count: int, *, start: int = START, level: float = 1.0, rush: float = 4.0, left: float = 1.0, seed: int = 1) -> list[Minute]:
    """In the rush there is twenty times the traffic, and people buy `rush` times as often a touchpoint; `left` of that remains."""
    random = Random(seed)
    found = []
    for i in range(count):
        touches = round(1_000 * level * (20 if i in RUSH else 1))
        bought = poisson(random, touches * 0.3 * (rush * left if i in RUSH else 1))
        joined = binomial(random, touches, 0.1)
        moves = {BOUGHT: {"tmall": bought}, ("R2", "R3"): {"wecom": joined}}
        found.append(Minute(at=start + i * MINUTE_MS, touches={"R2": touches, "R3": touches}, arrivals={}, moves=moves, orders=bought))
    return found


def drops(today: list[Minute], earlier: list[Minute] | None) -> list[tuple[int, Finding]]:
    flows = Flows(SHAPE)
    if earlier is not None:
        flows.earlier = curve_of(SHAPE, earlier, START)
    found = []
    for i, minute in enumerate(today):
        flows.add(minute)
        found += [(i, one) for one in flows.drops(minute.at, FlowRule())]
    return found


def test_a_curve_keeps_its_jumps_and_has_no_level() -> None:
    for level in (0.5, 3.0):
        curve = curve_of(SHAPE, minutes(600, level=level), START)
        at = [curve.factor(BOUGHT, START + i * MINUTE_MS, forward=True) for i in (200, 298, 301, 310, 318, 321, 500)]
        assert at == pytest.approx([1, 1, 4**TRUST, 4**TRUST, 4**TRUST, 1, 1], rel=0.12)
        assert [curve.factor(("R2", "R3"), START + i * MINUTE_MS, forward=True) for i in (200, 310)] == pytest.approx([1, 1], abs=0.02)


def test_outside_of_what_is_known_nothing_is_likelier() -> None:
    curve = curve_of(SHAPE, minutes(600), START)
    assert curve.end == START + 600 * MINUTE_MS
    for at in (START - MINUTE_MS, curve.end):
        assert curve.factor(BOUGHT, at, forward=True) == 1
    assert curve.factor(("R1", "R5"), START, forward=True) == 1


def test_half_of_the_rush_is_a_drop_by_an_earlier_promotion_and_not_by_the_hours_before() -> None:
    halved, earlier = minutes(330, left=0.5), minutes(600, start=START - YEAR, level=0.4, seed=2)
    assert drops(halved, None) == []
    found = drops(halved, earlier)
    assert {i for i, _ in found} <= set(RUSH) | set(range(320, 330))
    assert found[0][0] <= 302
    first = found[0][1]
    assert (first.key.from_, first.key.to) == BOUGHT
    # half of what came, against what is safe to expect of the rush
    assert first.change == pytest.approx(0.5 * 4 / 4**TRUST - 1, abs=0.05)


@pytest.mark.parametrize("rush", [3.3, 4.0, 6.0])
def test_a_rush_that_is_not_quite_the_earlier_one_is_no_drop(rush: float) -> None:
    assert drops(minutes(400, rush=rush), minutes(600, start=START - YEAR, level=3, seed=2)) == []


def test_bars_rise_with_what_is_looked_at_and_fall_with_what_is_allowed() -> None:
    few, many = bars_of(FlowRule(), 10), bars_of(FlowRule(), 100)
    assert [b - a for a, b in zip(few, many, strict=True)] == pytest.approx([1.0] * len(few))
    assert bars_of(FlowRule(false_alarms=10), 10)[0] == pytest.approx(few[0] - 1)
    # 10 flows, 8 windows, 1,440 minutes a day: half an alarm a day for all of them
    assert few[0] == pytest.approx(5.36, abs=0.01)
