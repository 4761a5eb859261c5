"""What a load takes: sums that can be done by hand, and a page that says the same as the command."""

from __future__ import annotations

import json
import re

import pytest
from typer.testing import CliRunner

from deploy.capacity import Load, reckon
from deploy.cli.commands import app_of
from deploy.cli.common import out
from deploy.unit_costs import MEASURED, UnitCosts
from tests.workers import ROOT

COSTS = UnitCosts(
    measured="today",
    machine="by hand",
    worker_cpu_us=7,
    redis_cpu_us=0.7,
    kafka_cpu_us=0.7,
    sink_cpu_us=10,
    clickhouse_cpu_us=7,
    redis_bytes_a_user=100,
    kafka_input_bytes=200,
    kafka_output_bytes=50,
    transitions_an_event=0.1,
    orders_an_event=0.05,
    clickhouse_bytes_a_transition=40,
    clickhouse_bytes_an_order=60,
    clickhouse_bytes_a_user=10,
    clickhouse_bytes_a_minute=1000,
)


def load(**given: float) -> Load:
    return Load(**{"events_per_second": 1_000, "peak": 1_000_000, "users": 1_000_000, "kafka_days": 2, "clickhouse_days": 10, **given})  # type: ignore[arg-type]


def test_it_is_a_sum_that_can_be_done_by_hand() -> None:
    found = reckon(load(), COSTS)
    assert (found.workers, found.partitions, found.redis_masters) == (10, 24, 1)
    assert (found.redis_memory, found.redis_disk) == (125_000_000, 300_000_000)
    assert found.kafka_disk == 86_400_000 * 250 * 2 * 3
    assert (found.kafka_in, found.kafka_out) == (750_000_000, 1_000_000 * (200 + 3 * 50))
    assert found.clickhouse_disk == pytest.approx(10_000_000 + 10 * (86_400_000 * (4 + 3) + 1_440 * 1_000))
    # 900,000 events a second too many for ten minutes, stored at 99,000 a second more than come
    assert found.sink_events_per_second == 100_000
    assert found.minutes_behind == pytest.approx(10 * 900 / 99)


def test_the_costliest_thing_decides() -> None:
    assert reckon(load(users=10_000_000_000), COSTS).redis_masters == 37  # by memory, 32 GiB each
    assert reckon(load(peak=20_000_000), COSTS).redis_masters == 20  # by CPU
    assert reckon(load(peak=1_000), COSTS).minutes_behind == 0
    assert reckon(load(events_per_second=200_000), COSTS).minutes_behind is None
    assert reckon(load(peak=1_001), COSTS).workers == 1


@pytest.mark.parametrize("given", [{"peak": 999}, {"users": 0}, {"events_per_second": 0}])
def test_a_load_that_makes_no_sense_is_refused(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected users and events a second above 0, and a peak not below them"):
        reckon(load(**given), COSTS)


def test_unit_costs_that_the_bench_measures_are_those_that_it_wrote_down() -> None:
    written = (ROOT / "bench" / "README.md").read_text()
    assert f"| {MEASURED.worker_cpu_us} (" in written
    assert f"| 10 | {MEASURED.redis_bytes_a_user} |" in written
    redis = [float(cost) for cost in re.findall(r"^\| \d \| rflow \|.*\| ([0-9.]+) \|$", written, re.MULTILINE)]
    kafka = [float(cost) for cost in re.findall(r"^\| \d \| rflow \|.*\| ([0-9.]+) \| [0-9.]+ \|$", written, re.MULTILINE)]
    assert (max(redis), max(kafka)) == (MEASURED.redis_cpu_us, MEASURED.kafka_cpu_us)


def test_the_capacity_page_says_what_the_command_says(monkeypatch: pytest.MonkeyPatch) -> None:
    # As wide as the page, whatever the console was when it was made.
    monkeypatch.setattr(out, "_width", 150)
    page = (ROOT / "deploy" / "CAPACITY.md").read_text()
    for command, printed in re.findall(r"```\n\$ rflow (plan .*)\n((?:.*\n)*?)```", page):
        told = CliRunner(env={"TERM": "dumb"}).invoke(app_of(), command.split())
        assert told.exit_code == 0, told.output
        assert [line.rstrip() for line in told.stdout.splitlines()] == printed.splitlines()
    assert page.count("$ rflow plan") == 2
    stated = set(re.findall(r"\| `(\w+)` \| ([0-9.,]+) \|", page))
    assert stated == {(name, f"{getattr(MEASURED, name):g}") for name in UnitCosts.__struct_fields__ if name not in ("measured", "machine")}


def test_the_plan_is_told_to_programs_too() -> None:
    arguments = ["plan", "--events-per-second", "1000", "--users", "1000000", "--json"]
    told = json.loads(CliRunner().invoke(app_of(), arguments).stdout)
    assert told["load"]["peak"] == 56_000
    assert told["capacity"]["workers"] == reckon(Load(events_per_second=1_000, peak=56_000, users=1_000_000)).workers
    refused = CliRunner().invoke(app_of(), [*arguments, "--peak", "10"])
    assert (refused.exit_code != 0, "a peak not below them" in str(refused.exception)) == (True, True)
