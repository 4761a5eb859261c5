"""What siblings tell of a flow: the channels of one flow by what moves all of them, the flows into layers that orders lead to by a common
rush. Pure.

What moves a whole flow moves its channels alike, and is no drop of one of them. How far the flow is off in the minutes judged is told by
two: by how much it wanders as a rule, and by what the channel's siblings did. The first is a Gamma distribution about 1, the second a
Poisson count, so what is believed is a Gamma distribution again (Gelman et al., "Bayesian Data Analysis", 3rd edition, section 2.6): the
channel is held against its own rate times the mean of that, with its standard deviation beside what the channel's part of the flow
scatters by. Where siblings are further off than the flow ever wanders (Box 1980, "Sampling and Bayes' inference in scientific modelling
and robustness", Journal of the Royal Statistical Society A 143: the prior predictive check), they alone are believed, without the one
that grew most.

In a rush people of every layer buy several times as often: by how much, those of the other layers tell in the same minutes. The one that
tells least is believed, and of that a part.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from typing import NamedTuple

from warroom.alerts.conversion import STEADIEST
from warroom.alerts.minutes import Key, Stretches

Pair = tuple[str, str]

LEAST = 3
"""Siblings that must be, or there would be nobody left to compare with."""
_ORDINARY = 3.0
"""Standard deviations up to which siblings are off as the flow is now and then."""
RUSH_MINUTES = 3
"""Over which a rush is told."""
RUSH_LEAST = 50.0
"""Moves to be expected of a sibling in these minutes, or it tells nothing."""
RUSH_TRUST = 0.8
"""Of the logarithm of what the siblings tell: those who stand in no layer do not rush as those who have joined do."""


class Common(NamedTuple):
    """How many times as often as usual what moves a channel's flow lets expect it, and how closely that is known (a relative standard
    deviation)."""

    level: float
    scatter: float


def common_level(others: Sequence[tuple[int, float]], wander: float) -> Common | None:
    """From (done, expected) of a channel's siblings, of a flow that wanders by so much (a relative standard deviation); None where nothing
    is expected of them."""
    done, expected = sum(x for x, _ in others), sum(e for _, e in others)
    if expected <= 0 or wander <= 0:
        return None
    if abs(done / expected - 1) <= _ORDINARY * sqrt(wander**2 + 1 / expected):
        known = 1 / wander**2
        return Common((known + done) / (known + expected), sqrt(1 / (known + done)))
    most, its = max(others, key=lambda one: one[0] - one[1])
    left, rest = done - most, expected - its
    return Common(left / rest, sqrt(1 / left)) if left > 0 and rest > 0 else None


class Siblings:
    """The channels of one flow, minute after minute: by how much each one's part of it scatters."""

    def __init__(self) -> None:
        self._parts: dict[Key, Stretches] = {}

    def add(self, at: int, counts: Mapping[Key, int], *, frozen: bool) -> None:
        """The next minute of all siblings that are known; each is followed from its first move on."""
        total = sum(counts.values())
        for key, done in counts.items():
            if key not in self._parts:
                self._parts[key] = Stretches()
            self._parts[key].learn(at, done, total, frozen=frozen)

    @property
    def keys(self) -> Iterable[Key]:
        """All that are known."""
        return self._parts

    @property
    def enough(self) -> bool:
        """Whether there are so many that one can be held against the others."""
        return sum(part.usual is not None for part in self._parts.values()) >= LEAST

    def scatter(self, key: Key, minutes: int) -> float | None:
        """By how much a channel scatters beside what moves all of them, in stretches of so many minutes (a relative standard deviation);
        None while that is not known. A part of `p` scatters by 1 - p times as much as what it is a part of."""
        part = self._parts.get(key)
        usual = None if part is None else part.usual_over(minutes)
        if usual is None:
            return None
        beyond = max(0.0, usual.scatter**2 - STEADIEST**2)
        return sqrt(STEADIEST**2 + beyond / (1 - usual.rate) ** 2)


class Rush:
    """How many times as often as is to be expected each of several flows came in the last minutes."""

    def __init__(self) -> None:
        self._recent: deque[Mapping[Pair, tuple[int, float]]] = deque(maxlen=RUSH_MINUTES)

    def add(self, counts: Mapping[Pair, tuple[int, float]]) -> None:
        """The next minute: (done, expected) of each flow of which anything is expected."""
        self._recent.append(counts)

    def factor(self, pair: Pair) -> float:
        """How many times as often a flow is to be expected at least, by the others; 1 at least."""
        told = []
        for other in self._recent[-1] if self._recent else ():
            known = [minute[other] for minute in self._recent if other in minute]
            done, expected = sum(done for done, _ in known), sum(expected for _, expected in known)
            if other != pair and expected >= RUSH_LEAST and known[-1][1] > 0:
                told.append(min(done / expected, known[-1][0] / known[-1][1]))  # a rush is over within a minute
        return max(1.0, min(told) ** RUSH_TRUST) if len(told) >= LEAST - 1 else 1.0
