"""What came of drops, as tables; and what could be found of them at most.

The bound of a place is what one look at its minutes finds that knows the usual rate, by how much it wanders, and when the drop began, and
may alarm by chance as seldom as the engine: the most powerful test (Neyman and Pearson 1933, Philosophical Transactions A 231) of a
negative binomial count (`warroom.alerts.counts`). A detector must learn all that, and looks every minute over eight windows: by chance it
finds some that the bound does not, and it misses more.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import sqrt
from statistics import mean, median

from msgspec import Struct

from bench.days import QUARTER, WAVERING
from bench.detection_rules import COUNTS, DETECTORS, FLOWS, RFLOW, Place
from schemas.times import DAY_MS, MINUTE_MS
from warroom.alerts.rules import Rules

AIMS = ((0.5, 3), (0.3, 5), (0.2, 15), (0.1, 60))
_LASTING = (10, 30, 60)
_SHOWN = 10
"""Minutes of a drop whose volume is told: after midnight it falls within a quarter of an hour."""


_RUSHES = 3
"""Of as many a rush's rate has the wandering: today's, and of the earlier rush its quarter of an hour's and its own strength's."""


class Trial(Struct, frozen=True, kw_only=True):
    """What came of one drop: minutes until it was found (None: not), whether its channel was named. `come` is what comes without it in
    each of its minutes, `beside` what comes by the flow's other channels; `rush`: more is bought then than usual, and how much more only
    other flows and an earlier rush tell. `judged` are the flows, or channels, that share what is allowed of false alarms."""

    detector: str
    volume: str
    when: str
    place: Place
    share: float
    delay: int | None
    named: bool
    come: tuple[int, ...]
    beside: tuple[int, ...]
    rush: bool
    judged: int


class Quiet(Struct, frozen=True, kw_only=True):
    """A day without a drop: what fired, how much of it of counts or the pipeline, and within half an hour of midnight."""

    detector: str
    volume: str
    alarms: int
    of_counts: int
    at_midnight: int


def within(trials: Sequence[Trial], bound: int) -> str:
    """The share found in so many minutes."""
    return f"{sum(one.delay is not None and one.delay <= bound for one in trials) / len(trials):.0%}" if trials else "–"


def by_detector(trials: Sequence[Trial]) -> list[list[str]]:
    """All drops of flows of a depth together, by each detector."""
    lasting = [f"while it lasts, of {minutes} min" for minutes in _LASTING]
    rows = [["detector", "volume", "drop", "drops", "in 3 min", "in 5 min", "in 15 min", *lasting, "median delay"]]
    flows = [one for one in trials if one.place in FLOWS]
    for name, volume, share in product(DETECTORS, _volumes(flows), _shares(flows)):
        some = [one for one in flows if (one.detector, one.volume, one.share) == (name, volume, share)]
        if some:
            rows.append([name, volume, f"{share:.0%}", f"{len(some)}", *(within(some, one) for one in (3, 5, 15, *_LASTING)), _delay(some)])
    return rows


def by_count(trials: Sequence[Trial]) -> list[list[str]]:
    """What is counted, by each detector: the share found within the hour, and how soon half of it is missed."""
    shares = _shares(trials)
    head = ["detector", "volume", "count", "a minute at first", *(f"{share:.0%} in 60 min" for share in shares)]
    rows = [[*head, f"{shares[-1]:.0%} in 15 min", f"{shares[-1]:.0%}, median delay"]] if shares else [head]
    for name, volume, place in product(DETECTORS, _volumes(trials), COUNTS):
        some = [one for one in trials if (one.detector, one.volume, one.place) == (name, volume, place)]
        if some:
            by_share = [[one for one in some if one.share == share] for share in shares]
            cells = [within(of_share, 60) for of_share in by_share]
            rows.append([name, volume, place.name, _volume(some), *cells, within(by_share[-1], 15), _delay(by_share[-1])])
    return rows


def false_alarms(quiet: Sequence[Quiet]) -> list[list[str]]:
    """Days without a drop."""
    head = ["detector", "volume", "days", "false alarms a day", "most on a day", "days with more than one"]
    rows = [[*head, "of all, of counts or the pipeline", "of all, within half an hour of midnight"]]
    for name, volume in product(DETECTORS, _volumes(quiet)):
        days = [one for one in quiet if (one.detector, one.volume) == (name, volume)]
        if not days:
            continue
        counts = [one.alarms for one in days]
        alarms = [f"{sum(counts) / len(days):.2f}", f"{max(counts)}", f"{sum(count > 1 for count in counts)}"]
        rows.append([name, volume, f"{len(days)}", *alarms, f"{sum(one.of_counts for one in days)}", f"{sum(x.at_midnight for x in days)}"])
    return rows


def by_place(trials: Sequence[Trial]) -> list[list[str]]:
    """rflow's by where and when, in the time aimed at, and the bound in brackets."""
    rows = [
        [
            "volume",
            "when",
            "flow",
            "moves a minute at first",
            *(f"{share:.0%} in {bound} min" for share, bound in AIMS),
            "right channel named",
        ]
    ]
    own = [one for one in trials if one.detector == RFLOW]
    for volume, when, place in product(_volumes(own), dict.fromkeys(one.when for one in own), FLOWS):
        some = [one for one in own if (one.volume, one.when, one.place) == (volume, when, place)]
        if not some:
            continue
        found = [one for one in some if one.delay is not None]
        cells = [_beside_bound([one for one in some if one.share == share], bound) for share, bound in AIMS]
        named = f"{sum(one.named for one in found)} of {len(found)}"
        rows.append([volume, when, place.name, _volume(some), *cells, named])
    return rows


def _beside_bound(trials: Sequence[Trial], minutes: int) -> str:
    if not trials:
        return "–"
    return f"{within(trials, minutes)} ({mean(findable(one, minutes) for one in trials):.0%})"


def findable(trial: Trial, minutes: int) -> float:
    """The chance that one look at the first minutes of a drop finds it, all but chance and wandering known."""
    from scipy import stats

    expected = sum(trial.come[:minutes])
    wander = WAVERING / sqrt(max(1.0, minutes / QUARTER)) * sqrt(_RUSHES if trial.rush else 1)
    if trial.place.channel is not None:  # how far the flow has wandered its other channels tell
        wander = 1 / sqrt(1 / wander**2 + sum(trial.beside[:minutes]))
    size = 1 / wander**2
    allowed = Rules().drop.false_alarms / 2 / (DAY_MS / MINUTE_MS * max(1, trial.judged))
    bar = stats.nbinom.ppf(allowed, size, size / (size + expected)) - 1  # the chance of so few is no higher
    left = expected * (1 - trial.share)
    return float(stats.nbinom.cdf(bar, size, size / (size + left)))


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], ["---"] * len(rows[0]), *rows[1:]])


def _volume(trials: Sequence[Trial]) -> str:
    return f"{mean(mean(one.come[:_SHOWN]) for one in trials):,.0f}"


def _delay(trials: Sequence[Trial]) -> str:
    delays = [one.delay for one in trials if one.delay is not None]
    return f"{median(delays):g} min" if delays else "–"


def _volumes(told: Sequence[Trial] | Sequence[Quiet]) -> list[str]:
    return list(dict.fromkeys(one.volume for one in told))


def _shares(trials: Sequence[Trial]) -> list[float]:
    return sorted({one.share for one in trials})
