"""Promotions that fall behind and spend that brings nothing: when they alarm, what they say, and when it is over."""

from __future__ import annotations

from random import Random
from typing import Any

from bench.days import poisson
from schemas.alert import Acknowledgement, Alert, AlertState, Severity
from schemas.promotion import PlanPoint
from schemas.times import DAY_MS, HOUR_MS, MINUTE_MS, to_rfc3339
from tests.unit.warroom.promotions_by_hand import BEGIN, DAY, at, promotion
from warroom.alerts.acknowledging import acknowledged
from warroom.alerts.book import Asked
from warroom.alerts.engine import BrandState, Facts, Judge
from warroom.alerts.flows import Flows, Shape
from warroom.alerts.lasting import EVERY_MS, Lasting, Stands, carry_on
from warroom.alerts.money import SpendDay, pace, spend
from warroom.alerts.rules import PaceRule, Planned, Rules, SpendRule
from warroom.alerts.standing import held_alerts
from warroom.alerts.telling import Words

WORDS = Words(zone="Asia/Shanghai", currency="CNY", link="https://room/acme")
PLAN = (PlanPoint(0, 0.0), PlanPoint(20, 0.3), PlanPoint(DAY, 1.0))
"""A rush, and the rest of the day evenly."""
TARGET = 16_000_000


def sold(minutes: int, part: float, seed: int = 1) -> list[float]:
    """GMV by the minute in orders of 10.00: `part` of what is planned."""
    random = Random(seed)
    planned = [0.3 / 20 if i < 20 else 0.7 / (DAY - 20) for i in range(minutes)]
    return [1_000.0 * poisson(random, TARGET * part * one / 1_000) for one in planned]


def stands(minutes: int, part: float, **rule: Any) -> Stands | None:
    return pace([promotion(plan=PLAN)], sold(minutes, part), at(minutes), PaceRule(**rule), WORDS)


def test_a_promotion_that_will_miss_its_target_alarms_and_one_on_its_way_does_not() -> None:
    behind, on_its_way = stands(300, 0.7), stands(300, 1.05)
    assert behind is not None
    assert on_its_way is not None
    assert (behind.alarming, behind.back, behind.severity) == (True, False, Severity.CRITICAL)
    assert (on_its_way.alarming, on_its_way.back) == (False, True)
    assert abs(behind.gmv_at_stake - 0.3 * TARGET) < 0.03 * TARGET
    assert "Double 11" in behind.title["en"]
    assert "Double 11" in behind.title["zh"]
    for text in behind.summary.values():
        assert "160,000 CNY" in text  # the target, in whole units
        assert "https://room/acme" in text


def test_how_much_is_too_little_and_how_soon_it_is_said_is_the_rules() -> None:
    assert stands(10, 0.5) is None  # less than a fifth of the plan is due
    assert stands(10, 0.5, least_due=0.1) is not None
    shown = stands(300, 0.7, least_shortfall=0.4, critical_shortfall=0.4)
    assert shown is not None
    assert not shown.alarming
    slight = stands(300, 0.9)
    assert slight is not None
    assert (slight.alarming, slight.severity) == (True, Severity.WARNING)


def days(orders: dict[str, list[int]], cost: int = 100_000) -> list[SpendDay]:
    """Each label's orders day by day, the last of them the running one."""
    count = max(len(one) for one in orders.values())
    return [
        SpendDay(dimension="channel", label=label, begins_at=BEGIN - (count - 1 - i) * DAY_MS, spend=cost, orders=one)
        for label, counts in orders.items()
        for i, one in enumerate(counts, count - len(counts))
    ]


USUALLY = [48, 55, 50, 41, 61, 49, 52]


def judged(found: list[SpendDay], hour: int, **rule: Any) -> dict[str, Stands]:
    return {one.key: one for one in spend(found, BEGIN + hour * HOUR_MS, SpendRule(**rule), WORDS)}


def test_spend_that_brings_nothing_alarms_and_what_brings_its_part_of_the_day_does_not() -> None:
    found = judged(days({"douyin": [*USUALLY, 2], "tmall": [*USUALLY, 24]}), 12)
    douyin, tmall = found["channel=douyin"], found["channel=tmall"]
    assert (douyin.alarming, douyin.back, douyin.scope) == (True, False, {"channel": "douyin"})
    assert (tmall.alarming, tmall.back) == (False, True)
    assert round(douyin.expected) == 25  # half a day's
    assert "2 orders for 500 CNY" in douyin.summary["en"]
    assert "500 CNY" in douyin.summary["zh"]


def test_a_day_is_judged_once_it_has_gone_on_for_some_hours_and_before_that_the_last_one_is() -> None:
    found = days({"douyin": [*USUALLY, 1, 0]})
    assert round(judged(found, 3)["channel=douyin"].expected) == 51  # all of yesterday
    assert judged(found, 3)["channel=douyin"].alarming
    assert round(judged(found, 8)["channel=douyin"].expected) == 15


def test_a_new_label_is_held_against_all_others_and_little_money_against_nothing() -> None:
    new = days({"douyin": USUALLY, "tmall": [40, 45, 38, 42, 39, 44, 40], "jd": [0]})
    assert judged(new, 24)["channel=jd"].alarming
    assert not judged(new, 24, least_spend=200_000)["channel=jd"].alarming
    assert judged(days({"jd": [5, 0]}), 24) == {}  # nothing is known yet


def one(alarming: bool, *, back: bool | None = None, stake: int = 100, key: str = "d11") -> Stands:
    return Stands(
        rule="pace_behind",
        key=key,
        alarming=alarming,
        back=not alarming if back is None else back,
        severity=Severity.WARNING,
        title={"en": "t", "zh": "t"},
        summary={"en": f"{stake}", "zh": f"{stake}"},
        scope={"promotion_id": key},
        observed=1.0,
        expected=2.0,
        gmv_at_stake=stake,
    )


def told(*found: list[Stands]) -> list[list[Alert]]:
    """What is told at one look after the other."""
    kept: tuple[Lasting, ...] = ()
    alerts = []
    for i, at_once in enumerate(found):
        said, kept = carry_on("acme", kept, at_once, BEGIN + i * EVERY_MS)
        alerts.append(said)
    return alerts


def test_an_alert_fires_once_is_told_anew_when_much_worse_and_resolves_when_it_has_been_back_for_a_while() -> None:
    said = told([one(True)], [one(True, stake=120)], [one(True, stake=160)], [one(False)], [one(True)], *[[one(False)]] * 5)
    assert [[alert.state.value for alert in alerts] for alerts in said] == [
        ["firing"],
        [],
        ["updated"],
        [],
        [],
        [],
        [],
        ["resolved"],
        [],
        [],
    ]
    flat = [alert for alerts in said for alert in alerts]
    assert [alert.version for alert in flat] == [1, 2, 3]
    assert len({alert.alert_id for alert in flat}) == 1


def test_between_alarming_and_back_nothing_changes_and_what_is_over_resolves() -> None:
    said = told([one(True)], *[[one(False, back=False)]] * 5, [])
    assert [len(alerts) for alerts in said] == [1, 0, 0, 0, 0, 0, 1]
    assert said[-1][0].state is AlertState.RESOLVED


def test_after_its_end_it_keeps_still_for_two_hours() -> None:
    said = told([one(True)], [], *[[one(True)]] * 13)
    assert [i for i, alerts in enumerate(said) if alerts] == [0, 1, 13]


def test_each_promotion_has_an_alert_of_its_own() -> None:
    ((first, second),) = told([one(True, key="d11"), one(True, key="d12")])
    assert first.alert_id != second.alert_id


def test_the_engine_keeps_them_with_its_state_and_tells_planned_ones_as_planned() -> None:
    facts = Facts(brand="acme", zone="Asia/Shanghai", currency="CNY")
    engine = Judge(facts, Flows(Shape(layers=("R0", "R1"), bought=frozenset())), BrandState(brand="acme"))
    window = Planned(from_=promotion().window.from_, to=promotion().window.to, note="the store is moved")
    (alert,) = engine.stand([one(True)], BEGIN + MINUTE_MS, Rules(planned=(window,)))
    assert (alert.severity, alert.scope["planned"]) == (Severity.INFO, "true")
    assert "the store is moved" in alert.summary["en"]
    assert engine.state.stood == BEGIN + MINUTE_MS
    assert engine.stand([one(True)], BEGIN + 11 * MINUTE_MS, Rules()) == []


def test_one_that_a_person_takes_on_stays_taken_on_and_its_versions_follow_each_other() -> None:
    alerts, kept = carry_on("acme", (), [one(True)], BEGIN)
    taken = Acknowledgement(by="lin", at=to_rfc3339(BEGIN + MINUTE_MS))
    state, told_ = acknowledged(BrandState(brand="acme", lasting=kept), Asked(alert=alerts[0], acknowledgement=taken))
    assert told_ is not None
    assert held_alerts(state) == [told_]
    (updated,), _ = carry_on("acme", state.lasting, [one(True, stake=500)], BEGIN + EVERY_MS)
    assert (told_.version, updated.version) == (2, 3)
    assert updated.acknowledged == taken
