"""Labelled series made from a seed: counts with a daily rhythm into which drops are cut, and figures into which other things are."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, pi, sin, sqrt
from random import Random
from typing import NamedTuple

from schemas.times import DAY_MS, HOUR_MS, MINUTE_MS
from warroom.alerts.labelled import Series, Window

START = 1_699_920_000_000
"""A midnight, UTC."""
DAYS = {1: 9, 5: 16, 10: 21, 30: 42, 60: 56}
"""How long a series is, by the minutes between its samples."""
_SPACINGS = (1, 5, 5, 5, 10, 30, 60)
_KINDS = ("shift", "spike", "restless", "sag", "stuck", "dip")


class Made(NamedTuple):
    """A series, where something is wrong with it, and what: the share that is missing, or a word."""

    series: Series
    windows: list[Window]
    kinds: list[str]


class _Wrong(NamedTuple):
    begin: float
    end: float
    kind: str
    size: float


def made_counts(seed: int) -> Made:
    """A count with a rhythm, week-ends, a midnight rush and a level that wanders, each or none, and two to four drops of 10 to 50%."""
    random = Random(f"counts {seed}")
    minutes = random.choice(_SPACINGS)
    days = DAYS[minutes]
    level = 10 ** random.uniform(0.5, 3.0) * max(1.0, (minutes / 5) ** 0.7)
    swing, phase, second = random.uniform(0.3, 0.95), random.uniform(0.2, 0.5), random.uniform(-0.3, 0.3)
    week_end, rush = random.choice((1.0, 1.0, 0.7, 1.3)), random.choice((0, 0, 3, 8))
    wavering, wandering = random.choice((0.0, 0.0004, 0.0025, 0.01)), random.choice((0.0, 0.03, 0.08))
    lasting = [max(random.choice((0.5, 1, 2, 4, 8)) / 24, 4 * minutes / 1440) for _ in range(random.randint(2, 4))]
    wrong = _spread(random, days, [("", length, random.choice((0.1, 0.2, 0.3, 0.5))) for length in lasting])
    values, wander, kept = [], 0.0, exp(-minutes / 30)
    for i in range(days * 1440 // minutes):
        day = i * minutes / 1440
        wander = kept * wander + sqrt(1 - kept**2) * random.gauss(0, wandering)
        mean = level * exp(wander) * max(0.02, 1 + swing * (sin(2 * pi * (day - phase)) + second * sin(4 * pi * (day - phase / 2))))
        mean *= week_end if int(day) % 7 >= 5 else 1.0
        mean *= 1 + rush * exp(-(day % 1) * 72)
        for one in wrong:
            mean *= 1 - one.size * (one.begin <= day < one.end)
        values.append(float(_drawn(random, mean, wavering)))
    return _made(values, minutes, wrong, [f"{one.size:.0%}" for one in wrong])


def made_figure(seed: int) -> Made:
    """A figure with decimals about any level, rhythm or none, and two or three of: shift, spike, dip, restless, sag, stuck."""
    random = Random(f"figure {seed}")
    minutes = random.choice(_SPACINGS)
    days = DAYS[minutes]
    level, scatter = random.choice((-20.0, 0.0, 5.0, 50.0, 900.0)), 10 ** random.uniform(-1, 1)
    swing, heavy, kept = random.choice((0, 0, 3, 8)) * scatter, random.choice((0.0, 0.0, 0.4)), random.choice((0.0, 0.5, 0.9))
    kinds = [random.choice(_KINDS) for _ in range(random.randint(2, 3))]
    lasting = {"spike": 2 * minutes / 1440, "dip": max(2 * minutes / 1440, 1 / 24)}
    sizes = [(kind, lasting.get(kind, random.uniform(0.3, 0.8)), random.choice((-1, 1)) * random.uniform(4, 8)) for kind in kinds]
    wrong = _spread(random, days, sizes)
    values: list[float] = []
    error = 0.0
    for i in range(days * 1440 // minutes):
        day = i * minutes / 1440
        error = kept * error + sqrt(1 - kept**2) * random.gauss(0, 1) * exp(random.gauss(0, heavy))
        value = level + swing * sin(2 * pi * (day - 0.3)) + scatter * error
        for one in wrong:
            if one.begin <= day < one.end:
                value = _bent(random, one, day, value, scatter, values[-1])
        values.append(round(value, 4))
    return _made(values, minutes, wrong, kinds)


def _bent(random: Random, wrong: _Wrong, day: float, value: float, scatter: float, last: float) -> float:
    match wrong.kind:
        case "stuck":
            return last
        case "restless":
            return value + 0.75 * abs(wrong.size) * scatter * random.gauss(0, 1)
        case "sag":
            return value + wrong.size * scatter * (day - wrong.begin) / (wrong.end - wrong.begin)
        case "spike":
            return value + 1.5 * wrong.size * scatter
        case _:
            return value + wrong.size * scatter


def _spread(random: Random, days: int, sizes: Sequence[tuple[str, float, float]]) -> list[_Wrong]:
    """One after the other, none while the series is still new: (kind, days that it lasts, size)."""
    first = max(3.5, days * 0.3)
    begins = [first + (days - first - 1) * (i + random.uniform(0.2, 0.8)) / len(sizes) for i in range(len(sizes))]
    return [_Wrong(begin, begin + length, kind, size) for begin, (kind, length, size) in zip(begins, sizes, strict=True)]


def _drawn(random: Random, mean: float, wavering: float) -> int:
    """A negative binomial count; a normal distribution stands in for the Poisson from 30 on."""
    rate = random.gammavariate(1 / wavering, mean * wavering) if wavering else mean
    if rate >= 30:
        return max(0, round(random.gauss(rate, sqrt(rate))))
    left, count, bound = random.random(), 0, exp(-rate)
    while left > bound:
        left *= random.random()
        count += 1
    return count


def _made(values: Sequence[float], minutes: int, wrong: Sequence[_Wrong], kinds: list[str]) -> Made:
    step = minutes * MINUTE_MS
    windows = [
        (START + int(one.begin * DAY_MS), START + int(one.begin * DAY_MS) + max(int((one.end - one.begin) * DAY_MS), HOUR_MS, 2 * step))
        for one in wrong
    ]
    return Made(Series([(START + i * step, value) for i, value in enumerate(values)], step, 0, 0), windows, kinds)
