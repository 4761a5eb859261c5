"""History through the rules: the same engine, the same alerts, each told once with its whole life."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from schemas.alert import AlertState, Severity
from schemas.promotion import Promotion, Window
from schemas.times import DAY_MS, HOUR_MS, MINUTE_MS, from_rfc3339, to_rfc3339
from tests.unit.warroom.alerts.test_engine import FACTS, SHAPE, START, WORTH, half, minutes, run
from tests.unit.warroom.promotions_by_hand import promotion
from warroom.alerts.backtest import Backtest, backtest
from warroom.alerts.engine import Worth
from warroom.alerts.flows import Shape
from warroom.alerts.minutes import Minute
from warroom.alerts.money import SpendDay
from warroom.alerts.rules import Rules, read_rules

DROP = half("R2>R3", 300, 330, "wecom")


class Drawn:
    """Minutes drawn by hand, empty ones before and after."""

    def __init__(self, drawn: list[Minute], promotions: Sequence[Promotion] = (), spent: Sequence[SpendDay] = ()) -> None:
        self._by_time = {one.at: one for one in drawn}
        self._promotions = promotions
        self._spent = spent
        self.worth_asked: list[int] = []
        self.minutes_asked: list[tuple[int, int]] = []

    def promotions(self, brand: str) -> list[list[Promotion]]:
        assert brand == FACTS.brand
        return [[one] for one in self._promotions]

    def gmv(self, brand: str, start: int, end: int) -> list[float]:
        assert brand == FACTS.brand
        return [100.0] * ((end - start) // MINUTE_MS)

    def spend(self, brand: str, start: int, end: int) -> list[SpendDay]:
        assert brand == FACTS.brand
        return [one for one in self._spent if start <= one.begins_at < end]

    def minutes(self, brand: str, start: int, end: int) -> list[Minute]:
        assert brand == FACTS.brand
        self.minutes_asked.append((start, end))
        return [self._by_time.get(at) or Minute(at=at, touches={}, arrivals={}, moves={}) for at in range(start, end, MINUTE_MS)]

    def worth(self, brand: str, shape: Shape, end: int) -> Worth:
        self.worth_asked.append(end)
        return WORTH


def judged(drawn: list[Minute], start: int, end: int, rules: Rules | None = None) -> tuple[Backtest, Drawn]:
    figures = Drawn(drawn)
    return backtest(figures, FACTS, SHAPE, rules or Rules(), START + start * MINUTE_MS, START + end * MINUTE_MS), figures


def test_what_was_told_live_is_told_again_with_its_end() -> None:
    drawn = minutes(420, DROP)
    live = [alert for _, alert in run(drawn)]
    found, figures = judged(drawn, 240, 420)
    (fired,) = found.fired
    assert (fired.rule, fired.scope, fired.flow) == ("flow_drop", {"channel": "wecom"}, live[0].flow)
    assert (fired.at, fired.since) == (from_rfc3339(live[0].at), from_rfc3339(live[0].since))
    assert live[-1].state is AlertState.RESOLVED
    assert (fired.resolved_at, fired.states) == (from_rfc3339(live[-1].at), len(live))
    assert fired.users_at_stake == max(one.users_at_stake or 0 for one in live)
    assert fired.severity is not Severity.INFO
    assert found.minutes == 180
    assert found.a_day == pytest.approx(DAY_MS / (3 * HOUR_MS))
    assert figures.worth_asked == [START + minute * MINUTE_MS for minute in (240, 300, 360)]


def test_what_began_before_the_period_is_known_and_not_judged_and_what_does_not_end_has_no_end() -> None:
    drawn = minutes(420, DROP)
    (cut,) = judged(drawn, 240, 310)[0].fired
    assert cut.resolved_at is None
    assert judged(drawn, 60, 290)[0].fired == []


def test_other_rules_find_other_things_and_planned_alerts_are_no_alarms() -> None:
    drawn = minutes(420, DROP)
    none = read_rules("version: 7\ndrop:\n  enabled: false\n", "r.yaml")
    found = judged(drawn, 240, 420, none)[0]
    assert (found.fired, found.a_day, found.rules_version) == ([], 0.0, 7)
    planned = read_rules(
        "planned:\n  - {from: '2026-11-10T16:50:00.000Z', to: '2026-11-10T18:00:00.000Z', note: the groups are closed}\n", "r.yaml"
    )
    found = judged(drawn, 240, 420, planned)[0]
    assert {(one.planned, one.severity) for one in found.fired} == {(True, Severity.INFO)}
    assert found.a_day == 0.0


def window(begin: int, end: int) -> Window:
    return Window(from_=to_rfc3339(begin), to=to_rfc3339(end))


def test_promotions_and_spend_are_judged_and_an_earlier_curve_is_read() -> None:
    now = window(START, START + 10 * HOUR_MS)
    last = window(START - 30 * DAY_MS, START - 30 * DAY_MS + 10 * HOUR_MS)
    promotions = [promotion(promotion_id=name, window=one, effective_from=one.from_) for name, one in (("now", now), ("last", last))]
    begin = START - 12 * HOUR_MS
    spent = [
        SpendDay(dimension="channel", label="tmall", begins_at=begin - day * DAY_MS, spend=1_000_000, orders=200 if day else 0)
        for day in range(10)
    ]
    figures = Drawn(minutes(240), promotions, spent)
    found = backtest(figures, FACTS, SHAPE, Rules(), START, START + 240 * MINUTE_MS)
    fired = {one.rule: one for one in found.fired}
    assert set(fired) == {"pace_behind", "spend_without_return"}
    assert fired["pace_behind"].scope == {"promotion_id": "now"}
    assert fired["pace_behind"].at >= START + 2 * HOUR_MS  # a fifth of an even plan
    assert fired["spend_without_return"].scope == {"channel": "tmall"}
    assert any(start < START - 29 * DAY_MS for start, _ in figures.minutes_asked)
