"""What siblings tell of a flow: the channels of one flow by their parts of it, the flows into layers that orders lead to by a common rush.
Pure.

A channel's part of its flow is steadier than its own count, since what moves all of them leaves it as it is. It is judged as a rate is
(`warroom.alerts.conversion`), of what all siblings did: the beta-binomial of one part against the rest, a Dirichlet-multinomial's margin
(Gelman et al., "Bayesian Data Analysis", 3rd edition, section 3.4). A part also shrinks where a sibling grows, and that is no drop. So the
sibling that is furthest above its part is left out, and what is missing must still be missing among the others.

In a rush people of every layer buy several times as often: by how much, those of the other layers tell in the same minutes. The one that
tells least is believed, and of that a part.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from warroom.alerts.conversion import UsualRate, judge_drop
from warroom.alerts.judged import surprise
from warroom.alerts.minutes import Key, Track

Pair = tuple[str, str]

LEAST = 3
"""Siblings that must be, or there would be nobody left to compare with."""
RUSH_MINUTES = 3
"""Over which a rush is told."""
RUSH_LEAST = 50.0
"""Moves to be expected of a sibling in these minutes, or it tells nothing."""
RUSH_TRUST = 0.8
"""Of the logarithm of what the siblings tell: those who stand in no layer do not rush as those who have joined do."""


class Siblings:
    """The parts of one group, minute after minute."""

    def __init__(self) -> None:
        self.tracks: dict[Key, Track] = {}

    def add(self, at: int, counts: Mapping[Key, int], *, frozen: bool) -> None:
        """The next minute of all siblings that are known; each is followed from its first move on."""
        total = sum(counts.values())
        for key, done in counts.items():
            if key not in self.tracks:
                self.tracks[key] = Track(alone=True)
            self.tracks[key].add(at, done, total - done, frozen=frozen)

    @property
    def enough(self) -> bool:
        """Whether there are so many that one can be held against the others."""
        return sum(track.usual is not None for track in self.tracks.values()) >= LEAST

    def missing(self, key: Key, minutes: int) -> float:
        """How surprising (powers of ten) it is that a sibling has so little of the last minutes, among the others without the one that grew
        most; 0 where it has not less, or that cannot be told."""
        known = {one: track for one, track in self.tracks.items() if track.usual is not None}
        own = known.get(key)
        if own is None or own.usual is None or not self.enough:
            return 0.0
        done = {one: track.last(minutes).done for one, track in known.items()}
        part = {one: track.usual.rate for one, track in known.items() if track.usual is not None}
        total = sum(done.values())
        whole = sum(part.values())
        grown = max((one for one in known if one != key), key=lambda one: done[one] - part[one] / whole * total)
        left, rest = total - done[grown], whole - part[grown]
        if left <= 0 or rest <= part[key] or done[key] * rest >= left * part[key]:
            return 0.0
        usual = UsualRate(rate=part[key] / rest, rho=1e-9).at_least(own.usual.scatter)
        return surprise(judge_drop(done[key], left, usual))


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
