"""Bounds are judged as stated, and the README's figures are what was measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from bench.latency import Latency, Plan, quantile
from bench.machine import Machine
from bench.memory import Memory, Population
from bench.report import BEGIN, END, markdown, write_readme
from bench.results import Results, bounds
from bench.rounds import Run, Sizes
from bench.throughput import Throughput
from bench.workers import Scaling, Sharing

MACHINE = Machine(
    processor="cpu", cores=2, memory_gib=8, system="Linux", python="3", kafka="4", redis="7", faust="0", aiokafka="0", librdkafka="2"
)
SIZES = Sizes(users=10, events=1_000, idiomatic_events=100, warm_up=1, rounds=1)
POPULATION = Population(users=1_000_000, fewest=1, most=3)


def run(events: int, cpu: float) -> Run:
    return Run(events=events, seconds=2 * cpu, cpu_seconds=cpu, loop_seconds=0.1)


def throughput(rflow_cpu: float) -> Throughput:
    return Throughput(
        sizes=SIZES,
        event_bytes=220,
        rflow=[run(1_000, rflow_cpu)],
        idiomatic=[run(100, 4.0)],
        floor=[run(1_000, 0.1)],
        metered=run(1_000, 1.0),
        phases={"fold": 600.0, "rest": 400.0},
    )


def memory(total: float) -> Memory:
    return Memory(population=POPULATION, events=1, total=total, key=150, state=60, roster=15, other=0, index=total - 165)


def latency(p99: float, rate: float = 1_000) -> Latency:
    plan = Plan(rate=1_000, seconds=1, warm_up=1, users=10)
    return Latency(plan=plan, rate=rate, events=1, transitions=1, p50=1, p95=2, p99=p99, most=p99)


def sharing(workers: int, seconds: float, cpu: float) -> Sharing:
    return Sharing(
        workers=workers, events=1_000, seconds=seconds, loop_seconds=0.1, worker_cpu=cpu, kafka_cpu=1, redis_cpu=1, idle=0, cores=2
    )


NOTHING = Results(machine=MACHINE, date="2025-01-01", quick=False, seconds=60)
ALL = replace(
    NOTHING,
    throughput=throughput(1.0),
    memory=[memory(200)],
    latency=[latency(5, 20), latency(500)],
    scaling=Scaling(one=sharing(1, 10, 10), two=sharing(2, 6, 10)),
)


def verdicts(results: Results) -> list[str]:
    return [bound.verdict for bound in bounds(results)]


def test_what_was_not_measured_is_not_judged() -> None:
    assert bounds(NOTHING) == []


def test_all_bounds_kept() -> None:
    assert verdicts(ALL) == ["kept"] * 4


def test_each_bound_can_be_missed() -> None:
    assert verdicts(replace(NOTHING, throughput=throughput(1.1))) == ["missed"]
    assert verdicts(replace(NOTHING, memory=[memory(220.1)])) == ["missed"]
    assert verdicts(replace(NOTHING, latency=[latency(1_000)])) == ["missed"]
    assert verdicts(replace(NOTHING, scaling=Scaling(one=sharing(1, 10, 8), two=sharing(2, 7, 8)))) == ["missed"]


def test_latency_at_a_lower_rate_than_planned_does_not_count() -> None:
    (bound,) = bounds(replace(NOTHING, latency=[latency(10, rate=900)]))
    assert bound.verdict == "missed"
    assert "only 900 of 1,000" in bound.note


def test_scaling_that_the_cores_do_not_allow_says_so() -> None:
    scaling = Scaling(one=sharing(1, 10, 10), two=sharing(2, 7, 11))
    (bound,) = bounds(replace(NOTHING, scaling=scaling))
    assert bound.verdict == "impossible"
    assert f"{scaling.most_possible:.2f} times one worker" in bound.note


@pytest.mark.parametrize(("share", "expected"), [(0.5, 2.0), (0.75, 3.0), (0.99, 4.0), (1.0, 4.0), (0.0, 1.0)])
def test_quantile(share: float, expected: float) -> None:
    assert quantile([1.0, 2.0, 3.0, 4.0], share) == expected


def test_the_readme_keeps_all_but_its_figures(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nof last year\n{END}\nafter\n")
    write_readme(readme, ALL)
    write_readme(readme, ALL)
    text = readme.read_text()
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "of last year" not in text
    assert text.count("### Bounds") == 1
    assert "| ✓ | rflow over idiomatic Faust, per core | at least 40 | 40.0 |" in markdown(ALL)


def test_a_readme_without_marks_is_refused(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("nothing")
    with pytest.raises(ValueError, match="figures: begin"):
        write_readme(readme, ALL)
    assert readme.read_text() == "nothing"
