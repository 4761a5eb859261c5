"""The declared rights: printed as they are, nowhere more than is used, and one place that makes each kind of client."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from deploy.cli.commands import app_of
from deploy.security.page import PAGE, written
from deploy.security.render import Names, clickhouse_statements, kafka_commands, redis_line, redis_rules
from deploy.security.rights import ALL_TOPICS, NOBODY, RIGHTS, Process
from schemas.topics import load_topics

ROOT = Path(__file__).parents[3]
PACKAGES = ("schemas", "sources", "streams", "sinks", "warroom", "deploy")
NAMES = Names(user="acme-", topic_prefix="acme.", group="acme", redis_prefix="acme", database="acme")


def test_the_page_says_what_is_declared() -> None:
    page = PAGE.read_text()
    assert written(page) == page, "python -m deploy.security"


def test_every_process_and_every_topic_is_declared() -> None:
    assert set(RIGHTS) == set(Process)
    assert set(ALL_TOPICS) == set(load_topics())


def test_every_command_says_whose_rights_it_needs() -> None:
    """Of two names that it begins with the longer one counts: `alerts test` is not `alerts`."""
    declared = [one for rights in RIGHTS.values() for one in rights.run] + list(NOBODY)
    assert len(declared) == len(set(declared))
    named = {command: max((one for one in declared if f"{command} ".startswith(f"{one} ")), key=len, default="") for command in commands()}
    assert [command for command, one in named.items() if not one] == []
    assert set(declared) == set(named.values()), "declared for a command that is not there"


def commands(group: typer.core.TyperGroup | None = None, before: str = "") -> Iterator[str]:
    """Every command of the tree, and the groups that are commands themselves."""
    found = group or typer.main.get_command(app_of())
    assert isinstance(found, typer.core.TyperGroup)
    if before and found.invoke_without_command:
        yield before
    for name, one in found.commands.items():
        if isinstance(one, typer.core.TyperGroup):
            yield from commands(one, f"{before} {name}".strip())
        else:
            yield f"{before} {name}".strip()


def test_rights_are_printed_with_the_names_of_the_deployment() -> None:
    worker = list(kafka_commands(Process.WORKER, NAMES))
    assert "$ACLS --add --allow-principal User:acme-worker --operation Write --topic acme.transitions" in worker
    assert "$ACLS --add --allow-principal User:acme-worker --operation Read --group acme" in worker
    assert not any("spend" in line for line in worker)
    (line,) = redis_line(Process.WARROOM, NAMES)
    assert line.startswith("user acme-warroom on #SHA256 resetkeys resetchannels -@all %R~acme:{[0-9]* %RW~acme:{promotions}:*")
    assert "GRANT SELECT ON acme.* TO `acme-warroom-role`" in list(clickhouse_statements(Process.WARROOM, NAMES))
    assert list(redis_line(Process.SINK, NAMES)) == []


def test_a_server_is_not_asked_for_commands_that_it_does_not_know() -> None:
    rights = RIGHTS[Process.WORKER]
    assert "+waitaof" in redis_rules(rights, NAMES)
    assert "+waitaof" not in redis_rules(rights, Names(redis=(7, 0)))
    assert "+cluster|slots" in redis_rules(rights, Names(cluster=True))
    assert "+cluster|slots" not in redis_rules(rights, NAMES)


def test_the_command_prints_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RFLOW_TOPIC_PREFIX", "acme.")
    told = CliRunner().invoke(app_of(), ["rights", "sink", "--user", "acme-"])
    assert told.exit_code == 0
    assert "--allow-principal User:acme-sink --operation Read --topic acme.rollups" in told.output
    assert "GRANT INSERT ON rflow.* TO `acme-sink-role`;" in told.output
    assert "acme-worker" not in told.output


def test_clients_of_kafka_are_made_in_one_place() -> None:
    """Others would not hear of a new password."""
    found = []
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("confluent_kafka"):
                found += [path.stem for alias in node.names if alias.name in ("Producer", "Consumer", "AdminClient")]
    assert found == []
