"""A command that is named is the only one that is loaded, and a process loads the libraries of its own work alone."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from deploy.cli.commands import COMMANDS, app_of

HEAVY = {"aiokafka", "clickhouse_connect", "fastapi", "faust", "polars", "redis", "scipy", "uvicorn"}
LOADED = """
import importlib, sys
from deploy.cli.commands import app_of
app_of([sys.argv[1]])
importlib.import_module(f"deploy.processes.{sys.argv[2]}")
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


@pytest.mark.parametrize(
    ("command", "module", "needed"),
    [
        ("worker", "worker", {"aiokafka", "faust", "redis"}),
        ("sink", "sink", {"clickhouse_connect"}),
        ("alerts", "alerts", {"clickhouse_connect", "redis", "scipy"}),
        ("collect", "collector", {"uvicorn"}),
    ],
)
def test_a_process_loads_what_its_work_needs(command: str, module: str, needed: set[str]) -> None:
    told = subprocess.run([sys.executable, "-c", LOADED, command, module], capture_output=True, text=True, check=True)
    assert {*told.stdout.split()} & HEAVY <= needed


def test_a_command_is_the_same_alone_and_among_all() -> None:
    every = typer.main.get_command(app_of())
    assert isinstance(every, typer.core.TyperGroup)
    assert set(every.commands) == set(COMMANDS)
    for name in COMMANDS:
        alone = typer.main.get_command(app_of([name, "--help"]))
        assert isinstance(alone, typer.core.TyperGroup)
        assert set(alone.commands) == {name}
        assert [option.name for option in alone.commands[name].params] == [option.name for option in every.commands[name].params]


def test_what_is_no_command_is_told_with_what_it_may_have_meant() -> None:
    told = CliRunner().invoke(app_of(["sinks"]), ["sinks"])
    assert told.exit_code == 2
    assert "Did you mean" in told.output
