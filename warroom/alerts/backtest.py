"""History through the rules: what would have fired, judged minute by minute as it was judged live, from the figures that ClickHouse keeps.

The engine is the one that runs (`engine.Judge`), on a state of its own: nothing is written, told or sent. Some things differ from the day
itself. Figures are final, where live ones lacked what came late. What a user is worth is looked up anew every hour, not every five minutes.
Promotions are taken as their last version tells, operators' notes are left out.
Of what can be wrong with the pipeline only silence, of an input topic or of all, is in the figures; that it stood still is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from msgspec import Struct

from schemas.alert import Alert, AlertState, Flow, Severity
from schemas.times import DAY_MS, HOUR_MS, MINUTE_MS, from_rfc3339
from warroom.alerts.background import Background
from warroom.alerts.background import Sources as Known
from warroom.alerts.engine import BrandState, Facts, Judge, Worth
from warroom.alerts.flows import Flows, Shape
from warroom.alerts.lasting import EVERY_MS
from warroom.alerts.rules import Rules

_BY_WEIGHT = (Severity.INFO, Severity.WARNING, Severity.CRITICAL)


class Figures(Known, Protocol):
    """Where figures come from (`figures.AlertReader`)."""

    def worth(self, brand: str, shape: Shape, end: int) -> Worth:
        """What users were worth over the day before `end`."""


class Fired(Struct, frozen=True, kw_only=True):
    """An alert that would have fired `at` (epoch milliseconds), of what began at `since`; `resolved_at` null: the period ends first.

    `severity` and what is at stake (users an hour; GMV an hour, minor units) are the most that it told, `states` is how often it told
    anything. `planned`: within a planned window, so through no channel.
    """

    brand: str
    alert_id: str
    rule: str
    at: int
    since: int
    title: dict[str, str]
    summary: dict[str, str]
    flow: Flow | None
    scope: dict[str, str]
    severity: Severity
    users_at_stake: int | None
    gmv_at_stake: int | None
    resolved_at: int | None
    states: int
    planned: bool


class Backtest(Struct, frozen=True, kw_only=True):
    """What the rules would have made of a period; `a_day` is alarms per day of 24 hours, planned ones left out."""

    brand: str
    begins: int
    ends: int
    rules_version: int
    minutes: int
    touchpoints: int
    fired: list[Fired]
    a_day: float


def backtest(figures: Figures, facts: Facts, shape: Shape, rules: Rules, start: int, end: int) -> Backtest:
    """Judge a brand's minutes from `start` to before `end`, the day before them known. Raises what `figures` raises."""
    judge, background = Judge(facts, Flows(shape), BrandState(brand=facts.brand)), Background()
    background.refresh(figures, judge, start / 1000, start)
    judge.remember(figures.minutes(facts.brand, start - DAY_MS, start), rules)
    touchpoints = 0
    told: list[Alert] = []
    for hour in range(start, end, HOUR_MS):
        background.refresh(figures, judge, hour / 1000, hour)
        worth = figures.worth(facts.brand, shape, hour)
        for minute in figures.minutes(facts.brand, hour, min(hour + HOUR_MS, end)):
            touchpoints += sum(minute.arrivals.values())
            after = minute.at + MINUTE_MS
            told += judge.judge(minute, rules, worth, well=judge.state.down is None)
            told += judge.gate(judge.silent_sources(rules), after, rules)
            if judge.state.down is None and after - judge.state.stood >= EVERY_MS:
                told += judge.stand(background.stands(figures, judge, rules, after), after, rules)
    fired = list(fired_alerts(told))
    alarms = sum(not one.planned for one in fired)
    return Backtest(
        brand=facts.brand,
        begins=start,
        ends=end,
        rules_version=rules.version,
        minutes=(end - start) // MINUTE_MS,
        touchpoints=touchpoints,
        fired=fired,
        a_day=alarms * DAY_MS / (end - start),
    )


def fired_alerts(told: Iterable[Alert]) -> Iterator[Fired]:
    """Each alert once, in the order in which they fired, from all its states in order."""
    by_id: dict[str, list[Alert]] = {}
    for one in told:
        by_id.setdefault(one.alert_id, []).append(one)
    return (_fired(states) for states in by_id.values())


def _fired(states: list[Alert]) -> Fired:
    first, last = states[0], states[-1]
    return Fired(
        brand=first.brand,
        alert_id=first.alert_id,
        rule=first.rule,
        at=from_rfc3339(first.at),
        since=from_rfc3339(first.since),
        title=first.title,
        summary=first.summary,
        flow=first.flow,
        scope=first.scope,
        severity=max((one.severity for one in states), key=_BY_WEIGHT.index),
        users_at_stake=_most(one.users_at_stake for one in states),
        gmv_at_stake=_most(one.gmv_at_stake for one in states),
        resolved_at=from_rfc3339(last.at) if last.state is AlertState.RESOLVED else None,
        states=len(states),
        planned="planned" in first.scope,
    )


def _most(amounts: Iterable[int | None]) -> int | None:
    return max((one for one in amounts if one is not None), default=None)
