"""init, worker, sink, doctor, tail: what an engineer runs."""

from __future__ import annotations

import sys
import time
from enum import StrEnum
from typing import Annotated, Any

import orjson
import typer
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from deploy.cli.common import CommandFailed, DataDir, Json, out, print_json, settings_of, table
from deploy.doctor import examine
from deploy.logs import set_up_logs
from deploy.settings import load_settings
from deploy.topics import create_topics
from deploy.wiring import clickhouse_of, ladder_of
from schemas.topics import load_topics
from sinks.migrate import migrate
from streams.headers import read_headers


class OnLoss(StrEnum):
    """What to do where something is lost."""

    STOP = "stop"
    CONTINUE = "continue"


class OnLadderChange(StrEnum):
    """What to do with users of a newer version of the ladder, or of another one."""

    STOP = "stop"
    RECOMPUTE = "recompute"


def init(data: DataDir = None, as_json: Json = False) -> None:
    """Create the topics and the ClickHouse tables that are missing. Can be run again at any time."""
    settings = settings_of(data)
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


OnGapOption = Annotated[
    OnLoss | None,
    typer.Option("--on-gap", help="Where a log no longer reaches back to what was applied: stop (the default), or go on without."),
]


def worker(
    on_gap: OnGapOption = None,
    on_rewind: Annotated[
        OnLoss | None,
        typer.Option("--on-rewind", help="Where more has been published than Redis knows: stop (the default), or go on above it."),
    ] = None,
    on_ladder_change: Annotated[
        OnLadderChange | None,
        typer.Option(
            "--on-ladder-change", help="Where users stand on a newer version of the ladder or on another: stop (the default), or move them."
        ),
    ] = None,
) -> None:
    """Run one worker: it shares the shards with all others of its group. Stops within ten seconds on SIGTERM."""
    from deploy.processes import run_worker

    settings = load_settings(
        on_gap=on_gap and on_gap.value,
        on_rewind=on_rewind and on_rewind.value,
        on_ladder_change=on_ladder_change and on_ladder_change.value,
    )
    set_up_logs(settings.log_format, settings.log_level)
    run_worker(settings)


def sink(on_gap: OnGapOption = None) -> None:
    """Run the ClickHouse sink. One is enough; it takes up where the figures end."""
    from deploy.processes import run_sink

    settings = load_settings(on_gap=on_gap and on_gap.value)
    set_up_logs(settings.log_format, settings.log_level)
    run_sink(settings)


def doctor(
    data: DataDir = None,
    settings_only: Annotated[bool, typer.Option("--settings", help="Print the settings in force, secrets masked, and stop.")] = False,
    as_json: Json = False,
) -> None:
    """See what is reachable, what is misconfigured and what is at risk. The exit status is 0 only if nothing is wrong."""
    settings = settings_of(data)
    if settings_only:
        print_json(settings.shown())
        return
    findings = examine(settings)
    if as_json:
        print_json([{"what": f.what, "good": f.good, "found": f.found, "advice": f.advice} for f in findings])
    else:
        rows = [["✓" if f.good else "✗", f.what, f.found, "" if f.good else f.advice] for f in findings]
        out.print(table("rflow doctor", ["", "what", "found", "what to do"], rows))
    if not all(f.good for f in findings):
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
