"""`python -m bench.detection`: how soon drops are found, how many are not, and how often nothing is told as a drop.

Days of the simulator's likeness (`bench.days`) at two volumes, one seeded drop each: of the flow R2 to R3 or R3 to R4 as a whole, or of
R2 to R3 in the channel wecom alone; at a usual hour or right after midnight. Found is an alert of that flow that fires while the drop
lasts; a false alarm is any other, and any on a day without a drop. Beside it, on the same days: a fixed threshold (the flow below 60% of
its mean count of the promotion so far) and a z-score over the last hour (the minute's count 3.5 standard deviations below the mean of
the last 60), each with the same cooldown. It writes its table into bench/README.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from pathlib import Path
from statistics import mean, median, pstdev

from msgspec import Struct

from bench.days import BRAND, Dent, Mould, Pair, mould
from schemas.alert import AlertState
from schemas.ladder_file import load_ladder
from warroom.alerts.engine import BrandState, Facts, Judge, Worth
from warroom.alerts.flows import Flows, shape_of
from warroom.alerts.minutes import Minute
from warroom.alerts.rules import Rules

BEGIN, END = "<!-- detection begins -->", "<!-- detection ends -->"
README = Path(__file__).with_name("README.md")
RATES = {"normal": 300.0, "peak": 6_000.0}
SHARES = (0.1, 0.2, 0.3, 0.5)
LASTING = (10, 60)
WHERE: tuple[tuple[Pair, str | None], ...] = ((("R2", "R3"), None), (("R2", "R3"), "wecom"), (("R3", "R4"), None))
WHEN = {"midnight": 362, "evening": 25 * 60}
"""Minutes from 18:00, when the day begins: two past midnight, and 19:00."""
COOLDOWN = 15

Fired = tuple[int, Pair]
"""The minute of the day in which an alert fires, and its flow."""


class Trial(Struct, frozen=True, kw_only=True):
    """What came of one day: minutes until its drop was found (None: not), and false alarms."""

    delay: int | None
    false_alarms: int


def rflow(minutes: Sequence[Minute]) -> list[Fired]:
    """The engine, by its default rules."""
    shape = shape_of(load_ladder("5r"), BRAND)
    judge = Judge(Facts(brand=BRAND, zone="Asia/Shanghai", currency="CNY"), Flows(shape), BrandState(brand=BRAND))
    worth = Worth(by_layer={}, gmv_an_hour=0.0)
    told = [(i, alert) for i, minute in enumerate(minutes) for alert in judge.judge(minute, Rules(), worth, well=True)]
    return [(i, (one.flow.from_, one.flow.to)) for i, one in told if one.state is AlertState.FIRING and one.flow is not None]


def _baseline(alarms: Callable[[Sequence[int]], bool]) -> Callable[[Sequence[Minute]], list[Fired]]:
    def run(minutes: Sequence[Minute]) -> list[Fired]:
        fired = []
        for pair in {pair for pair, _ in WHERE}:
            counts, quiet = [], 0
            for i, minute in enumerate(minutes):
                counts.append(sum(minute.moves.get(pair, {}).values()))
                if i >= 60 and alarms(counts):
                    if i >= quiet:
                        fired.append((i, pair))
                    quiet = i + COOLDOWN
        return fired

    return run


def _below_threshold(counts: Sequence[int]) -> bool:
    return counts[-1] < 0.6 * mean(counts[:-1])


def _below_the_hour(counts: Sequence[int]) -> bool:
    before = counts[-61:-1]
    return counts[-1] < mean(before) - 3.5 * max(pstdev(before), 1.0)


DETECTORS: dict[str, Callable[[Sequence[Minute]], list[Fired]]] = {
    "rflow": rflow,
    "fixed threshold": _baseline(_below_threshold),
    "z-score, last hour": _baseline(_below_the_hour),
}


def trial(fired: Iterable[Fired], dent: Dent | None) -> Trial:
    """Alerts against the drop that was there."""
    delay, false = None, 0
    for at, pair in sorted(fired):
        if dent is not None and pair == dent.pair and dent.begin <= at < dent.begin + dent.minutes:
            delay = at - dent.begin + 1 if delay is None else delay
        else:
            false += 1
    return Trial(delay=delay, false_alarms=false)


class Line(Struct, frozen=True, kw_only=True):
    """One row of the table: trials of one depth at one volume, by one detector."""

    detector: str
    volume: str
    share: float
    trials: tuple[Trial, ...]

    def cells(self) -> list[str]:
        """As the table shows it. Within: found in 3, 5, 15 minutes."""
        delays = [one.delay for one in self.trials if one.delay is not None]
        within = [f"{sum(delay <= bound for delay in delays) / len(self.trials):.0%}" for bound in (3, 5, 15)]
        shown = f"{median(delays):g} min" if delays else "–"
        false = f"{sum(one.false_alarms for one in self.trials) / len(self.trials):.2f}"
        return [self.detector, self.volume, f"{self.share:.0%}" if self.share else "none", f"{len(self.trials)}"] + (
            [f"{len(delays) / len(self.trials):.0%}", *within, shown, false] if self.share else ["", "", "", "", "", false]
        )


def measure(made: Mould, seeds: int, quiet_days: int, tell: Callable[[str], None] = lambda _: None) -> list[Line]:
    """Every line of the table."""
    curve, begins = made.curve(), list(WHEN.values())  # the times of day take turns
    found: dict[tuple[str, str, float], list[Trial]] = {}
    for volume, rate in RATES.items():
        days: list[tuple[float, Dent | None, int]] = [(0.0, None, 1_000 + seed) for seed in range(quiet_days)]
        kinds = enumerate(product(SHARES, LASTING, WHERE, range(seeds)))
        days += [
            (share, Dent(pair=pair, begin=begins[number % len(begins)], minutes=minutes, share=share, channel=channel), seed)
            for number, (share, minutes, (pair, channel), seed) in kinds
        ]
        for share, dent, seed in days:
            day = made.day(curve, rate, seed, () if dent is None else (dent,))
            for name, detect in DETECTORS.items():
                found.setdefault((name, volume, share), []).append(trial(detect(day), dent))
            tell(f"{volume} {share:.0%}")
    return [
        Line(detector=name, volume=volume, share=share, trials=tuple(trials)) for (name, volume, share), trials in sorted(found.items())
    ]


def table(lines: Sequence[Line]) -> str:
    """The table as Markdown."""
    head = ["detector", "volume", "drop", "days", "found", "in 3 min", "in 5 min", "in 15 min", "median delay", "false alarms a day"]
    rows = [head, ["---"] * len(head), *(line.cells() for line in lines)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    """Measures, and writes the table into bench/README.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="days of each kind of drop")
    parser.add_argument("--quiet-days", type=int, default=10, help="days without any, of each volume")
    arguments = parser.parse_args()
    told = table(measure(mould(), arguments.seeds, arguments.quiet_days, print))
    text = README.read_text(encoding="utf-8")
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    README.write_text(f"{text[:begin]}\n{told}\n{text[end:]}", encoding="utf-8")
    print(told)


if __name__ == "__main__":
    main()
