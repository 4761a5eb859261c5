"""Sets the database up: numbered migrations, each applied once, and what the views know of the ladder and the shards.

Every statement can be repeated, so a migration that a crash interrupted is simply applied again, and two programs that migrate at once
do no harm.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import closing
from dataclasses import dataclass
from importlib.resources import files

from clickhouse_connect.driver.client import Client

from schemas.ladder import Ladder
from sinks.backfill import backfill
from sinks.client import connect, told_apart
from sinks.config import ClickHouse
from sinks.errors import StoreError
from streams.crash import CrashPoint, crash_point

_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_STATEMENT_END = re.compile(r";[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file. `text` names the database as `{database}`; statements end with a `;` at the end of a line."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """The SHA-256 of the text: a migration must not change once it has been applied anywhere."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def statements(self, database: str) -> list[str]:
        """The statements, in order."""
        text = self.text.replace("{database}", database)
        return [part.strip() for part in _STATEMENT_END.split(text) if part.strip()]


def migrations() -> list[Migration]:
    """The shipped migrations, in order. Raises ValueError if a number is missing or there twice."""
    shipped = files("sinks").joinpath("migrations").iterdir()
    named = [(match, file) for file in shipped if (match := _FILE.fullmatch(file.name))]
    found = [Migration(int(match[1]), match[2], file.read_text(encoding="utf-8")) for match, file in named]
    found.sort(key=lambda migration: migration.number)
    numbers = [migration.number for migration in found]
    if numbers != list(range(1, len(found) + 1)):
        raise ValueError(f"expected migrations numbered from 1 without a gap, found {numbers}")
    return found


def migrate(config: ClickHouse, ladder: Ladder, partitions: int) -> list[Migration]:
    """Bring the database up to date, fill new tables, and tell it of the ladder and the shards; returns the migrations that were applied.

    Raises StoreAway, or StoreError if the database was set up otherwise: another text under an applied number, a newer migration
    than this program knows, or more shards than `partitions`.
    """
    with told_apart():
        with closing(connect(config, "default")) as server:
            begun = _is_begun(server, config.database)
            if not begun:
                _carried_out(server.command(f"CREATE DATABASE IF NOT EXISTS {config.database}"))
        with closing(connect(config, config.database)) as client:
            if not begun:
                _begin(client)
            new = _apply(client, config.database)
            backfill(client, lambda: _carried_out(None))
            _tell_shards(client, partitions)
            _tell_ladder(client, ladder)
    return new


def pending(config: ClickHouse) -> list[Migration]:
    """What `migrate` would apply. Changes nothing. Raises StoreAway, StoreError as it does."""
    with told_apart(), closing(connect(config, "default")) as server:
        found = _is_begun(server, config.database)
        rows = server.query(f"SELECT number, checksum FROM {config.database}.migrations FINAL").result_rows if found else []  # noqa: S608
    applied = {int(number): str(checksum) for number, checksum in rows}
    shipped = migrations()
    _refuse_others(applied, shipped)
    return [migration for migration in shipped if migration.number not in applied]


def _is_begun(server: Client, database: str) -> bool:
    """Whether the database is there, with the table of what has been applied. Where it is, a sink needs no right to make anything."""
    asked = "SELECT count() FROM system.tables WHERE database = {database:String} AND name = 'migrations'"
    return bool(server.query(asked, parameters={"database": database}).result_rows[0][0])


def _begin(client: Client) -> None:
    _carried_out(
        client.command(
            "CREATE TABLE IF NOT EXISTS migrations"
            " (number UInt32, name String, checksum String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3))"
            " ENGINE = ReplacingMergeTree(applied_at) ORDER BY number"
        )
    )


def _apply(client: Client, database: str) -> list[Migration]:
    """Apply what is not applied yet."""
    applied = {int(number): str(checksum) for number, checksum in client.query("SELECT number, checksum FROM migrations FINAL").result_rows}
    shipped = migrations()
    _refuse_others(applied, shipped)
    new = [migration for migration in shipped if migration.number not in applied]
    for migration in new:
        for statement in migration.statements(database):
            _carried_out(client.command(statement))
        row = (migration.number, migration.name, migration.checksum)
        _carried_out(client.insert("migrations", [row], column_names=["number", "name", "checksum"]))
    return new


def _carried_out(_: object) -> None:
    crash_point(CrashPoint.SINK_INSIDE_MIGRATE)


def _refuse_others(applied: dict[int, str], shipped: list[Migration]) -> None:
    known = {migration.number: migration for migration in shipped}
    for number, checksum in sorted(applied.items()):
        if number not in known:
            raise StoreError(f"the database has migration {number}, this program knows {len(shipped)}: use a newer program")
        if known[number].checksum != checksum:
            raise StoreError(
                f"migration {number} ({known[number].name}) was applied with another text (SHA-256 {checksum[:12]}): "
                "use another database, or the program that set this one up"
            )


def _tell_shards(client: Client, partitions: int) -> None:
    count, highest = client.query("SELECT uniqExact(shard), max(shard) FROM shards").result_rows[0]
    if count and highest >= partitions:
        raise StoreError(
            f"the database holds shard {highest}, expected shards 0 to {partitions - 1}: set `partitions` to the number that there are"
        )
    if count < partitions:
        _carried_out(client.insert("shards", [(shard,) for shard in range(partitions)], column_names=["shard"]))


def _tell_ladder(client: Client, ladder: Ladder) -> None:
    """Make `ladder` the one in force, unless it is."""
    told = [(ladder.id, i, layer.id, layer.name) for i, layer in enumerate(ladder.layers)]
    rows = client.query(
        "SELECT ladder, position, layer, names FROM layers FINAL"
        " WHERE installed_at = (SELECT max(installed_at) FROM layers) ORDER BY position"
    ).result_rows
    if [tuple(row) for row in rows] == told:
        return
    now = int(str(client.command("SELECT toUnixTimestamp64Milli(now64(3))")))
    names = ["ladder", "position", "layer", "names", "installed_at"]
    _carried_out(client.insert("layers", [(*row, now) for row in told], column_names=names))
