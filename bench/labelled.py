"""`python -m bench.labelled FOLDER --labels FILE.json`: the detector of any series on labelled ones, beside others.

FOLDER holds series as `rflow alerts eval` takes them, at any depth; the labels map their names to windows, as the Numenta benchmark's
`labels/combined_windows.json` does. Series that the labels do not name are left out and counted. With them go series made from seeds
(`bench.made_series`). Each detector tells an alarm when an episode begins, by the same rule (`EPISODE`), so that none is charged for
saying the same thing often. What was chosen by looking (bars, smoothing, which deviations) was chosen on one half of the folder's series,
by the hash of their names, and on seeds below TRAINING; the tables tell of the halves apart, and of other seeds.

Beside it: a fixed threshold (three standard deviations about the mean of the first two days, then fixed), a z-score over the last hour
(3.5 standard deviations; 12 samples at least), the windowed Gaussian of the Numenta benchmark (6,400 samples), and the relative entropy of
Wang et al. 2011, "Statistical Techniques for Online Anomaly Detection in Data Centers" (52 samples in 5 bins against every distribution
seen).
"""

from __future__ import annotations

import argparse
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from math import log, sqrt
from pathlib import Path
from statistics import median
from typing import Protocol

import msgspec
from msgspec import Struct

from bench.detection_tables import markdown
from bench.made_series import Made, made_counts, made_figure
from schemas.times import DAY_MS, HOUR_MS
from warroom.alerts.labelled import LabelledError, Series, Window, evaluate, read_series, read_windows
from warroom.alerts.series import Alarm, SeriesDetector

BEGIN, END = "<!-- labelled begins -->", "<!-- labelled ends -->"
README = Path(__file__).with_name("README.md")
TRAINING = 100
EPISODE = 72
"""Samples without anything alarming after which the next alarm is a new one; a day at most."""
_KINDS = 2.0
"""Of a chi-squared distribution's bound: by how much more two distributions must differ than chance makes them."""


class Judge(Protocol):
    """Sees a series value by value."""

    def alarming(self, at: int, value: float) -> bool:
        """Whether the next value is out of the ordinary."""


class FixedThreshold:
    """Outside the first two days' mean, by three standard deviations."""

    def __init__(self, step_ms: int) -> None:
        self._first: list[float] = []
        self._learn = max(2, 2 * DAY_MS // step_ms)
        self._bounds = (0.0, 0.0)

    def alarming(self, at: int, value: float) -> bool:
        if len(self._first) < self._learn:
            self._first.append(value)
            centre, scatter = _moments(self._first) if len(self._first) == self._learn else (0.0, 0.0)
            self._bounds = (centre - 3 * scatter, centre + 3 * scatter)
            return False
        return not self._bounds[0] <= value <= self._bounds[1]


class LastHour:
    """A z-score over the last hour."""

    def __init__(self, step_ms: int) -> None:
        self._recent: deque[float] = deque(maxlen=max(12, HOUR_MS // step_ms))

    def alarming(self, at: int, value: float) -> bool:
        full = len(self._recent) == self._recent.maxlen
        centre, scatter = _moments(self._recent) if full else (0.0, 0.0)
        self._recent.append(value)
        return full and abs(value - centre) > 3.5 * max(scatter, 1e-9 * abs(centre))


class WindowedGaussian:
    """A value beyond 3.5 standard deviations of the last 6,400, looked at anew every 100."""

    def __init__(self, step_ms: int) -> None:
        self._window: deque[float] = deque(maxlen=6_400)
        self._learn = max(2, 2 * DAY_MS // step_ms)
        self._seen = 0
        self._centre = self._scatter = 0.0

    def alarming(self, at: int, value: float) -> bool:
        if self._seen % 100 == 0 and self._window:
            self._centre, self._scatter = _moments(self._window)
        self._window.append(value)
        self._seen += 1
        return self._seen > self._learn and abs(value - self._centre) > 3.5 * max(self._scatter, 1e-9)


class RelativeEntropy:
    """The distribution of the last 52 values over five bins, against those that have been seen."""

    def __init__(self, step_ms: int) -> None:
        self._recent: deque[float] = deque(maxlen=52)
        self._learn = max(52, 2 * DAY_MS // step_ms)
        self._seen = 0
        self._low, self._high = float("inf"), float("-inf")
        self._known: list[tuple[list[float], int]] = []

    def alarming(self, at: int, value: float) -> bool:
        self._seen += 1
        if self._seen <= self._learn:
            self._low, self._high = min(self._low, value), max(self._high, value)
        self._recent.append(value)
        if self._seen % 13 or len(self._recent) < 52 or self._seen < self._learn:
            return False
        width = (self._high - self._low) / 5 or 1.0
        bins = [min(4, max(0, int((one - self._low) / width))) for one in self._recent]
        seen = [(bins.count(i) + 0.5) / 54.5 for i in range(5)]
        for i, (known, times) in enumerate(self._known):
            if 2 * 52 * sum(p * log(p / q) for p, q in zip(seen, known, strict=True)) < _KINDS * 13.28:  # chi-squared, 4 degrees, 1%
                self._known[i] = (known, times + 1)
                return False
        self._known.append((seen, 1))
        return self._seen > self._learn + 52


def _moments(values: Sequence[float] | deque[float]) -> tuple[float, float]:
    mean = sum(values) / len(values)
    return mean, sqrt(sum((one - mean) ** 2 for one in values) / len(values))


BASELINES: dict[str, Callable[[int], Judge]] = {
    "fixed threshold": FixedThreshold,
    "z-score, last hour": LastHour,
    "windowed Gaussian": WindowedGaussian,
    "relative entropy": RelativeEntropy,
}
DETECTORS = ("rflow", *BASELINES)


def alarms_of(name: str, series: Series) -> list[Alarm]:
    """Every alarm of a detector, in order."""
    if name == "rflow":
        detector = SeriesDetector(series.step_ms)
        return [alarm for at, value in series.samples if (alarm := detector.see(at, value)) is not None]
    judge, pause = BASELINES[name](series.step_ms), min(DAY_MS, EPISODE * series.step_ms)
    found, quiet = [], 0
    for at, value in series.samples:
        if judge.alarming(at, value):
            if at >= quiet:
                found.append(Alarm(at=at, detector=name, score=1.0))
            quiet = at + pause
    return found


class Tally(Struct):
    """What a detector did on a set of series. `days` are theirs together."""

    series: int = 0
    windows: int = 0
    found: int = 0
    false_alarms: int = 0
    days: float = 0.0
    delays: list[float] = msgspec.field(default_factory=list)

    def add(self, series: Series, windows: Sequence[Window], alarms: Sequence[Alarm]) -> None:
        """One series more."""
        result = evaluate(alarms, windows)
        self.series += 1
        self.windows += result.windows
        self.found += result.found
        self.false_alarms += result.false_alarms
        self.days += (series.samples[-1][0] - series.samples[0][0]) / DAY_MS
        self.delays += result.delays_seconds


def half_of(name: str) -> str:
    """Which half of a folder a series belongs to."""
    return "chosen on" if int(sha256(name.encode()).hexdigest(), 16) % 2 == 0 else "not looked at"


def folder(path: Path, labels: Path) -> Iterator[tuple[str, Series, list[Window]]]:
    """The labelled series of a folder: name, series, windows. Raises LabelledError."""
    try:
        named = msgspec.json.decode(labels.read_bytes(), type=dict[str, list[tuple[str, str]]])
    except (OSError, msgspec.DecodeError) as error:
        raise LabelledError(f"{labels}: expected a mapping of file names to windows: {error}") from None
    left = 0
    for file in sorted(path.rglob("*.csv")):
        name = file.relative_to(path).as_posix()
        if name in named:
            yield name, read_series(file), read_windows(labels, file)
        else:
            left += 1
    if left:
        print(f"{left} files that the labels do not name are left out", file=sys.stderr)


def measure(path: Path | None, labels: Path | None, made: Sequence[int]) -> dict[tuple[str, str], Tally]:
    """By set and detector."""
    found: dict[tuple[str, str], Tally] = {}

    def add(where: str, series: Series, windows: Sequence[Window]) -> None:
        for name in DETECTORS:
            found.setdefault((where, name), Tally()).add(series, windows, alarms_of(name, series))

    if path is not None and labels is not None:
        for name, series, windows in folder(path, labels):
            add(f"{path.name}, half {half_of(name)}", series, windows)
            print(name, file=sys.stderr, flush=True)
    makers: dict[str, Callable[[int], Made]] = {"made counts": made_counts, "made figures": made_figure}
    for where, make in makers.items():
        for seed in made:
            one = make(seed)
            add(where, one.series, one.windows)
    return found


def rows(found: dict[tuple[str, str], Tally]) -> list[list[str]]:
    """A row for each set and detector."""
    told = [["series", "detector", "windows", "found", "false alarms", "of each series", "a week", "median delay"]]
    for (where, name), one in found.items():
        delay = f"{median(one.delays) / 3600:.1f} h" if one.delays else "–"
        each, weekly = one.false_alarms / one.series, one.false_alarms / one.days * 7
        share = f"{one.found} ({one.found / one.windows:.0%})" if one.windows else "–"
        told.append([where, name, f"{one.windows}", share, f"{one.false_alarms}", f"{each:.1f}", f"{weekly:.2f}", delay])
    return told


def main() -> None:
    """Measures, and writes the table into bench/README.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="series; without one only the made ones")
    parser.add_argument("--labels", type=Path, help="windows by file name")
    parser.add_argument("--made", type=int, default=40, help="series of each kind to make")
    parser.add_argument("--first", type=int, default=TRAINING, help=f"the first one's seed; up to {TRAINING - 1} for training")
    parser.add_argument("--print-only", action="store_true", help="leave bench/README.md as it is")
    arguments = parser.parse_args()
    if (arguments.folder is None) != (arguments.labels is None):
        parser.error("expected FOLDER and --labels together")
    try:
        told = markdown(rows(measure(arguments.folder, arguments.labels, range(arguments.first, arguments.first + arguments.made))))
    except LabelledError as error:
        sys.exit(f"bench: {error}")
    if not arguments.print_only:
        text = README.read_text(encoding="utf-8")
        begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
        README.write_text(f"{text[:begin]}\n{told}\n{text[end:]}", encoding="utf-8")
    print(told)


if __name__ == "__main__":
    main()
