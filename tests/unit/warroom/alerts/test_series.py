"""The detector of any series, on series of many kinds made from seeds: what it finds, where it keeps still, that it never looks ahead."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.times import DAY_MS, HOUR_MS, MINUTE_MS
from warroom.alerts.series import Alarm, SeriesDetector

START = 1_700_006_400_000
FIVE = 5 * MINUTE_MS
Samples = list[tuple[int, float]]


def made(days: float, value: Callable[[Random, float], float], step: int = FIVE, seed: int = 1, missing: float = 0.0) -> Samples:
    """Values by the day, as a fraction, since the start."""
    random = Random(seed)
    found = []
    for i in range(int(days * DAY_MS / step)):
        one = value(random, i * step / DAY_MS)
        if random.random() >= missing:
            found.append((START + i * step, one))
    return found


def run(samples: Samples, step: int = FIVE) -> list[Alarm]:
    detector = SeriesDetector(step)
    return [alarm for at, value in samples if (alarm := detector.see(at, value)) is not None]


def rhythm(day: float) -> float:
    return 1 + 0.8 * math.sin(2 * math.pi * (day - 0.4))


def counted(random: Random, level: float) -> float:
    return float(max(0, round(random.gauss(level, math.sqrt(level)))))


def starts(alarms: list[Alarm]) -> list[float]:
    return [(alarm.at - START) / DAY_MS for alarm in alarms]


QUIET: dict[str, Callable[[Random, float], float]] = {
    "rhythm": lambda random, day: counted(random, 200 * rhythm(day)),
    "rhythm_and_weekend": lambda random, day: counted(random, 200 * rhythm(day) * (0.7 if int(day) % 7 >= 5 else 1)),
    "few": lambda random, day: counted(random, 15 * rhythm(day)),
    "trend": lambda random, day: counted(random, 200 * rhythm(day) * (1 + day / 14)),
    "constant": lambda random, day: 45.0,
    "float": lambda random, day: random.gauss(-3.0, 0.5),
}


@pytest.mark.parametrize("kind", QUIET)
def test_two_ordinary_weeks_alarm_hardly_anybody(kind: str) -> None:
    alarms = [alarm for seed in (1, 2) for alarm in run(made(14, QUIET[kind], seed=seed))]
    assert len(alarms) <= 2
    assert all(alarm.score < 1.2 for alarm in alarms)


@pytest.mark.parametrize("seed", range(3))
def test_two_weeks_with_gaps_alarm_nobody(seed: int) -> None:
    assert run(made(14, QUIET["rhythm"], seed=seed, missing=0.1)) == []


def between(day: float, begin: float, end: float) -> bool:
    return begin <= day < end


FOUND: dict[str, Callable[[Random, float], float]] = {
    "half_at_noon": lambda random, day: counted(random, 200 * rhythm(day) * (0.5 if between(day, 10.5, 10.6) else 1)),
    "silence_at_noon": lambda random, day: 0.0 if between(day, 10.5, 10.6) else counted(random, 200 * rhythm(day)),
    "traffic_at_night": lambda random, day: counted(random, 200 * rhythm(day) + (150 if between(day, 10.1, 10.2) else 0)),
    "spike": lambda random, day: counted(random, 200 * rhythm(day)) + (900 if between(day, 10.5, 10.51) else 0),
    "spike_of_heavy_tails": lambda random, day: 50 * random.lognormvariate(0, 0.6) + (1_500 if between(day, 10.5, 10.51) else 0),
    "shift": lambda random, day: random.gauss(20, 1) + (8 if day >= 10.5 else 0),
    "shift_below_zero": lambda random, day: random.gauss(-20, 1) - (8 if day >= 10.5 else 0),
    "out_of_constancy": lambda random, day: 45.0 + (10 if between(day, 10.5, 10.6) else 0),
    "restless": lambda random, day: random.gauss(20, 5 if between(day, 10.5, 11.0) else 1),
    "stuck": lambda random, day: 20.5 if between(day, 10.5, 11.0) else random.gauss(20, 1),
    "a_third_less_for_two_hours": lambda random, day: counted(random, 200 * rhythm(day) * (0.66 if between(day, 10.5, 10.59) else 1)),
    "sags_by_a_third_within_a_day": lambda random, day: counted(random, 300 * rhythm(day) * (1 - 0.33 * min(1.0, max(0.0, day - 10.4)))),
}


@pytest.mark.parametrize("kind", FOUND)
def test_what_is_out_of_the_ordinary_is_found(kind: str) -> None:
    alarms = run(made(12, FOUND[kind], seed=2))
    begin = 10.1 if kind == "traffic_at_night" else 10.5
    within = {"stuck": 0.3, "restless": 0.3, "sags_by_a_third_within_a_day": 0.9}.get(kind, 0.1)
    assert any(begin <= at <= begin + within for at in starts(alarms)), alarms
    assert len([at for at in starts(alarms) if not begin <= at <= begin + 1]) <= 1


@pytest.mark.parametrize(("step", "days"), [(MINUTE_MS, 8), (10 * MINUTE_MS, 14), (HOUR_MS, 40)])
def test_any_spacing_from_a_minute_to_an_hour(step: int, days: int) -> None:
    level = 40 * step / MINUTE_MS
    drop = days - 1.5
    alarms = run(
        made(days, lambda random, day: counted(random, level * rhythm(day) * (0.1 if between(day, drop, drop + 0.4) else 1)), step), step
    )
    assert any(drop <= at <= drop + 0.4 for at in starts(alarms)), alarms
    assert not [at for at in starts(alarms) if at < drop]


def test_a_quiet_week_end_is_no_news_once_two_have_been_and_a_quiet_wednesday_is() -> None:
    def value(random: Random, day: float) -> float:
        return counted(random, 300 * rhythm(day) * (0.5 if int(day) % 7 >= 5 or between(day, 30, 31) else 1))

    found = starts(run(made(35, value, step=10 * MINUTE_MS)))
    assert any(30 <= at < 31 for at in found)
    assert len([at for at in found if at >= 21 and not 30 <= at < 32]) <= 1, found


def test_one_alarm_tells_of_all_that_goes_on() -> None:
    alarms = run(made(12, lambda random, day: random.gauss(20, 1) + (15 if between(day, 10, 10.5) else 0)))
    assert len(alarms) == 1


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=400), st.integers(0, 399))
def test_what_comes_later_changes_nothing_said_before(values: list[float], cut: int) -> None:
    samples = [(START + i * HOUR_MS, value) for i, value in enumerate(values)]
    early = run(samples[: cut + 1], HOUR_MS)
    assert run(samples, HOUR_MS)[: len(early)] == early


def test_the_unit_does_not_matter() -> None:
    samples = made(12, FOUND["half_at_noon"])
    told = [(alarm.at, alarm.detector) for alarm in run(samples)]
    assert told
    assert [(alarm.at, alarm.detector) for alarm in run([(at, value * 1024) for at, value in samples])] == told
    up = [(at, -value) for at, value in samples]
    assert [(alarm.at, alarm.detector) for alarm in run(up)] == told
