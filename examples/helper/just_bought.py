"""Just bought: stop the adverts. A list of the buyers whom no advert should follow, in SQLite or PostgreSQL.

    python examples/helper/just_bought.py --bootstrap localhost:9092 --database adverts.db
    python examples/helper/just_bought.py --bootstrap localhost:9092 --database postgresql://crm@localhost/crm      # needs psycopg

The positions lie in the same database and change in the same transaction as the list, so that a kill at any moment neither loses a
buyer nor counts one twice. Two of it at once do no harm either: the second to store a batch is refused.
"""

from __future__ import annotations

import argparse
import sqlite3
import time
from contextlib import closing, suppress
from typing import Any

from schemas.follow import Subscriber
from schemas.positions import SqlPositions
from schemas.subscriber import Filter, Received

BOUGHT = {"R4", "R5"}

TABLE = """
CREATE TABLE IF NOT EXISTS adverts (
    brand VARCHAR(128), user_id VARCHAR(128), stopped BOOLEAN, since VARCHAR(40), purchases INTEGER, PRIMARY KEY (brand, user_id))
"""
STOP = """
INSERT INTO adverts VALUES (?, ?, TRUE, ?, 1)
ON CONFLICT (brand, user_id) DO UPDATE SET stopped = TRUE, since = excluded.since, purchases = adverts.purchases + 1
"""
GO_ON = "UPDATE adverts SET stopped = FALSE WHERE brand = ? AND user_id = ?"


def connect(database: str) -> tuple[Any, str]:
    """A connection, and the mark of a parameter in its SQL."""
    if database.startswith("postgresql:"):
        import psycopg

        return psycopg.connect(database), "%s"
    return sqlite3.connect(database, timeout=30), "?"


def apply(cursor: Any, one: Received, mark: str) -> None:
    """What one transition means for the list: who buys is left alone, who gives everything back is not."""
    if one.direction == "forward" and one.to in BOUGHT:
        cursor.execute(STOP.replace("?", mark), (one.brand, one.user_id, one.effective_at))
    elif one.direction == "reverse" and one.to not in BOUGHT:
        cursor.execute(GO_ON.replace("?", mark), (one.brand, one.user_id))


def main() -> None:
    """Follows until interrupted, or until nothing has come for a while."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bootstrap", default="localhost:9092")
    options.add_argument("--topic", default="transitions")
    options.add_argument("--database", default="adverts.db")
    options.add_argument("--stop-after", type=float, metavar="SECONDS", help="stop when nothing has come for so long")
    chosen = options.parse_args()

    database, mark = connect(chosen.database)
    with closing(database):
        cursor = database.cursor()
        cursor.execute(TABLE)
        positions = SqlPositions("just-bought", mark)
        stored = positions.load(cursor)
        database.commit()
        wanted = Filter(kinds={"advance", "retract"})
        with closing(
            Subscriber({"bootstrap.servers": chosen.bootstrap}, topic=chosen.topic, positions=stored, wanted=wanted)
        ) as subscriber:
            last = time.monotonic()
            with suppress(KeyboardInterrupt):
                while chosen.stop_after is None or time.monotonic() - last < chosen.stop_after:
                    batch = subscriber.read(seconds=0.2)
                    if batch.moves:
                        for one in batch.transitions:
                            apply(cursor, one, mark)
                        positions.save(cursor, batch.moves)
                        database.commit()
                        last = time.monotonic()


if __name__ == "__main__":
    main()
