"""The suite notices when the durable order is broken on purpose: each mutation, in a copy of the source, fails the tests that guard it.

A patch that no longer matches the source exactly once fails too, so that it moves along when the code does. That the same tests pass
without it is what the rest of the suite shows.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COPIED = ("schemas", "sources", "streams", "sinks", "warroom", "deploy", "tests", "pyproject.toml")
SECONDS = 240


@dataclass(frozen=True)
class Mutation:
    """`patches` are (file, what stands there once, what shall stand there); `tests` what must then fail."""

    name: str
    patches: tuple[tuple[str, str, str], ...]
    tests: tuple[str, ...]

    def __str__(self) -> str:
        return self.name


MUTATIONS = (
    Mutation(
        "publish before EXEC",
        (
            (
                "streams/shard.py",
                "        await self._store.write(",
                "        await self._publish(entry)\n        await self._store.write(",
            ),
            (
                "streams/shard.py",
                "        crash_point(CrashPoint.STEP_BEFORE_PUBLISH)\n        await self._publish(entry)\n",
                "        crash_point(CrashPoint.STEP_BEFORE_PUBLISH)\n",
            ),
        ),
        ("tests/integration/test_step_order.py::test_nothing_of_a_step_is_published_before_redis_holds_it",),
    ),
    Mutation(
        "trim before acknowledgement",
        (("streams/shard.py", "take_added(), entry, self._acknowledged_to", "take_added(), entry, fold.meta.version - 1"),),
        ("tests/integration/test_step_order.py::test_the_outbox_holds_what_has_not_been_acknowledged_up_to_the_first_gap",),
    ),
    Mutation(
        "sink without intent row",
        (("sinks/sink.py", "found, agreed = self._writer.agree(plan)", "found, agreed = Agreement.OURS, plan"),),
        # A block that is cut the same way twice is saved by its token: here the log grows in between.
        ("tests/integration/test_sink_exactly_once.py::test_a_block_is_finished_as_it_was_begun_although_the_log_has_grown",),
    ),
    Mutation(
        "dedup ring off",
        (("streams/state.py", "    at = ring.find(entry)\n", "    at = -1\n"),),
        ("tests/unit/streams/test_golden.py", "-k", "duplicates"),
    ),
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The source, to be broken."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_mutation_is_noticed(copy: Path, mutation: Mutation) -> None:
    for name, before, after in mutation.patches:
        text = (copy / name).read_text()
        assert text.count(before) == 1, f"{name}: expected {before!r} once"
        (copy / name).write_text(text.replace(before, after))
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--tb=short", "-p", "no:cacheprovider", *mutation.tests]
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    run = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=SECONDS)
    # 1 says that tests ran and failed; what could not be imported, collected or set up ends otherwise or is an error.
    assert run.returncode == 1, run.stdout[-4000:]
    assert re.search(r"^E +(assert|AssertionError)", run.stdout, re.MULTILINE), run.stdout[-4000:]
    assert re.search(r"\b1 failed\b", run.stdout), run.stdout[-4000:]
    assert not re.search(r"\b\d+ errors?\b", run.stdout.splitlines()[-1]), run.stdout[-4000:]
