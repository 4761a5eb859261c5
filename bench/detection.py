"""`python -m bench.detection`: how soon drops are found, how many are not, and how often nothing is told as a drop.

Days of the simulator's likeness (`bench.days`) at two volumes. Into each, one after the other and each for itself, drops are cut: of the
flow R2 to R3 or R3 to R4 as a whole, of R2 to R3 in one channel, or of what is counted (orders, joins, exposures) while flows go on;
right after midnight or at an evening hour. Each lasts an hour; one of ten minutes is its first ten. Found is an alert of that flow or count
that fires while the drop lasts. A false alarm is any alert on the day without a drop. Beside it, on the same days, two baselines
(`bench.detection_rules`).

Bars and windows were chosen on the days TRAINING, what is told is of others. It writes its tables into bench/README.md, and again after
every day, so that one may stop it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from functools import cache
from itertools import product
from multiprocessing import get_context
from pathlib import Path

from bench.days import COUNTED, Dent, Lack, Mould, mould
from bench.detection_journey import journey_rows, orders_by_hour
from bench.detection_rules import COUNTS, DETECTORS, FLOWS, WITHOUT, Detector, Place, Rflow
from bench.detection_tables import Quiet, Trial, by_count, by_detector, by_place, false_alarms, markdown
from warroom.alerts.minutes import Minute

BEGIN, END = "<!-- detection begins -->", "<!-- detection ends -->"
README = Path(__file__).with_name("README.md")
RATES = {"normal": 300.0, "peak": 6_000.0}
SHARES = (0.1, 0.2, 0.3, 0.5)
LASTING = 60
WHEN = {"midnight": 362, "evening": 25 * 60}
"""Minutes from 18:00, when the day begins: two past midnight, and 19:00."""
MIDNIGHT = 360
TRAINING = range(1, 100)
EARLIER = 0.6
"""The earlier promotion's traffic over this one's; each of its flows also has a rate of its own, and its rush a strength, by `TILT`."""
TILT = 0.1


@cache
def _mould() -> Mould:
    return mould()


def a_day(seed: int, volume: str) -> tuple[list[Trial], list[Quiet]]:
    """Every drop on one day, by every detector."""
    made = _mould()
    curve, rate = made.curve(), RATES[volume]
    day = made.day(curve, rate, seed)
    earlier = made.day(curve, rate * EARLIER, 1_000_000 + seed, tilt=TILT)
    trials, quiet = [], []
    for name, make in DETECTORS.items():
        detector = make(day, earlier)
        alarms: list[tuple[int, Place]] = []
        for i, minute in enumerate(day):
            for when in (one for one, begin in WHEN.items() if i == begin):
                trials += [_trial(name, volume, when, detector, day, drop, seed) for drop in _drops(i, name)]
            alarms += [(i, one) for one in detector.see(minute)]
        quiet.append(
            Quiet(
                detector=name,
                volume=volume,
                alarms=len(alarms),
                of_counts=sum(isinstance(one.what, str) for _, one in alarms),
                at_midnight=sum(abs(i - MIDNIGHT) <= 30 for i, _ in alarms),
            )
        )
    return trials, quiet


def _drops(begin: int, detector: str) -> Iterator[Dent | Lack]:
    counts = () if detector == WITHOUT else COUNTS  # of an earlier promotion no count knows anything
    for share, place in product(SHARES, (*FLOWS, *counts)):
        if isinstance(place.what, str):
            yield Lack(count=place.what, begin=begin, minutes=LASTING, share=share)
        else:
            yield Dent(pair=place.what, channel=place.channel, begin=begin, minutes=LASTING, share=share)


def _trial(name: str, volume: str, when: str, detector: Detector, day: Sequence[Minute], drop: Dent | Lack, seed: int) -> Trial:
    """One drop, seen by a detector that has seen the day up to it. What it fires of the flow or count while it lasts finds it."""
    watching = deepcopy(detector)
    before = day[drop.begin : drop.begin + drop.minutes]
    place = Place(drop.count) if isinstance(drop, Lack) else Place(drop.pair, drop.channel)
    delay, named = None, False
    for waited, minute in enumerate(drop.cut(day, seed), 1):
        found = [one for one in watching.see(minute) if one.what == place.what]
        if found:
            delay, named = waited, found[0].channel == place.channel
            break
    come, beside = zip(*(_come(minute, drop) for minute in before), strict=True)
    judged = detector.judged()[place.channel is not None] if isinstance(detector, Rflow) else 0
    return Trial(
        detector=name,
        volume=volume,
        when=when,
        place=place,
        share=drop.share,
        delay=delay,
        named=named,
        come=come,
        beside=beside,
        rush=isinstance(drop, Dent) and drop.begin in _mould().rush and drop.pair[1] in _mould().bought,
        judged=judged,
    )


def _come(minute: Minute, drop: Dent | Lack) -> tuple[int, int]:
    """What comes without the drop, and what comes of the same flow by other channels."""
    if isinstance(drop, Lack):
        return COUNTED[drop.count](minute), 0
    moves = minute.moves.get(drop.pair, {})
    whole = sum(moves.values())
    own = whole if drop.channel is None else moves.get(drop.channel, 0)
    return own, whole - own


def main() -> None:
    """Measures, and writes the tables into bench/README.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=10, help="days of each volume")
    parser.add_argument("--first", type=int, default=TRAINING.stop, help=f"the first day's seed; up to {TRAINING.stop - 1} for training")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="days that are computed side by side")
    parser.add_argument("--print-only", action="store_true", help="leave bench/README.md as it is")
    arguments = parser.parse_args()
    days = list(product(range(arguments.first, arguments.first + arguments.days), RATES))
    journey = journey_rows(orders_by_hour())
    trials: list[Trial] = []
    quiet: list[Quiet] = []
    told = ""
    with ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn")) as pool:
        for (seed, volume), (more, calm) in zip(days, pool.map(a_day, *zip(*days, strict=True)), strict=True):
            trials += more
            quiet += calm
            print(f"{volume} {seed}: {', '.join(f'{one.detector} {one.alarms}' for one in calm)}", flush=True)
            if volume == list(RATES)[-1]:  # of every volume as many days
                told = "\n\n".join(
                    markdown(rows) for rows in (by_detector(trials), false_alarms(quiet), by_place(trials), by_count(trials), journey)
                )
                if not arguments.print_only:
                    _write(told)
    print(told)


def _write(told: str) -> None:
    text = README.read_text(encoding="utf-8")
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    README.write_text(f"{text[:begin]}\n{told}\n{text[end:]}", encoding="utf-8")


if __name__ == "__main__":
    main()
