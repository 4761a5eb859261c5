"""Migrations are numbered, name their database everywhere, and give what must be deduplicated a window."""

from __future__ import annotations

import re

import pytest

from sinks.config import ClickHouse
from sinks.migrate import Migration, migrations
from sinks.tables import TABLES

STATEMENTS = [(migration.name, statement) for migration in migrations() for statement in migration.statements("db7")]


def test_they_are_numbered_from_one() -> None:
    assert [migration.number for migration in migrations()] == list(range(1, len(migrations()) + 1))


@pytest.mark.parametrize(("name", "statement"), STATEMENTS)
def test_a_statement_can_be_repeated_and_names_its_database(name: str, statement: str) -> None:
    code = re.sub(r"--.*", "", statement).strip()
    made = r"CREATE (TABLE|VIEW|MATERIALIZED VIEW) IF NOT EXISTS db7\.|CREATE OR REPLACE VIEW db7\."
    assert re.match(rf"{made}|DROP (TABLE|VIEW) IF EXISTS db7\.|ALTER TABLE db7\.", code), name
    columns = re.findall("ADD COLUMN( IF NOT EXISTS)?", code)
    assert all(columns)
    assert code.startswith("ALTER") == (bool(columns) or bool(re.search("MODIFY (COLUMN|QUERY|SETTING)|DROP COLUMN IF EXISTS", code)))
    assert "{database}" not in code


@pytest.mark.parametrize("table", [table.name for table in TABLES] + ["sink_blocks"])
def test_every_table_of_a_block_has_a_window_and_keeps_the_block(table: str) -> None:
    statement = next(text for _, text in STATEMENTS if f"CREATE TABLE IF NOT EXISTS db7.{table}\n" in text)
    assert "non_replicated_deduplication_window = 10000" in statement
    assert re.search(r"^    block ", statement, re.MULTILINE)
    assert "PARTITION BY" not in statement


def test_statements_end_at_the_end_of_a_line() -> None:
    assert Migration(1, "x", "SELECT ';' FROM {database}.t;\n-- no; end\nSELECT 2;\n").statements("d") == [
        "SELECT ';' FROM d.t",
        "-- no; end\nSELECT 2",
    ]


@pytest.mark.parametrize("database", ["", "a b", "a;b", "1a", "a`", "a.b", "x" * 64])
def test_a_database_is_a_plain_name(database: str) -> None:
    with pytest.raises(ValueError, match="expected a database name"):
        ClickHouse(url="http://localhost", database=database)
