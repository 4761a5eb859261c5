"""Complete Journey with drops cut into it: the orders of a year by the hour, some sixteen each, of real households.

Its flows are too thin to judge by the minute, so its orders are: by the detector of any series (`warroom.alerts.series`, what `rflow alerts
eval` runs), and by negative-binomial counts (`warroom.alerts.counts`) against the same hour of the four weeks before at the last week's
level. Beside them the fixed threshold and the z-score of the simulated days.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from copy import deepcopy
from itertools import product
from random import Random
from statistics import mean, pstdev
from typing import Protocol

import msgspec

from bench.days import binomial
from schemas.times import DAY_MS, HOUR_MS
from schemas.touchpoint import PURCHASE
from sources.complete_journey import complete_journey
from warroom.alerts.counts import judge_few, usual_counts
from warroom.alerts.judged import surprise
from warroom.alerts.series import SeriesDetector

FIRST = 60 * 24
"""Hours that are only learnt from."""
EVERY = 7 * 24 + 5
"""Hours from one drop to the next: each at another time of day."""
LASTING = (1, 6, 24)
SHARES = (0.1, 0.2, 0.3, 0.5)
BAR = 4.0
"""Powers of ten: about one false alarm in ten thousand hours, a year and some."""
COOLDOWN = 3


class Hourly(Protocol):
    """Sees the count of one hour after the other."""

    def alarms(self, hour: int, count: int) -> bool:
        """Whether this hour begins an alarm that something is missing."""


class _Series:
    def __init__(self) -> None:
        self._detector = SeriesDetector(HOUR_MS)

    def alarms(self, hour: int, count: int) -> bool:
        return self._detector.see(hour * HOUR_MS, count) is not None


class _Counts:
    def __init__(self) -> None:
        self._past: deque[int] = deque(maxlen=28 * 24)
        self._stretches: deque[tuple[int, float]] = deque(maxlen=7 * 24)
        self._quiet = 0

    def alarms(self, hour: int, count: int) -> bool:
        same = list(self._past)[-24::-24]
        found = False
        if len(same) >= 7:
            measure = max(mean(same), 0.5)
            usual = usual_counts(list(self._stretches))
            found = usual is not None and surprise(judge_few(count, measure, usual)) >= BAR
            self._stretches.append((count, measure))
        self._past.append(count)
        begins = found and hour >= self._quiet
        self._quiet = hour + COOLDOWN if found else self._quiet
        return begins


class _Rule:
    def __init__(self, below: Callable[[Sequence[int], int], bool]) -> None:
        self._below = below
        self._past: deque[int] = deque(maxlen=28 * 24)
        self._quiet = 0

    def alarms(self, hour: int, count: int) -> bool:
        found = len(self._past) >= 24 and self._below(self._past, count)
        self._past.append(count)
        begins = found and hour >= self._quiet
        self._quiet = hour + COOLDOWN if found else self._quiet
        return begins


def _below_threshold(past: Sequence[int], count: int) -> bool:
    return count < 0.6 * mean(past)


def _below_the_day(past: Sequence[int], count: int) -> bool:
    last = list(past)[-24:]
    return count < mean(last) - 3.5 * max(pstdev(last), 1.0)


DETECTORS: dict[str, Callable[[], Hourly]] = {
    "rflow, any series": _Series,
    "rflow, counts": _Counts,
    "fixed threshold": lambda: _Rule(_below_threshold),
    "z-score, last day": lambda: _Rule(_below_the_day),
}


def orders_by_hour() -> list[int]:
    """The whole hours of the year, the empty ones too."""
    counts: Counter[int] = Counter()
    for line in complete_journey().lines:
        record = msgspec.json.decode(line)
        if record["type"] == PURCHASE:
            counts[record["occurred_at"] // HOUR_MS] += 1
    return [counts[hour] for hour in range(min(counts), max(counts))]


def journey_rows(hours: Sequence[int]) -> list[list[str]]:
    """Share found while it lasts, for each length and depth, and false alarms a day without any drop."""
    drops = [f"{share:.0%}, {lasting} h" for lasting, share in product(LASTING, SHARES)]
    rows = [["detector", "false alarms a day", *drops]]
    begins = range(FIRST, len(hours) - max(LASTING), EVERY)
    for name, make in DETECTORS.items():
        detector, alarms = make(), 0
        found: Counter[tuple[int, float]] = Counter()
        for hour, count in enumerate(hours):
            if hour in begins:
                for lasting, share in product(LASTING, SHARES):
                    found[lasting, share] += _is_found(deepcopy(detector), hours, hour, lasting, share)
            alarms += detector.alarms(hour, count) and hour >= FIRST
        cells = [f"{found[lasting, share] / len(begins):.0%}" for lasting, share in product(LASTING, SHARES)]
        rows.append([name, f"{alarms / ((len(hours) - FIRST) * HOUR_MS / DAY_MS):.2f}", *cells])
    return rows


def _is_found(watching: Hourly, hours: Sequence[int], begin: int, lasting: int, share: float) -> bool:
    random = Random(f"journey {begin}")
    return any(watching.alarms(hour, binomial(random, hours[hour], 1 - share)) for hour in range(begin, begin + lasting))
