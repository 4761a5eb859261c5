"""Every user's layer, live, in a table of one's own: a snapshot first, then every transition after it.

    rflow snapshot layers.jsonl
    python examples/helper/layers.py --bootstrap localhost:9092 --snapshot layers.jsonl --database layers.db

The snapshot and the positions where it ends are stored in one transaction; a run that finds positions goes on from them and asks for no
snapshot. A service that was away for longer than the topic keeps its records (30 days) begins anew with a new one and an empty database.
"""

from __future__ import annotations

import argparse
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

from schemas.follow import Subscriber
from schemas.positions import Move, Position, SqlPositions
from schemas.snapshot import Shard, UserLayer, read_snapshot
from schemas.subscriber import Received

TABLE = """
CREATE TABLE IF NOT EXISTS layers (
    brand TEXT, user_id TEXT, layer TEXT, seq INTEGER, PRIMARY KEY (brand, user_id)) WITHOUT ROWID
"""
BEGIN = "INSERT INTO layers VALUES (?, ?, ?, ?)"
NEWCOMER = "INSERT INTO layers VALUES (:brand, :user_id, :layer, 1)"
MOVE = "UPDATE layers SET layer = :layer, seq = :seq WHERE brand = :brand AND user_id = :user_id AND seq = :seq - 1"


class Astray(Exception):
    """A transition that does not follow from the user's last one: the database was changed by other hands, or is another deployment's."""


def load(cursor: sqlite3.Cursor, lines: Iterable[bytes]) -> dict[int, Move]:
    """Stores the snapshot; where following begins."""
    moves = {}
    for record in read_snapshot(lines):
        if isinstance(record, Shard):
            moves[record.shard] = Move(None, record.position)
        elif isinstance(record, UserLayer):
            cursor.execute(BEGIN, (record.brand, record.user_id, record.layer, record.seq))
    return moves


def apply(cursor: sqlite3.Cursor, one: Received) -> None:
    """Moves the user, who must stand where the transition comes from. Raises Astray."""
    told = {"brand": one.brand, "user_id": one.user_id, "layer": one.to, "seq": one.seq}
    if cursor.execute(MOVE, told).rowcount == 1:
        return
    if one.seq != 1:
        raise Astray(f"expected {one.brand} {one.user_id} to have made transition {one.seq - 1} before {one.id}")
    cursor.execute(NEWCOMER, told)


def begin(database: sqlite3.Connection, positions: SqlPositions, snapshot: Path | None) -> dict[int, Position]:
    """The stored positions, those of the snapshot where there are none."""
    with database:
        cursor = database.cursor()
        cursor.execute(TABLE)
        stored = positions.load(cursor)
        if not stored and snapshot is not None:
            with snapshot.open("rb") as lines:
                positions.save(cursor, load(cursor, lines))
            stored = positions.load(cursor)
    return stored


def main() -> None:
    """Follows until interrupted, or until nothing has come for a while."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bootstrap", default="localhost:9092")
    options.add_argument("--topic", default="transitions")
    options.add_argument("--snapshot", type=Path)
    options.add_argument("--database", default="layers.db")
    options.add_argument("--stop-after", type=float, metavar="SECONDS", help="stop when nothing has come for so long")
    chosen = options.parse_args()

    positions = SqlPositions("layers")
    with closing(sqlite3.connect(chosen.database, timeout=30)) as database, suppress(KeyboardInterrupt):
        stored = begin(database, positions, chosen.snapshot)
        with closing(Subscriber({"bootstrap.servers": chosen.bootstrap}, topic=chosen.topic, positions=stored)) as subscriber:
            last = time.monotonic()
            while chosen.stop_after is None or time.monotonic() - last < chosen.stop_after:
                batch = subscriber.read(seconds=0.2)
                if batch.moves:
                    with database:
                        cursor = database.cursor()
                        for one in batch.transitions:
                            apply(cursor, one)
                        positions.save(cursor, batch.moves)
                    last = time.monotonic()


if __name__ == "__main__":
    main()
