"""What the embedded ClickHouse endpoint reads in a statement: where an insert's data begin, and what it refuses."""

from __future__ import annotations

import pytest

from deploy.stack.clickhouse_errors import QueryError
from deploy.stack.clickhouse_statement import parse


@pytest.mark.parametrize(
    ("text", "head", "data_format", "data"),
    [
        (b"INSERT INTO t FORMAT Native\n\x00;\n\xff", b"INSERT INTO t ", "Native", b"\x00;\n\xff"),
        (b"insert into a.t (`x`, y) format TSV\r\n\n1\t2\n", b"insert into a.t (`x`, y) ", "TSV", b"\n1\t2\n"),
        (b"/* FORMAT x */ INSERT INTO t -- FORMAT y\nSETTINGS a = 'FORMAT z' FORMAT CSV 1,2", None, "CSV", b"1,2"),
        (b"INSERT INTO format FORMAT JSONEachRow{}", b"INSERT INTO format ", "JSONEachRow", b"{}"),
        (b"INSERT INTO values (format) VALUES (1), (';')", b"INSERT INTO values (format) ", "Values", b" (1), (';')"),
        (b"INSERT INTO FUNCTION file('a', 'CSV') FORMAT CSV\n1", b"INSERT INTO FUNCTION file('a', 'CSV') ", "CSV", b"1"),
        (b"INSERT INTO `a FORMAT b` FORMAT TSV\n", b"INSERT INTO `a FORMAT b` ", "TSV", b""),
    ],
)
def test_an_insert_is_split_where_its_data_begin(text: bytes, head: bytes | None, data_format: str, data: bytes) -> None:
    statement = parse(text)
    assert statement.data_format == data_format
    assert text[statement.data_start :] == data
    assert head is None or statement.text == head
    assert not statement.returns_rows


@pytest.mark.parametrize(
    "beginning",
    [
        b"INSERT INTO t",
        b"INSERT INTO t (a, b) FORMAT Nat",
        b"INSERT INTO t FORMAT Native",
        b"INSERT INTO t FORMAT Native\r",
        b"INSERT INTO t SELECT * FROM u",
        b"SELECT 1",
        b"-- nothing yet",
    ],
)
def test_a_beginning_that_does_not_suffice_asks_for_more(beginning: bytes) -> None:
    assert parse(beginning, whole=False) is None


def test_a_beginning_with_the_whole_head_suffices() -> None:
    statement = parse(b"INSERT INTO t FORMAT Native\n\x01", whole=False)
    assert statement is not None
    assert statement.data_start == len(b"INSERT INTO t FORMAT Native\n")


@pytest.mark.parametrize(
    ("text", "output_format"),
    [
        (b"SELECT 1", None),
        (b"SELECT 1 FORMAT JSON", "JSON"),
        (b"SELECT 1\nformat JSONEachRow;  -- end\n", "JSONEachRow"),
        (b"SELECT 1 FORMAT CSV SETTINGS max_threads = 1", "CSV"),
        (b"SELECT 1 SETTINGS max_threads = 1 FORMAT CSV", "CSV"),
        (b"SELECT format FROM t", None),
        (b"SELECT 'FORMAT JSON'", None),
        (b"SELECT (SELECT 1 FORMAT JSON)", None),
        (b"(SELECT 1) UNION ALL (SELECT 2) FORMAT TSV", "TSV"),
        (b"WITH 1 AS x SELECT x FORMAT Native", "Native"),
        (b"DESCRIBE TABLE t FORMAT Native", "Native"),
    ],
)
def test_the_output_format_is_read_from_the_clause_alone(text: bytes, output_format: str | None) -> None:
    statement = parse(text)
    assert statement.output_format == output_format
    assert statement.text == text
    assert statement.returns_rows


@pytest.mark.parametrize(
    "text", [b"CREATE TABLE t (x Int8) ENGINE = Memory;", b"INSERT INTO t SELECT 1", b"ALTER TABLE t DROP COLUMN x", b"SET a = 1"]
)
def test_what_answers_nothing_is_known(text: bytes) -> None:
    statement = parse(text)
    assert not statement.returns_rows
    assert statement.data_format is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", 62),
        (b" -- only words\n", 62),
        (b"SELECT 1; SELECT 2", 62),
        (b"SELECT ';'; DROP TABLE t", 62),
        (b"INSERT INTO t FORMAT TSV;\n1", 62),
        (b"INSERT INTO t FORMAT", 62),
        (b"INSERT INTO t FROM INFILE 'x' FORMAT TSV", 48),
        (b"INSERT INTO t SELECT * FROM input('x Int8') FORMAT TSV\n1", 48),
        (b"SELECT 1 INTO OUTFILE 'x'", 48),
        (b"system /**/ shutdown", 497),
        (b"SYSTEM KILL", 497),
    ],
)
def test_refusals_carry_the_code_of_a_server(text: bytes, code: int) -> None:
    with pytest.raises(QueryError) as raised:
        parse(text)
    assert raised.value.code == code


@pytest.mark.parametrize(
    "text", [b"SELECT 1;", b"SELECT 1; -- done\n", b"SELECT ';', \";\", `;` /* ; */ FROM t", b"SELECT $$;$$, $a$ ; $$ $a$"]
)
def test_one_statement_is_one(text: bytes) -> None:
    assert parse(text).verb == "SELECT"
