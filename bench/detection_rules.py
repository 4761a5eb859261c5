"""What is measured on days with drops: the engine that runs, and beside it two rules as they are often written.

The fixed threshold alarms below 60% of a count's mean of the promotion so far, the z-score 3.5 standard deviations below the mean of its
last 60 minutes; both look at the minute's moves of the flows and at the counts that drops are cut into, and keep as long a cooldown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from statistics import fmean, pstdev
from typing import NamedTuple, Protocol

from bench.days import BRAND, COUNTED, Pair
from schemas.alert import Alert, AlertState
from schemas.ladder_file import load_ladder
from schemas.times import MINUTE_MS
from warroom.alerts import volumes
from warroom.alerts.engine import BrandState, Facts, Judge, Worth
from warroom.alerts.flows import Flows, curve_of, shape_of
from warroom.alerts.lasting import EVERY_MS
from warroom.alerts.level import level_curve
from warroom.alerts.minutes import Minute
from warroom.alerts.rules import Rules

COOLDOWN = 15
_KNOWN = 60
"""Minutes before a baseline judges."""


class Place(NamedTuple):
    """Where a drop is, or an alert tells that it is: a flow or a count, and the flow's channel."""

    what: Pair | str
    channel: str | None = None

    @property
    def name(self) -> str:
        """As tables show it."""
        return self.what if isinstance(self.what, str) else "→".join(self.what) + (f" in {self.channel}" if self.channel else "")


class Detector(Protocol):
    """Sees a day minute by minute."""

    def see(self, minute: Minute) -> list[Place]:
        """The next minute, and what fires."""


class Rflow:
    """The engine, by its default rules: flows, counts and the pipeline's gate; with an earlier promotion's curve if there is one."""

    def __init__(self, day: Sequence[Minute], earlier: Sequence[Minute]) -> None:
        shape = shape_of(load_ladder("5r"), BRAND)
        flows = Flows(shape)
        if earlier:
            flows.earlier = curve_of(shape, earlier, day[0].at)
        self._judge = Judge(Facts(brand=BRAND, zone="Asia/Shanghai", currency="CNY"), flows, BrandState(brand=BRAND))
        self._judge.level.earlier = level_curve(earlier, day[0].at) if earlier else None
        self._worth = Worth(by_layer={}, gmv_an_hour=0.0)
        self._rules = Rules()

    def see(self, minute: Minute) -> list[Place]:
        """Whatever fires."""
        judge, after = self._judge, minute.at + MINUTE_MS
        told = judge.judge(minute, self._rules, self._worth, well=judge.state.down is None)
        told += judge.gate(judge.silent_sources(self._rules), after, self._rules)
        if judge.state.down is None and after - judge.state.stood >= EVERY_MS:
            told += judge.stand([], after, self._rules)
        return [_place(one) for one in told if one.state is AlertState.FIRING]

    def judged(self) -> tuple[int, int]:
        """How many flows are judged now, and how many channels of flows."""
        keys = self._judge.flows.judged(self._rules.drop, down=True)
        whole = sum(key.channel is None for key in keys)
        return whole, len(keys) - whole

    def __deepcopy__(self, memo: dict[int, object]) -> Rflow:
        for curve in (self._judge.flows.earlier, self._judge.level.earlier):
            memo[id(curve)] = curve  # never changes
        made = object.__new__(Rflow)
        made._judge, made._worth, made._rules = deepcopy(self._judge, memo), self._worth, self._rules
        return made


def _place(alert: Alert) -> Place:
    if alert.flow is not None:
        return Place((alert.flow.from_, alert.flow.to), alert.scope.get("channel"))
    return Place(alert.scope["count"] if alert.rule == volumes.RULE else alert.rule)


class Baseline:
    """A rule on single counts: those of some flows, and those that drops are cut into."""

    def __init__(self, alarms: Callable[[Sequence[int]], bool], flows: Sequence[Pair]) -> None:
        self._alarms = alarms
        self._flows = flows
        self._counts: dict[Pair | str, list[int]] = {pair: [] for pair in flows}
        self._counts |= {name: [] for name in COUNTED}
        self._quiet: dict[Pair | str, int] = {}
        self._seen = 0

    def see(self, minute: Minute) -> list[Place]:
        """What alarms and did not in the minutes before."""
        fired = []
        now: dict[Pair | str, int] = {pair: sum(minute.moves.get(pair, {}).values()) for pair in self._flows}
        now |= {name: count(minute) for name, count in COUNTED.items()}
        for what, counts in self._counts.items():
            counts.append(now[what])
            if len(counts) > _KNOWN and self._alarms(counts):
                if self._seen >= self._quiet.get(what, 0):
                    fired.append(Place(what))
                self._quiet[what] = self._seen + COOLDOWN
        self._seen += 1
        return fired


def _below_threshold(counts: Sequence[int]) -> bool:
    return counts[-1] < 0.6 * fmean(counts[:-1])


def _below_the_hour(counts: Sequence[int]) -> bool:
    before = counts[-_KNOWN - 1 : -1]
    return counts[-1] < fmean(before) - 3.5 * max(pstdev(before), 1.0)


FLOWS = (Place(("R2", "R3")), Place(("R2", "R3"), "wecom"), Place(("R3", "R4")))
COUNTS = tuple(Place(name) for name in COUNTED)
_PAIRS: list[Pair] = list(dict.fromkeys(one.what for one in FLOWS if not isinstance(one.what, str)))
RFLOW, WITHOUT = "rflow", "rflow, no earlier promotion"
DETECTORS: dict[str, Callable[[Sequence[Minute], Sequence[Minute]], Detector]] = {
    RFLOW: Rflow,
    WITHOUT: lambda day, _: Rflow(day, ()),
    "fixed threshold": lambda *_: Baseline(_below_threshold, _PAIRS),
    "z-score, last hour": lambda *_: Baseline(_below_the_hour, _PAIRS),
}
