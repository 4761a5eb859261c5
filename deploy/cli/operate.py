"""init, doctor, tail: what an engineer runs."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any

import orjson
import typer
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, KafkaError, KafkaException, TopicPartition

from deploy.cli.common import CommandFailed, DataDir, Json, out, print_json, settings_of, table
from deploy.doctor.examine import examine
from deploy.doctor.finding import Level
from deploy.security.rights import Process
from deploy.settings import Settings
from deploy.topics import create_topics, plan_topics
from deploy.wiring import clickhouse_of, ladder_of
from schemas.kafka_client import Consumer
from schemas.topics import load_topics
from sinks.migrate import migrate, pending
from streams.headers import read_headers


def init(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
    data: DataDir = None,
    as_json: Json = False,
) -> None:
    """Create the topics and the ClickHouse tables that are missing. Can be run again at any time."""
    settings = settings_of(data)
    if dry_run:
        _show_plan(settings, as_json)
        return
    topics = create_topics(settings.kafka_client(), settings.topic_prefix, settings.partitions, settings.replication)
    applied = migrate(clickhouse_of(settings), ladder_of(settings), settings.partitions)
    names = [f"{migration.number:04d}_{migration.name}" for migration in applied]
    if as_json:
        print_json({"topics_created": topics.created, "topics_present": topics.present, "migrations_applied": names})
        return
    out.print(
        f"topics: {len(topics.created)} created, {len(topics.present)} already there, {settings.partitions} partitions each",
        highlight=False,
    )
    out.print(f"ClickHouse: {len(names)} migrations applied to {settings.clickhouse_database}", highlight=False)


def _show_plan(settings: Settings, as_json: bool) -> None:
    """Topics with their settings, migrations with their number of statements. Redis needs nothing: a shard is made by its first step."""
    plan, topics = plan_topics(settings.kafka_client(), settings.topic_prefix, settings.partitions), load_topics()
    configs = {name: topics[name.removeprefix(settings.topic_prefix)].config() for name in plan.created}
    told = {"partitions": settings.partitions, "replication": settings.replication}
    missing = [{"topic": name, **told, "config": config} for name, config in configs.items()]
    database = settings.clickhouse_database
    applied = [
        {"migration": f"{one.number:04d}_{one.name}", "statements": len(one.statements(database))}
        for one in pending(clickhouse_of(settings))
    ]
    if as_json:
        print_json({"dry_run": True, "topics_to_create": missing, "topics_present": plan.present, "migrations_to_apply": applied})
        return
    rows = [[name, *told.values(), ", ".join(f"{key}={value}" for key, value in config.items())] for name, config in configs.items()]
    if rows:
        out.print(table("Topics to create", ["topic", "partitions", "copies", "settings"], rows))
    if applied:
        out.print(table(f"ClickHouse, database {database}", ["migration", "statements"], [list(one.values()) for one in applied]))
    out.print(
        f"{len(missing)} topics to create, {len(plan.present)} there; {len(applied)} migrations to apply; "
        "Redis needs nothing; nothing has been done",
        highlight=False,
    )


def doctor(
    data: DataDir = None,
    settings_only: Annotated[bool, typer.Option("--settings", help="Print the settings in force, secrets masked, and stop.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="A risk is a failure too.")] = False,
    process: Annotated[Process, typer.Option("--as", help="Whose rights the user of these settings should have.")] = Process.WORKER,
    as_json: Json = False,
) -> None:
    """See what is reachable, what is misconfigured and what is at risk. The exit status is 0 only if nothing is wrong."""
    settings = settings_of(data)
    if settings_only:
        print_json(settings.shown())
        return
    findings = examine(settings, process)
    if as_json:
        print_json([{"what": f.what, "good": f.good, "level": f.level, "found": f.found, "advice": f.advice} for f in findings])
    else:
        marks = {Level.WRONG: "✗", Level.RISK: "!", Level.GOOD: "✓"}
        shown = sorted(findings, key=lambda f: list(marks).index(f.level))
        out.print(table("rflow doctor", ["", "what", "found", "what to do"], [[marks[f.level], f.what, f.found, f.advice] for f in shown]))
    if any(f.level is Level.WRONG or (strict and f.level is Level.RISK) for f in findings):
        raise typer.Exit(1)


def tail(
    topic: Annotated[str, typer.Argument(help="transitions, rollups, alerts, deadletters, or any other topic of rflow's")],
    beginning: Annotated[bool, typer.Option("--beginning", help="From the beginning instead of from now.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Stop after so many records.")] = None,
    seconds: Annotated[float | None, typer.Option("--seconds", min=0.1, help="Stop after so many seconds without news.")] = None,
    data: DataDir = None,
) -> None:
    """Follow a topic, one JSON line a record: {"partition", "offset", "key", "headers", "value"}. Ctrl-C ends it."""
    settings = settings_of(data)
    known = load_topics()
    if topic not in known:
        raise CommandFailed(f"expected one of {', '.join(known)}, found {topic!r}")
    consumer = Consumer({**settings.kafka_client(), "group.id": "rflow-tail", "enable.auto.commit": False})
    begin = OFFSET_BEGINNING if beginning else OFFSET_END
    consumer.assign([TopicPartition(settings.topic_prefix + topic, p, begin) for p in range(settings.partitions)])
    try:
        _follow(consumer, limit, seconds)
    except (KeyboardInterrupt, BrokenPipeError):
        return
    finally:
        consumer.close()


def _follow(consumer: Consumer, limit: int | None, seconds: float | None) -> None:
    told, heard = 0, time.monotonic()
    while True:
        for message in consumer.consume(500, 0.1):
            error = message.error()
            if error is not None:
                if error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                continue
            heard = time.monotonic()
            sys.stdout.buffer.write(orjson.dumps(_line(message)) + b"\n")
            told += 1
            if limit is not None and told >= limit:
                sys.stdout.buffer.flush()
                return
        sys.stdout.buffer.flush()
        if seconds is not None and time.monotonic() - heard > seconds:
            return


def _line(message: Any) -> dict[str, Any]:
    value = message.value()
    try:
        shown = orjson.loads(value) if value is not None else None
    except orjson.JSONDecodeError:
        shown = value.decode(errors="backslashreplace")
    return {
        "partition": message.partition(),
        "offset": message.offset(),
        "key": _text(message.key()),
        "headers": {name: _text(header) for name, header in read_headers(message)},
        "value": shown,
    }


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode(errors="backslashreplace")
