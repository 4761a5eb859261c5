"""Orders, joins and exposures that stay away: counts against what all else that comes lets expect. Pure.

A flow's rate says nothing of what never begins: exposures that stop, joins of people nobody had reached. A count is held against each of
the others in the same minutes, in proportion as they usually stand to each other (negative binomial, `warroom.alerts.counts`), and the
one that lets expect least decides: so neither night nor rush nor one that grows makes another look small. What no other count tells is
the pipeline's matter (`warroom.alerts.sources`). Orders and joins that are fewer because a flow has dropped are told by the flow's alert.
"""

from __future__ import annotations

from collections import deque
from math import log10

from msgspec import Struct

from schemas.alert import Severity
from schemas.times import DAY_MS, HOUR_MS, MINUTE_MS
from schemas.touchpoint import Kind
from warroom.alerts import telling
from warroom.alerts.counts import judge_few, usual_counts
from warroom.alerts.judged import Judged, surprise
from warroom.alerts.lasting import EVERY_MS, Stands
from warroom.alerts.minutes import KNOWN, Minute
from warroom.alerts.rules import CountRule
from warroom.alerts.sag import STRETCH

JUDGED = ("orders", "joins", "exposures")
COUNTS = (*JUDGED, "interactions")
RULE = "count_drop"
_STRETCHES = (1, 3, 6)
"""Of ten minutes, that are judged together."""


class Fewer(Struct, frozen=True, kw_only=True):
    """The most surprising window of a count: over so many `minutes`."""

    count: str
    minutes: int
    judged: Judged


class Volumes:
    """A brand's counts, ten minutes after ten minutes."""

    def __init__(self) -> None:
        self._open = dict.fromkeys(COUNTS, 0)
        self._stretches: deque[dict[str, int]] = deque(maxlen=KNOWN)
        self._recent: deque[dict[str, int]] = deque(maxlen=max(_STRETCHES))
        self._value = 0.0

    def add(self, minute: Minute, *, frozen: bool) -> None:
        """The next minute. What is `frozen` (an alert is open) is judged and not learnt from."""
        for name, count in _counted(minute).items():
            self._open[name] += count
        if minute.orders:
            self._value = minute.gmv / minute.orders
        if minute.at // MINUTE_MS % STRETCH == STRETCH - 1:
            self._recent.append(self._open)
            if not frozen and len(self._recent) == self._recent.maxlen:
                self._stretches.append(self._recent[0])  # what is judged is not its own measure
            self._open = dict.fromkeys(COUNTS, 0)

    def fewer(self, name: str, least_expected: float) -> Fewer | None:
        """How a count stands; None while too little is known or too few are to be expected."""
        found: Fewer | None = None
        for together in _STRETCHES:
            last = list(self._recent)[-together:]
            if len(last) < together:
                break
            judged = self._least(name, together, {one: sum(stretch[one] for stretch in last) for one in COUNTS})
            if judged is not None and judged.expected >= least_expected and (found is None or judged.chance < found.judged.chance):
                found = Fewer(count=name, minutes=together * STRETCH, judged=judged)
        return found

    def _least(self, name: str, together: int, now: dict[str, int]) -> Judged | None:
        """Against that of the others which lets expect least."""
        known = list(self._stretches)
        groups = [known[i : i + together] for i in range(len(known) % together, len(known), together)]
        found: list[Judged] = []
        for other in (one for one in COUNTS if one != name):
            usual = usual_counts([(sum(x[name] for x in one), float(sum(x[other] for x in one))) for one in groups])
            if usual is not None:
                found.append(judge_few(now[name], float(now[other]), usual))
        return max(found, key=lambda one: one.chance) if len(found) >= 2 else None

    def stands(self, rule: CountRule, words: telling.Words, told: frozenset[str]) -> list[Stands]:
        """How each count stands. Of those in `told` an alert tells already."""
        bar = log10(DAY_MS / EVERY_MS * len(JUDGED) * len(_STRETCHES) / rule.false_alarms)
        found = []
        for name in JUDGED:
            one = self.fewer(name, rule.least_expected)
            if one is None:
                continue
            missing = (one.judged.expected - one.judged.observed) * HOUR_MS / (one.minutes * MINUTE_MS)
            found.append(
                Stands(
                    rule=RULE,
                    key=name,
                    alarming=name not in told and surprise(one.judged) >= bar and -one.judged.change >= rule.least_change,
                    back=-one.judged.change < rule.least_change / 2,
                    severity=Severity.WARNING,
                    title=telling.count_title(name, -one.judged.change),
                    summary=telling.count_summary(name, one.judged, one.minutes, words),
                    scope={"count": name},
                    observed=one.judged.observed,
                    expected=one.judged.expected,
                    gmv_at_stake=max(0, round(missing * self._value)) if name == "orders" else 0,
                )
            )
        return found


def _counted(minute: Minute) -> dict[str, int]:
    kinds = {"joins": Kind.MEMBERSHIP, "exposures": Kind.EXPOSURE, "interactions": Kind.INTERACTION}
    return {"orders": minute.orders, **{name: minute.arrivals.get(kind.topic, 0) for name, kind in kinds.items()}}
