"""simulate: a promotion day out of nothing."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.common import CommandFailed, DataDir, err, settings_of, shown
from deploy.security.granted import require_rights
from deploy.security.rights import Process
from deploy.settings import Settings
from deploy.wiring import ladder_of, pseudonymised, wall_clock
from schemas.deadletter import Reason
from sources.kafka_log import KafkaLog
from sources.live import LivePolicy, Restamp, send
from sources.simulator.config import BREAKABLE, SimulatorConfig
from sources.simulator.day import PromotionDay
from sources.simulator.drop import parse_drop
from sources.simulator.spend import spend_lines

BRANDS = ("acme", "nova", "山茶")


def simulate(
    file: Annotated[str | None, typer.Argument(help="Write JSON lines here (- for standard output) instead of producing.")] = None,
    produce: Annotated[bool, typer.Option("--produce", help="Send to Kafka instead of writing a file.")] = False,
    rate: Annotated[float | None, typer.Option(help="With --produce: touchpoints a second.")] = None,
    as_of_now: Annotated[bool, typer.Option("--now/--as-dated", help="With --produce: date each touchpoint when it is sent.")] = True,
    events: Annotated[int, typer.Option(min=1, help="How many touchpoints.")] = 200_000,
    users: Annotated[int, typer.Option(min=1, help="How many people.")] = 20_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 1,
    brand: Annotated[list[str] | None, typer.Option(help="A brand; may be given several times, the largest first.")] = None,
    start: Annotated[datetime, typer.Option(help="When the day begins, in the ladder's time zone.")] = datetime(2025, 11, 10, 18),
    hours: Annotated[float, typer.Option(help="How long it lasts.")] = 30.0,
    peak: Annotated[float, typer.Option(help="How many times the usual rate comes at midnight.")] = 56.0,
    late: Annotated[float, typer.Option(help="Share of late records.")] = 0.005,
    broken: Annotated[float, typer.Option(help="Share of broken records.")] = 0.002,
    retries: Annotated[float, typer.Option(help="Share of records told twice.")] = 0.005,
    clean: Annotated[bool, typer.Option("--clean", help="No late, broken or repeated records: a file in order.")] = False,
    drop: Annotated[list[str] | None, typer.Option(help='Weaken a flow: "R2>R3@20:10-20:40:0.5[,channel=wecom]".')] = None,
    spend: Annotated[Path | None, typer.Option(help="Also write the day's spend here, one record a line.")] = None,
    data: DataDir = None,
) -> None:
    """Simulate a promotion day: all touchpoint types, the daily rhythm, the rush at midnight, refunds, retries, broken records.

    Seeded: rflow simulate day.jsonl --seed 7 writes the same bytes on every machine.
    """
    if (file is None) == (not produce):
        raise CommandFailed("expected either a file to write, such as day.jsonl, or --produce")
    settings = settings_of(data)
    shares = dict.fromkeys(("late", "broken", "retries", "double_orders", "text_times"), 0.0) if clean else {}
    reasons = BREAKABLE if settings.future_check else tuple(reason for reason in BREAKABLE if reason is not Reason.FUTURE)
    config = SimulatorConfig(
        ladder_of(settings),
        seed=seed,
        users=users,
        events=events,
        brands=tuple(brand) if brand else BRANDS,
        start=start,
        hours=hours,
        peak=peak,
        broken_reasons=reasons,
        drops=tuple(parse_drop(text) for text in drop or ()),
        **{"late": late, "broken": broken, "retries": retries, **shares},
    )
    day = PromotionDay(config)
    if spend is not None:
        spend.write_bytes(b"".join(line + b"\n" for line in spend_lines(config)))
    if file is not None:
        _write(day, file)
    else:
        asyncio.run(_produce(day, settings, rate, as_of_now))
    err.print(f"{shown(day.tally.lines)} lines, {shown(day.tally.late)} of them late", highlight=False)


def _write(day: PromotionDay, file: str) -> None:
    if file == "-":
        for line in day.lines():
            sys.stdout.buffer.write(line + b"\n")
        return
    with Path(file).open("wb") as target, err.status(f"writing {file}"):
        for line in day.lines():
            target.write(line + b"\n")


async def _produce(day: PromotionDay, settings: Settings, rate: float | None, as_of_now: bool) -> None:
    require_rights(settings, Process.SOURCE)
    left_out: Counter[str] = Counter()
    lines = day.lines()
    if as_of_now:
        lines = map(Restamp(wall_clock), lines)
    lines = pseudonymised(lines, settings, left_out)
    with (
        KafkaLog(settings.kafka_bootstrap, prefix=settings.topic_prefix, settings=settings.kafka_options()) as log,
        err.status("producing") as status,
    ):
        await send(
            lines,
            log,
            settings.partitions,
            policy=LivePolicy(rate=rate),
            on_progress=lambda sent: status.update(f"producing: {shown(sent.events)} sent"),
        )
    for what, count in left_out.items():
        err.print(f"{shown(count)} {what}, left out", highlight=False)
