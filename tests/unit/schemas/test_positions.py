"""Positions stand where the results do: in their transaction, or in their file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from schemas.positions import FilePositions, Move, Position, PositionsMoved, SqlPositions

A, B, C = Position(1, 0, 1), Position(2, 4, 9), Position(7, 1, 20)


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as made:
        yield made


def test_positions_are_found_again_by_the_name_of_their_subscription(database: sqlite3.Connection) -> None:
    one, other, cursor = SqlPositions("one"), SqlPositions("other"), database.cursor()
    assert one.load(cursor) == {}
    one.save(cursor, {0: Move(None, A), 3: Move(None, B)})
    other.save(cursor, {0: Move(None, C)})
    one.save(cursor, {0: Move(A, C)})
    assert one.load(cursor) == {0: C, 3: B}
    assert other.load(cursor) == {0: C}


def test_what_is_rolled_back_has_not_moved(database: sqlite3.Connection) -> None:
    positions = SqlPositions("one")
    with database:
        positions.load(database.cursor())
        positions.save(database.cursor(), {0: Move(None, A)})
    positions.save(database.cursor(), {0: Move(A, B)})
    database.rollback()
    assert positions.load(database.cursor()) == {0: A}


@pytest.mark.parametrize("move", [Move(None, B), Move(B, C), Move(Position(1, 0, 2), B)])
def test_a_second_process_under_the_same_name_is_refused(database: sqlite3.Connection, move: Move) -> None:
    positions, cursor = SqlPositions("one"), database.cursor()
    positions.load(cursor)
    positions.save(cursor, {0: Move(None, A)})
    with pytest.raises(PositionsMoved, match="another process follows under the same name"):
        positions.save(cursor, {0: move})


def test_a_file_keeps_positions_and_results_together(tmp_path: Path) -> None:
    kept = FilePositions(tmp_path / "kept.json")
    assert kept.load() == ({}, None)
    kept.save({3: B, 0: A}, {"bytes": 17})
    assert kept.load() == ({0: A, 3: B}, {"bytes": 17})
    kept.save({3: C, 0: A})
    assert kept.load() == ({0: A, 3: C}, None)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"positions": {"0": [1, 2]}}', b'{"positions": {"x": [1, 2, 3]}}'])
def test_a_file_that_holds_no_positions_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "kept.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"kept\.json: expected the positions of a subscription"):
        FilePositions(path).load()
