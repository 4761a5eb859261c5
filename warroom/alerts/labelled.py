"""Series and labels from files, and how alarms stand to the labels. For judging the detectors on other people's data."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from schemas.times import HOUR_MS, MINUTE_MS, from_datetime, to_rfc3339
from warroom.alerts.series import Alarm, SeriesDetector

Window = tuple[int, int]
"""Both ends belong to it; epoch milliseconds."""

_HEADER = ["timestamp", "value"]
_SPACING_ROWS = 100
_MISSING = frozenset({"", "nan", "na", "null", "none"})


class LabelledError(Exception):
    """A file that cannot be used: which line, what was expected, what was found."""


class Series(NamedTuple):
    """Samples in order of time. `missing` rows had no value; `passed_over` rows were not later than the one before."""

    samples: list[tuple[int, float]]
    step_ms: int
    missing: int
    passed_over: int


class Evaluation(Struct, frozen=True, kw_only=True):
    """How many labelled windows there are, in how many an alarm starts and after how many seconds, and how many start outside of all."""

    windows: int
    found: int
    false_alarms: int
    delays_seconds: list[float]
    alarms: list[Alarm]

    def told(self) -> dict[str, Any]:
        """As JSON tells it."""
        alarms = [{"at": to_rfc3339(one.at), "detector": one.detector, "score": one.score} for one in self.alarms]
        return {**msgspec.structs.asdict(self), "alarms": alarms}


def read_series(path: Path) -> Series:
    """The samples of a CSV `timestamp,value`: UTC unless an offset is given, at even spacing from a minute to an hour, gaps allowed.

    Raises LabelledError.
    """
    samples: list[tuple[int, float]] = []
    missing = passed_over = 0
    for at, value in _rows(path):
        if value is None:
            missing += 1
        elif samples and at <= samples[-1][0]:
            passed_over += 1
        else:
            samples.append((at, value))
    return Series(samples, _spacing(path, samples), missing, passed_over)


def read_windows(path: Path, series: Path) -> list[Window]:
    """The windows of a JSON file: a list of `[start, end]`, or a mapping of file names to such lists, of which `series` is one.

    Raises LabelledError.
    """
    try:
        document = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise LabelledError(f"{path}: cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LabelledError(f"{path}: expected JSON, found what is none: {error}") from None
    if isinstance(document, dict):
        document = _of_file(path, document, series)
    if not isinstance(document, list):
        raise LabelledError(f"{path}: expected a list of [start, end] or a mapping of file names to such lists, found {document!r:.60}")
    return [_window(path, number, one) for number, one in enumerate(document, 1)]


def detect(series: Series) -> list[Alarm]:
    """Every alarm, in order: each sample is judged by those before it alone."""
    detector = SeriesDetector(series.step_ms)
    return [alarm for at, value in series.samples if (alarm := detector.see(at, value)) is not None]


def evaluate(alarms: Sequence[Alarm], windows: Sequence[Window]) -> Evaluation:
    """How alarms stand to labels. An alarm counts by when it starts."""
    firsts = [next((one.at for one in alarms if start <= one.at <= end), None) for start, end in windows]
    delays = [(first - start) / 1000 for first, (start, _) in zip(firsts, windows, strict=True) if first is not None]
    outside = sum(not any(start <= one.at <= end for start, end in windows) for one in alarms)
    return Evaluation(windows=len(windows), found=len(delays), false_alarms=outside, delays_seconds=delays, alarms=list(alarms))


def _rows(path: Path) -> Iterator[tuple[int, float | None]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, None)
            if header is None or [name.strip().lower() for name in header] != _HEADER:
                raise LabelledError(f"{path}:1: expected the header timestamp,value, found {','.join(header or [])!r:.60}")
            for row in reader:
                if row:
                    yield _row(f"{path}:{reader.line_num}", row)
    except OSError as error:
        raise LabelledError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise LabelledError(f"{path}: expected UTF-8 text: {error.reason} at byte {error.start}") from None
    except csv.Error as error:
        raise LabelledError(f"{path}:{reader.line_num}: expected CSV: {error}") from None


def _row(where: str, row: list[str]) -> tuple[int, float | None]:
    if len(row) != len(_HEADER):
        raise LabelledError(f"{where}: expected a timestamp and a value, found {len(row)} columns")
    at = _instant(where, row[0].strip())
    if row[1].strip().lower() in _MISSING:
        return at, None
    try:
        value = float(row[1])
    except ValueError:
        value = math.inf
    if not math.isfinite(value):
        raise LabelledError(f"{where}: expected a finite number as value (empty where it is missing), found {row[1]!r:.60}")
    return at, value


def _instant(where: str, text: object) -> int:
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
        if at is not None:
            return from_datetime(at if at.tzinfo is not None else at.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        pass
    raise LabelledError(f"{where}: expected a time such as 2026-11-11 00:05:00 (UTC) or RFC 3339, found {text!r:.60}")


def _spacing(path: Path, samples: Sequence[tuple[int, float]]) -> int:
    """The usual distance of the first rows: later ones are still unseen when the detector begins."""
    if len(samples) < 2:
        raise LabelledError(f"{path}: expected at least two rows with values at growing times, found {len(samples)}")
    first = samples[: _SPACING_ROWS + 1]
    step = int(median(later[0] - earlier[0] for earlier, later in pairwise(first)))
    if not MINUTE_MS <= step <= HOUR_MS:
        raise LabelledError(f"{path}: expected rows from a minute to an hour apart, found {step / 1000:g} s")
    return step


def _of_file(path: Path, mapping: dict[str, Any], series: Path) -> Any:
    """What a mapping says of a file: under the longest end of its path that is a key, else under the only key with its name."""
    parts = series.absolute().parts
    for length in range(len(parts), 0, -1):
        if (name := "/".join(parts[-length:])) in mapping:
            return mapping[name]
    named = [key for key in mapping if key.rpartition("/")[2] == series.name]
    if len(named) == 1:
        return mapping[named[0]]
    told = f"{len(named)} that end so" if named else f"{len(mapping)} other names"
    raise LabelledError(f"{path}: expected windows of {series.name}, found {told}")


def _window(path: Path, number: int, one: Any) -> Window:
    where = f"{path}: window {number}"
    if not isinstance(one, list) or len(one) != 2:
        raise LabelledError(f"{where}: expected [start, end], found {one!r:.60}")
    start, end = (_instant(where, text) for text in one)
    if end < start:
        raise LabelledError(f"{where}: expected an end not before its start, found {one[0]} to {one[1]}")
    return start, end
