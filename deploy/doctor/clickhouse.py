"""ClickHouse: version, migrations, what makes inserts exactly-once and durable, room, clock, zone, and how far the sink is."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from redis.exceptions import RedisError

from deploy.check import StateReader
from deploy.doctor.finding import Finding, Level, first_line, judged
from deploy.doctor.kafka import MOST_SKEW_S
from deploy.doctor.reach import beyond
from deploy.settings import Settings
from deploy.wiring import clickhouse_of, ladder_of
from schemas.ladder import Ladder
from schemas.ladder_file import LadderError
from sinks.client import connect, told_apart
from sinks.errors import SinkError, StoreError
from sinks.migrate import pending
from streams.errors import StateUnreadable
from warroom.star import Star

OLDEST = (24, 8)
LEAST_FREE = 0.1
_WINDOW = re.compile(r"(?:non_replicated|replicated)_deduplication_window = (\d+)")
_LEAST_WINDOW = 100
_ASKED = ("async_insert", "insert_deduplicate", "readonly")


def look(settings: Settings) -> Iterator[Finding]:
    """Never raises for a server that does not answer."""
    config = clickhouse_of(settings)
    try:
        missing = pending(config)
        with closing(connect(config, "default")) as client, told_apart():
            yield from _server(client, settings)
            if not missing:
                yield from _tables(client, config.database)
    except StoreError as error:
        yield Finding("clickhouse", Level.WRONG, first_line(error), "see what it refuses: rights, database, or a newer program's tables")
        return
    except SinkError as error:
        yield Finding("clickhouse", Level.WRONG, first_line(error), "see that it runs, can be reached from here, and lets this user in")
        return
    names = ", ".join(f"{one.number:04d}_{one.name}" for one in missing)
    yield judged("clickhouse tables", not missing, f"{names} not applied" if missing else f"database {config.database}", "rflow init")
    if not missing:
        yield from _sink(settings)


def _server(client: Client, settings: Settings) -> Iterator[Finding]:
    told, zone, at = client.query("SELECT version(), timezone(), toUnixTimestamp64Milli(now64(3)) / 1000").result_rows[0]
    ahead = float(at) - time.time()
    yield version(str(told))
    yield judged(
        "clickhouse clock",
        abs(ahead) <= MOST_SKEW_S,
        f"{ahead:+.2f} s from this host's",
        "see that NTP runs there and here",
        otherwise=Level.RISK,
    )
    yield timezone(str(zone))
    yield from _zones(client, settings)
    names = ", ".join(f"'{name}'" for name in _ASKED)
    rows = client.query(f"SELECT name, value FROM system.settings WHERE name IN ({names})").result_rows  # noqa: S608 - fixed names
    yield from profile({str(name): str(value) for name, value in rows})
    yield from disks(client.query("SELECT name, free_space, total_space FROM system.disks").result_rows)
    if beyond(settings, "clickhouse"):
        yield from _superuser(client)


def _superuser(client: Client) -> Iterator[Finding]:
    """Whether this user may do what none of rflow's processes has to. Says nothing where the server is too old to tell."""
    try:
        may = str(client.command("CHECK GRANT DROP DATABASE ON *.*")) == "1"
    except DatabaseError:
        return
    yield judged(
        "clickhouse superuser",
        not may,
        "may drop every database" if may else "may not drop every database",
        "give it a user with what `rflow rights` prints alone, and `default` a password or this machine's networks only",
        otherwise=Level.RISK,
    )


def version(told: str) -> Finding:
    """Whether the server is one that has been tried."""
    numbers = tuple(int(part) for part in told.split(".")[:2])
    wanted = ".".join(map(str, OLDEST))
    return judged("clickhouse version", numbers >= OLDEST, told, f"use {wanted} or later: older ones do not deduplicate behind views alike")


def timezone(zone: str) -> Finding:
    """Whether times read without a zone mean what is stored."""
    advice = "set <timezone>UTC</timezone>: rflow's own queries name their zone, those of others that do not would be hours off"
    return judged("clickhouse time zone", zone in ("UTC", "Etc/UTC"), zone, advice, otherwise=Level.RISK)


def _zones(client: Client, settings: Settings) -> Iterator[Finding]:
    try:
        ladder: Ladder = ladder_of(settings)
    except LadderError:
        return  # told of the host
    wanted = sorted({ladder.time_zone, *(ladder.calendar(brand)[0] for brand in ladder.brands)})
    known = {str(row[0]) for row in client.query("SELECT time_zone FROM system.time_zones").result_rows}
    unknown = [zone for zone in wanted if zone not in known]
    yield judged(
        "ladder time zones",
        not unknown,
        ", ".join(unknown or wanted),
        "ClickHouse does not know them: update its time zone data, or correct the ladder",
        otherwise=Level.RISK,
    )


def profile(found: Mapping[str, str]) -> Iterator[Finding]:
    """Settings of the user's profile that break exactly-once, or forbid to write."""
    for name, fine, why in (
        ("async_insert", "0", "a block would be acknowledged before it is stored"),
        ("insert_deduplicate", "1", "a block told again would be stored twice"),
        ("readonly", "0", "the sink cannot write"),
    ):
        value = found.get(name, fine)
        yield judged(f"clickhouse {name}", value == fine, value, f"set it to {fine} in the profile of rflow's user: {why}")


def disks(rows: Sequence[Sequence[Any]], least: float = LEAST_FREE) -> Iterator[Finding]:
    """Whether there is room; rows of name, free and total bytes."""
    for name, free, total in rows:
        share = int(free) / int(total) if int(total) else 1.0
        advice = "make room: when it is full the figures stand still (rflow plan says how much a day takes)"
        shown = f"{share:.0%} free, {int(free) / 2**30:,.0f} GiB"
        yield judged(f"clickhouse disk {name}", share >= least, shown, advice, otherwise=Level.RISK)


def _tables(client: Client, database: str) -> Iterator[Finding]:
    rows = client.query(
        "SELECT name, engine, engine_full FROM system.tables WHERE database = {database:String} AND engine LIKE '%MergeTree'",
        parameters={"database": database},
    ).result_rows
    yield from tables({str(name): (str(engine), str(full)) for name, engine, full in rows})


def tables(found: Mapping[str, tuple[str, str]]) -> Iterator[Finding]:
    """By table its engine, and the engine with its settings."""
    filled = {name: full for name, (_, full) in found.items() if name not in _NOT_FILLED}
    without = sorted(name for name, full in filled.items() if not _has_window(full))
    yield judged(
        "clickhouse deduplication",
        not without,
        f"no window on {', '.join(without)}" if without else f"a window on all {len(filled)} tables",
        "ALTER TABLE ... MODIFY SETTING non_replicated_deduplication_window = 10000: a block that is sent again would be stored twice",
    )
    unsynced = sorted(name for name, full in filled.items() if "Replicated" not in full and "fsync_after_insert = 1" not in full)
    yield judged(
        "clickhouse fsync",
        not unsynced,
        f"not on {', '.join(unsynced)}" if unsynced else "after each insert",
        "ALTER TABLE ... MODIFY SETTING fsync_after_insert = 1, fsync_part_directory = 1: a power cut could lose stored blocks",
        otherwise=Level.RISK,
    )


_NOT_FILLED = frozenset({"migrations", "layers"})
"""Written by `rflow init` alone, whose statements can be repeated."""


def _has_window(engine: str) -> bool:
    windows = [int(found) for found in _WINDOW.findall(engine)]
    return engine.startswith("Replicated") if not windows else max(windows) >= _LEAST_WINDOW


def _sink(settings: Settings) -> Iterator[Finding]:
    with Star(clickhouse_of(settings)) as star:
        stored = star.stored()
    count = len(stored)
    yield judged("clickhouse shards", count == settings.partitions, f"{count} shards", "rflow init, with the right RFLOW_PARTITIONS")
    try:
        with closing(StateReader(settings)) as states:
            behind = {shard: states.meta(shard).version - row.version for shard, row in stored.items()}
    except (RedisError, OSError, StateUnreadable):
        return  # told of Redis
    worst = max(behind.values(), default=0)
    yield judged("sink lag", worst < 1000, f"{worst} steps at most", "see that the sink runs")
    forgotten = [shard for shard, steps in behind.items() if steps < 0]
    yield judged(
        "redis and clickhouse",
        not forgotten,
        f"shards {forgotten} are ahead in ClickHouse" if forgotten else "fit together",
        "Redis has been emptied or restored from an older state: restore ClickHouse, too, from a backup made before it (BACKUP.md)",
    )
