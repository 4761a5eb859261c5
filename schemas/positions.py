"""Where a subscriber has come to in each partition, and how it keeps that together with what it makes of the records.

Results and position must be stored at once, or a crash between the two loses or doubles something: in the transaction of the database
that holds the results (`SqlPositions`), or in one file with them (`FilePositions`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

_TABLE = """
CREATE TABLE IF NOT EXISTS rflow_positions (
    subscription VARCHAR(200) NOT NULL, kafka_partition INTEGER NOT NULL,
    version BIGINT NOT NULL, place BIGINT NOT NULL, next_offset BIGINT NOT NULL,
    PRIMARY KEY (subscription, kafka_partition))
"""
_SELECT = "SELECT kafka_partition, version, place, next_offset FROM rflow_positions WHERE subscription = ?"
_INSERT = "INSERT INTO rflow_positions VALUES (?, ?, ?, ?, ?) ON CONFLICT (subscription, kafka_partition) DO NOTHING"
_UPDATE = """
UPDATE rflow_positions SET version = ?, place = ?, next_offset = ?
WHERE subscription = ? AND kafka_partition = ? AND version = ? AND place = ? AND next_offset = ?
"""


class Position(Struct, array_like=True, frozen=True):
    """The (version, index) of the last record taken, and the offset to read on from; -1 and -1 where none has been taken."""

    version: int
    index: int
    offset: int


class Move(NamedTuple):
    """How a partition's position changes with a batch; `before` is None where none was stored."""

    before: Position | None
    after: Position


class PositionsMoved(Exception):
    """Somebody else has stored a position of the same subscription: roll back, stop one of the two, and begin anew from what is stored."""


class Cursor(Protocol):
    """What is used of a DB-API 2.0 cursor."""

    @property
    def rowcount(self) -> int: ...
    def execute(self, operation: str, parameters: Any = ..., /) -> Any: ...
    def fetchall(self) -> list[Any]: ...


class SqlPositions:
    """In a table of the database that holds the results, changed in the caller's own transaction. SQLite 3.24, PostgreSQL 9.5 or later.

    `subscription` names the rows, so that several may share the table; `placeholder` is the driver's mark of a parameter: `?` of
    sqlite3, `%s` of psycopg. Nothing here commits.
    """

    def __init__(self, subscription: str, placeholder: str = "?") -> None:
        self._subscription = subscription
        self._select, self._insert, self._update = (sql.replace("?", placeholder) for sql in (_SELECT, _INSERT, _UPDATE))

    def load(self, cursor: Cursor) -> dict[int, Position]:
        """The stored positions; makes the table where it is missing."""
        cursor.execute(_TABLE)
        cursor.execute(self._select, (self._subscription,))
        return {partition: Position(version, index, offset) for partition, version, index, offset in cursor.fetchall()}

    def save(self, cursor: Cursor, moves: Mapping[int, Move]) -> None:
        """Stores the positions that a batch leads to. Raises PositionsMoved where they are not those it began at."""
        for partition, (before, after) in moves.items():
            if before is None:
                cursor.execute(self._insert, (self._subscription, partition, *astuple(after)))
            else:
                cursor.execute(self._update, (*astuple(after), self._subscription, partition, *astuple(before)))
            if cursor.rowcount != 1:
                raise PositionsMoved(
                    f"expected partition {partition} of {self._subscription!r} to stand at {before}, found that it has moved: "
                    "another process follows under the same name"
                )


class _Kept(Struct):
    positions: dict[int, Position]
    results: msgspec.Raw = msgspec.Raw(b"null")


class FilePositions:
    """In a file that is replaced whole, with whatever small JSON value the subscriber wants to keep beside them: its results, or the
    length up to which a file of results counts. One process a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> tuple[dict[int, Position], Any]:
        """The stored positions and results; none and None where there is no file. Raises ValueError for a file that is none of ours."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return {}, None
        try:
            kept = msgspec.json.decode(content, type=_Kept)
            return kept.positions, msgspec.json.decode(kept.results)
        except msgspec.DecodeError as error:
            raise ValueError(f"{self._path}: expected the positions of a subscription, found: {error}") from None

    def save(self, positions: Mapping[int, Position], results: Any = None) -> None:
        """Replaces the file; after a crash at any moment it holds either what was there or this. All positions, not only those moved."""
        kept = _Kept({p: positions[p] for p in sorted(positions)}, msgspec.Raw(msgspec.json.encode(results)))
        replace_file(self._path, msgspec.json.encode(kept) + b"\n")


def replace_file(path: Path, content: bytes) -> None:
    """Gives a file new content, whole or not at all, and on the disk when this returns."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
