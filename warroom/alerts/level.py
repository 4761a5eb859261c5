"""All that comes of a brand falls to a trickle: half the collectors have died, a feed has lost nine tenths. Pure: minutes in, finding out.

Every rate and all counts relative to each other stay as they are then, so no flow and no count tells. What a minute ought to bring is
today's level times the traffic of an earlier promotion at that clock time, which knows when a rush begins and ends; without one nothing is
told: a promotion's hours before say nothing of its next. The level is the ratio of today's touchpoints to the earlier ones (as in
`warroom.alerts.earlier`), over five minutes each, of the hour that ended half an hour ago; the lower third of them, and of six hours, so
that a rush stronger than the earlier one sets no measure for the time after it. Negative binomial by how the ratios waver
(`warroom.alerts.counts`). A rush may be weaker than the earlier one, some minutes sooner or later, or not come at all: of a rise no more
is expected than today has shown.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from itertools import accumulate

from msgspec import Struct

from schemas.times import MINUTE_MS
from warroom.alerts.counts import UsualCounts, judge_few, usual_counts
from warroom.alerts.earlier import NEEDED, WIDEST
from warroom.alerts.judged import surprise
from warroom.alerts.minutes import Minute

RUNNING = 5
"""Minutes, each of which must be below."""
_STRETCH = 5
_GAP = 30
"""Minutes left out before now: what trickles must not be its own measure."""
_HOUR, _LONG = 12, 72
"""Stretches that the level is learnt from; the scatter is that of the last hour."""
_SHIFT = 2
"""Minutes by which a rush may come or go otherwise, beside those that must be below."""
_TRUST = 0.9
"""Of the logarithm of a rise: a rush of fifty times is expected to be of thirty-four times."""
_STEADIEST = 0.1
"""No traffic is taken to be steadier than this, as a relative standard deviation."""
_BACK = 3
"""Minutes that are back together."""
_HELD = 180
"""Minutes after which what is low is the usual."""
_KEPT = _GAP + (_LONG + 1) * _STRETCH


class Fallen(Struct, frozen=True, kw_only=True):
    """Since the minute `since` touchpoints come at `came` a minute instead of `usual`. `topics` are the input topics it comes from and
    what is left of each, as a fraction; none if all have fallen alike."""

    since: int
    came: float
    usual: float
    topics: tuple[tuple[str, float], ...] = ()


class Curve:
    """A brand's touchpoints minute by minute, without gaps; `begin` is the time today at which the first had the same clock."""

    def __init__(self, begin: int, counts: Sequence[int]) -> None:
        self._begin = begin
        self._sums = [0, *accumulate(counts)]
        sides = [self._lower_side(i) for i in range(len(counts))]
        self._least = [min(sides[max(0, i - _SHIFT) : i + _SHIFT + 1]) for i in range(len(counts))]

    def between(self, begin: int, end: int) -> int:
        """Touchpoints from one time today to another; 0 where not all is known."""
        first, last = (begin - self._begin) // MINUTE_MS, (end - self._begin) // MINUTE_MS
        return self._sums[last] - self._sums[first] if first >= 0 and last < len(self._sums) else 0

    def least(self, at: int) -> float:
        """What is safe to expect of the minute that begins then: the lower of just before and just after it, each over as few minutes as
        tell, or of some minutes sooner or later; 0 where nothing is known."""
        i = (at - self._begin) // MINUTE_MS
        return self._least[i] if 0 <= i < len(self._least) else 0.0

    def _lower_side(self, i: int) -> float:
        sums = self._sums
        until = min(max(bisect_left(sums, sums[i] + NEEDED, i), i + 1), i + WIDEST, len(sums) - 1)
        since = max(min(bisect_left(sums, sums[i + 1] - NEEDED + 1, 0, i + 1) - 1, i), i + 1 - WIDEST, 0)
        return min((sums[until] - sums[i]) / (until - i), (sums[i + 1] - sums[since]) / (i + 1 - since))


class _Usual(Struct, frozen=True, kw_only=True):
    """Touchpoints for each of the curve's, how that wavers, and a usual minute of the curve while it was learnt; `highest` is the
    most that a minute has brought of late."""

    curve: Curve
    level: float
    wavering: float
    minute: float
    highest: float

    def expected(self, at: int) -> float:
        """What is safe to expect of the minute that begins then."""
        least = self.curve.least(at)
        if least <= self.minute or not self.minute:
            return self.level * least
        usual = self.level * self.minute
        return max(usual, min(self.highest, usual * float((least / self.minute) ** _TRUST)))


class Level:
    """How much comes of a brand. `earlier` is the curve of an earlier promotion, where there is one; `fallen` what holds now."""

    def __init__(self) -> None:
        self.earlier: Curve | None = None
        self.fallen: Fallen | None = None
        self._usual: _Usual | None = None
        self._sums = [0]
        self._after = 0
        self._recent: deque[Minute] = deque(maxlen=_GAP)
        self._topics: deque[dict[str, int]] = deque(maxlen=_GAP + _HOUR * _STRETCH)

    def add(self, minute: Minute, share: float, least_surprise: float) -> None:
        """The next minute. Fallen is what is below `share` of what is expected for RUNNING minutes, so surprisingly (powers of ten)."""
        self._keep(minute)
        if self.fallen is None and self._after // MINUTE_MS % _STRETCH == 0:
            self._usual = self._learn()
        if self._usual is None or not share:
            self.fallen = None
        elif self.fallen is None:
            self.fallen = self._falls(self._usual, share, least_surprise)
        elif self._is_over(self._usual, self.fallen, share):
            self.fallen, self._usual = None, None

    def _keep(self, minute: Minute) -> None:
        if minute.at != self._after:  # a gap: the hours before are not where they were
            self._sums, self._usual = [0], None
            self._recent.clear()
        self._after = minute.at + MINUTE_MS
        self._sums.append(self._sums[-1] + _total(minute))
        self._recent.append(minute)
        self._topics.append(minute.arrivals)
        if len(self._sums) > 2 * _KEPT:
            del self._sums[:-_KEPT]

    def _learn(self) -> _Usual | None:
        known = [] if self.earlier is None else self._stretches(self.earlier)
        usual = usual_counts(known[:_HOUR])
        if self.earlier is None or usual is None or len(known) < _HOUR:
            return None
        return _Usual(
            curve=self.earlier,
            level=min(_third([count / of_curve for count, of_curve in some]) for some in (known[:_HOUR], known)),
            wavering=max(usual.wavering, _STEADIEST**2),
            minute=_third([of_curve for _, of_curve in known[:_HOUR]]) / _STRETCH,
            highest=max(_total(one) for one in self._recent),
        )

    def _stretches(self, curve: Curve) -> list[tuple[int, float]]:
        """(touchpoints, the curve's), the latest first."""
        found = []
        for end in range(_GAP, min(_GAP + _LONG * _STRETCH, len(self._sums) - _STRETCH), _STRETCH):
            to = self._after - end * MINUTE_MS
            of_curve = curve.between(to - _STRETCH * MINUTE_MS, to)
            if of_curve:
                found.append((self._sums[-1 - end] - self._sums[-1 - end - _STRETCH], float(of_curve)))
        return found

    def _last(self, usual: _Usual, minutes: int) -> list[tuple[int, float]]:
        """(came, expected) of each of the last minutes."""
        return [(_total(one), usual.expected(one.at)) for one in list(self._recent)[-minutes:]]

    def _falls(self, usual: _Usual, share: float, least_surprise: float) -> Fallen | None:
        last = self._last(usual, RUNNING)
        if len(last) < RUNNING or not all(came < share * due for came, due in last):
            return None
        came, due = sum(count for count, _ in last), sum(expected for _, expected in last)
        if surprise(judge_few(came, due, UsualCounts(ratio=1.0, wavering=usual.wavering))) < least_surprise:
            return None
        since = self._recent[-RUNNING].at
        return Fallen(since=since, came=came / RUNNING, usual=due / RUNNING, topics=self._from(due, share))

    def _from(self, due: float, share: float) -> tuple[tuple[str, float], ...]:
        """The topics that have fallen, if others have not: by what part of all each had before."""
        before: dict[str, int] = {}
        for arrivals in list(self._topics)[:-_GAP]:
            for topic, count in arrivals.items():
                before[topic] = before.get(topic, 0) + count
        whole = sum(before.values())
        left = {
            topic: sum(one.arrivals.get(topic, 0) for one in list(self._recent)[-RUNNING:]) / (due * count / whole)
            for topic, count in sorted(before.items())
            if count
        }
        fallen = tuple((topic, part) for topic, part in left.items() if part < share)
        return fallen if any(part > _halfway(share) for part in left.values()) else ()

    def _is_over(self, usual: _Usual, fallen: Fallen, share: float) -> bool:
        last = self._last(usual, _BACK)
        back = sum(came for came, _ in last) >= _halfway(share) * sum(due for _, due in last)
        return back or self._after - fallen.since > _HELD * MINUTE_MS


def level_curve(minutes: Sequence[Minute], begin: int) -> Curve:
    """The curve of an earlier promotion from its minutes, one after the other; `begin` is the first one's time today."""
    return Curve(begin, [_total(one) for one in minutes])


def _total(minute: Minute) -> int:
    return sum(minute.arrivals.values())


def _halfway(share: float) -> float:
    """Nearer to what is usual than to what alarms."""
    return (1 + share) / 2


def _third(known: Sequence[float]) -> float:
    return sorted(known)[len(known) // 3]
