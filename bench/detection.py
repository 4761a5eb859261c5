"""`python -m bench.detection`: how soon drops are found, how many are not, and how often nothing is told as a drop.

Days of the simulator's likeness (`bench.days`) at two volumes. Into each, one after the other and each for itself, drops are cut: of the
flow R2 to R3 or R3 to R4 as a whole, or of R2 to R3 in one channel; right after midnight or at an evening hour. Found is an alert of that
flow that fires while the drop lasts. A false alarm is one on the day without any. Beside it, on the same days: a fixed threshold (the
flow below 60% of its mean count of the promotion so far) and a z-score over the last hour (the minute's count 3.5 standard deviations
below the mean of the last 60), each with the same cooldown.

Bars and windows were chosen on the days TRAINING, what is told is of others. It writes its tables into bench/README.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from itertools import product
from pathlib import Path
from statistics import mean, median, pstdev
from typing import Protocol

from msgspec import Struct

from bench.days import BRAND, Dent, Mould, Pair, mould
from bench.detection_journey import journey_rows, orders_by_hour
from schemas.alert import Alert, AlertState
from schemas.ladder_file import load_ladder
from warroom.alerts.engine import BrandState, Facts, Judge, Worth
from warroom.alerts.flows import Flows, curve_of, shape_of
from warroom.alerts.minutes import Minute
from warroom.alerts.rules import Rules

BEGIN, END = "<!-- detection begins -->", "<!-- detection ends -->"
README = Path(__file__).with_name("README.md")
RATES = {"normal": 300.0, "peak": 6_000.0}
SHARES = (0.1, 0.2, 0.3, 0.5)
LASTING = (10, 60)
Where = tuple[Pair, str | None]
WHERE: tuple[Where, ...] = ((("R2", "R3"), None), (("R2", "R3"), "wecom"), (("R3", "R4"), None))
WHEN = {"midnight": 362, "evening": 25 * 60}
"""Minutes from 18:00, when the day begins: two past midnight, and 19:00."""
COOLDOWN = 15
TRAINING = range(1, 100)
AIMS = ((0.5, 3), (0.3, 5), (0.2, 15), (0.1, 60))
EARLIER = 0.6
"""The earlier promotion's traffic over this one's; each of its flows also has a rate of its own, by `TILT`."""
TILT = 0.1


class Fired(Struct, frozen=True, kw_only=True):
    """An alert that fires."""

    pair: Pair
    channel: str | None = None


class Detector(Protocol):
    """Sees a day minute by minute."""

    def see(self, minute: Minute) -> list[Fired]:
        """The next minute, and what fires."""


class Rflow:
    """The engine, by its default rules, with an earlier promotion's curve."""

    def __init__(self, day: Sequence[Minute], earlier: Sequence[Minute]) -> None:
        shape = shape_of(load_ladder("5r"), BRAND)
        flows = Flows(shape)
        if earlier:
            flows.earlier = curve_of(shape, earlier, day[0].at)
        self._judge = Judge(Facts(brand=BRAND, zone="Asia/Shanghai", currency="CNY"), flows, BrandState(brand=BRAND))
        self._worth = Worth(by_layer={}, gmv_an_hour=0.0)

    def see(self, minute: Minute) -> list[Fired]:
        """Alerts of flows that fire."""
        told = self._judge.judge(minute, Rules(), self._worth, well=True)
        return [_fired(one) for one in told if one.state is AlertState.FIRING and one.flow is not None]

    def __deepcopy__(self, memo: dict[int, object]) -> Rflow:
        curve = self._judge.flows.earlier
        memo[id(curve)] = curve  # never changes
        made = object.__new__(Rflow)
        made._judge, made._worth = deepcopy(self._judge, memo), self._worth
        return made


def _fired(alert: Alert) -> Fired:
    assert alert.flow is not None
    return Fired(pair=(alert.flow.from_, alert.flow.to), channel=alert.scope.get("channel"))


class Baseline:
    """A rule on the counts of the flows in WHERE."""

    def __init__(self, alarms: Callable[[Sequence[int]], bool]) -> None:
        self._alarms = alarms
        self._counts: dict[Pair, list[int]] = {pair: [] for pair in sorted({pair for pair, _ in WHERE})}
        self._quiet: dict[Pair, int] = {}
        self._seen = 0

    def see(self, minute: Minute) -> list[Fired]:
        """Flows whose count alarms, and did not in the minutes before."""
        fired = []
        for pair, counts in self._counts.items():
            counts.append(sum(minute.moves.get(pair, {}).values()))
            if len(counts) > 60 and self._alarms(counts):
                if self._seen >= self._quiet.get(pair, 0):
                    fired.append(Fired(pair=pair))
                self._quiet[pair] = self._seen + COOLDOWN
        self._seen += 1
        return fired


def _below_threshold(counts: Sequence[int]) -> bool:
    return counts[-1] < 0.6 * mean(counts[:-1])


def _below_the_hour(counts: Sequence[int]) -> bool:
    before = counts[-61:-1]
    return counts[-1] < mean(before) - 3.5 * max(pstdev(before), 1.0)


DETECTORS: dict[str, Callable[[Sequence[Minute], Sequence[Minute]], Detector]] = {
    "rflow": Rflow,
    "rflow, no earlier promotion": lambda day, _: Rflow(day, ()),
    "fixed threshold": lambda *_: Baseline(_below_threshold),
    "z-score, last hour": lambda *_: Baseline(_below_the_hour),
}


class Trial(Struct, frozen=True, kw_only=True):
    """What came of one drop: minutes until it was found (None: not), whether its channel was named; `moves` that usually come a minute."""

    detector: str
    volume: str
    when: str
    where: Where
    share: float
    delay: int | None
    named: bool
    moves: float


class Quiet(Struct, frozen=True, kw_only=True):
    """A day without a drop: what fired, and how much of it within half an hour of midnight."""

    detector: str
    volume: str
    alarms: int
    at_midnight: int


def a_day(made: Mould, volume: str, seed: int) -> tuple[list[Trial], list[Quiet]]:
    """Every drop on one day, by every detector."""
    curve, rate = made.curve(), RATES[volume]
    day = made.day(curve, rate, seed)
    earlier = made.day(curve, rate * EARLIER, 1_000_000 + seed, tilt=TILT)
    trials, quiet = [], []
    for name, make in DETECTORS.items():
        detector, alarms = make(day, earlier), []
        for i, minute in enumerate(day):
            for when, begin in WHEN.items():
                if i == begin:
                    trials += [_trial(name, volume, when, detector, day, dent, seed) for dent in _dents(begin)]
            alarms += [i] * len(detector.see(minute))
        midnight = sum(abs(i - 360) <= 30 for i in alarms)
        quiet.append(Quiet(detector=name, volume=volume, alarms=len(alarms), at_midnight=midnight))
    return trials, quiet


def _dents(begin: int) -> Iterator[Dent]:
    for share, minutes, (pair, channel) in product(SHARES, LASTING, WHERE):
        yield Dent(pair=pair, begin=begin, minutes=minutes, share=share, channel=channel)


def _trial(name: str, volume: str, when: str, detector: Detector, day: Sequence[Minute], dent: Dent, seed: int) -> Trial:
    """One drop, seen by a detector that has seen the day up to it. What it fires of the flow while it lasts finds it."""
    watching = deepcopy(detector)
    before = [minute.moves.get(dent.pair, {}) for minute in day[dent.begin : dent.begin + dent.minutes]]
    moves = mean(sum(n for channel, n in one.items() if dent.channel in (None, channel)) for one in before)
    delay, named = None, False
    for waited, minute in enumerate(dent.cut(day, seed), 1):
        found = [one for one in watching.see(minute) if one.pair == dent.pair]
        if found:
            delay, named = waited, found[0].channel == dent.channel
            break
    where = (dent.pair, dent.channel)
    return Trial(detector=name, volume=volume, when=when, where=where, share=dent.share, delay=delay, named=named, moves=moves)


# --- tables ---------------------------------------------------------------------------------------------------------------------------
def within(trials: Sequence[Trial], bound: int) -> str:
    """The share found in so many minutes."""
    return f"{sum(one.delay is not None and one.delay <= bound for one in trials) / len(trials):.0%}" if trials else "–"


def by_detector(trials: Sequence[Trial]) -> list[list[str]]:
    """All drops of a depth together, by each detector."""
    rows = [["detector", "volume", "drop", "drops", "found", "in 3 min", "in 5 min", "in 15 min", "median delay"]]
    for name, volume, share in product(DETECTORS, RATES, SHARES):
        some = [one for one in trials if (one.detector, one.volume, one.share) == (name, volume, share)]
        if not some:
            continue
        delays = [one.delay for one in some if one.delay is not None]
        shown = f"{median(delays):g} min" if delays else "–"
        rows.append([name, volume, f"{share:.0%}", f"{len(some)}", *(within(some, bound) for bound in (60, 3, 5, 15)), shown])
    return rows


def false_alarms(quiet: Sequence[Quiet]) -> list[list[str]]:
    """Days without a drop."""
    rows = [["detector", "volume", "days", "false alarms a day", "most on a day", "of all, within half an hour of midnight"]]
    for name, volume in product(DETECTORS, RATES):
        days = [one for one in quiet if (one.detector, one.volume) == (name, volume)]
        if not days:
            continue
        counts = [one.alarms for one in days]
        at_midnight = sum(one.at_midnight for one in days)
        rows.append([name, volume, f"{len(days)}", f"{sum(counts) / len(days):.2f}", f"{max(counts)}", f"{at_midnight}"])
    return rows


def by_place(trials: Sequence[Trial]) -> list[list[str]]:
    """rflow's by where and when, in the time aimed at."""
    rows = [["volume", "when", "flow", "moves a minute", *(f"{share:.0%} in {bound} min" for share, bound in AIMS), "right channel named"]]
    for volume, when, where in product(RATES, WHEN, WHERE):
        some = [one for one in trials if (one.detector, one.volume, one.when, one.where) == ("rflow", volume, when, where)]
        if not some:
            continue
        (from_, to), channel = where
        found = [one for one in some if one.delay is not None]
        cells = [within([one for one in some if one.share == share], bound) for share, bound in AIMS]
        named = f"{sum(one.named for one in found)} of {len(found)}"
        shown = f"{from_}→{to}{f' in {channel}' if channel else ''}"
        rows.append([volume, when, shown, f"{mean(one.moves for one in some):,.0f}", *cells, named])
    return rows


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], ["---"] * len(rows[0]), *rows[1:]])


def main() -> None:
    """Measures, and writes the tables into bench/README.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=10, help="days of each volume")
    parser.add_argument("--first", type=int, default=TRAINING.stop, help=f"the first day's seed; up to {TRAINING.stop - 1} for training")
    parser.add_argument("--print-only", action="store_true", help="leave bench/README.md as it is")
    arguments = parser.parse_args()
    made = mould()
    trials: list[Trial] = []
    quiet: list[Quiet] = []
    for volume, seed in product(RATES, range(arguments.first, arguments.first + arguments.days)):
        more, calm = a_day(made, volume, seed)
        trials += more
        quiet += calm
        print(f"{volume} {seed}: {', '.join(f'{one.detector} {one.alarms}' for one in calm)}", flush=True)
    parts = [
        markdown(by_detector(trials)),
        markdown(false_alarms(quiet)),
        markdown(by_place(trials)),
        markdown(journey_rows(orders_by_hour())),
    ]
    told = "\n\n".join(parts)
    if not arguments.print_only:
        text = README.read_text(encoding="utf-8")
        begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
        README.write_text(f"{text[:begin]}\n{told}\n{text[end:]}", encoding="utf-8")
    print(told)


if __name__ == "__main__":
    main()
