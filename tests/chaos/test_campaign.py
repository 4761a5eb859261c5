"""The short campaign: four storms, in which every kind of fault strikes once, and what comes of each equals a run in peace.

`make chaos` runs longer ones. Recovery times have their bounds there; here other work may slow the machine down, so only that figures
move again at all is asked for.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.figures import differing
from tests.chaos.operation import Operation
from tests.chaos.process_main import set_clock
from tests.chaos.report import percentile, summary
from tests.chaos.schedule import STORMS
from tests.chaos.stage import Stage
from tests.chaos.trial import Result, Trials
from tests.workers import Worker

SEEDS = range(1, STORMS + 1)


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    with Stage(tmp_path_factory.mktemp("chaos")) as stage:
        yield Trials(stage)


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return []


@pytest.mark.parametrize("seed", SEEDS)
def test_a_storm_changes_nothing(trials: Trials, results: list[Result], seed: int) -> None:
    result = trials.run(seed)
    results.append(result)
    assert result.differences == [], str(result.schedule)
    assert [suffered.fault for suffered in result.suffered] == result.schedule.faults


def test_the_report_tells_of_every_fault(results: list[Result]) -> None:
    told = summary(results, 1.0)
    assert told["seeds"] == len(results)
    assert told["faults"] == sum(len(result.schedule.faults) for result in results) > 0
    assert told["differences"] == 0
    assert all(row["faults"] == 1 for row in told["kinds"].values())


@pytest.mark.parametrize(("seed", "operation"), [(12, Operation.UPGRADE), (13, Operation.PARTITIONS)])
def test_operators_replace_everybody_and_add_partitions_while_faults_strike(trials: Trials, seed: int, operation: Operation) -> None:
    result = trials.run(seed, operation)
    assert result.differences == [], str(result.schedule)
    assert result.suffered


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(n) for n in range(1, 101)]
    assert [percentile(values, share) for share in (0.5, 0.95, 1.0)] == [50.0, 95.0, 100.0]
    assert percentile([7.0], 0.95) == 7.0


def test_the_comparison_sees_a_row_that_is_lost_doubled_or_changed() -> None:
    expected = {"orders": Counter({"a": 1, "b": 2})}
    assert differing({"orders": Counter({"b": 2, "a": 1})}, expected) == []
    assert differing({"orders": Counter({"a": 1, "b": 1})}, expected) == ["orders: expected 2 times, found 1 times: b"]
    assert differing({"orders": Counter({"a": 2, "b": 2})}, expected) == ["orders: expected 1 times, found 2 times: a"]
    assert len(differing({"orders": Counter({"x": 1, "b": 2})}, expected)) == 2
    assert len(differing({}, expected)) == 2


def test_the_wall_clock_of_a_process_jumps(tmp_path: Path) -> None:
    clock, log = tmp_path / "clock", tmp_path / "log"
    set_clock(clock, -86_400)
    process = Worker({"CHAOS_CLOCK": str(clock)}, log, "--clock", module=("tests.chaos.process_main",))
    assert process.wait(60) == 0, process.tail()
    assert abs(float(log.read_text()) - (time.time() - 86_400)) < 60
