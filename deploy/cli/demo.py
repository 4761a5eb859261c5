"""demo: a year of real shopping with its checks, then a promotion's evening in the war room."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.table import Table

from deploy import evening
from deploy.cli.common import err, out
from deploy.cli.figures import star_tables
from deploy.cli.outcome import print_outcome
from deploy.cli.stacks import KeptData, Workers, exit_with, replayed, warroom_port
from deploy.replay import Outcome
from deploy.running import settings_on, stack_config, start_processes
from deploy.settings import Settings, load_settings
from deploy.stack.keeper import StackEvent
from deploy.stack.supervisor import Stack
from deploy.wiring import ladder_of, wall_clock
from schemas.times import DAY_MS
from sources.opening import open_source

_QUARTER = 91 * DAY_MS

Warroom = Annotated[
    bool | None,
    typer.Option(
        "--warroom/--check", help="Go on with the evening in the war room, or end after the checks; default: on a terminal go on."
    ),
]
Speed = Annotated[float, typer.Option(min=1, max=60, help="How many times as fast as the clock the evening passes.")]


def demo(workers: Workers = 1, data: KeptData = None, warroom: Warroom = None, speed: Speed = 60.0) -> None:
    """Replay a year of 2,469 households' shopping with all checks, then open the war room on a promotion's evening.

    Everything is real but small: Kafka's protocol in memory, a Valkey server, ClickHouse's engine. --check ends after the checks.
    """
    outcome = _history(workers, data)
    if not all(outcome.figures["checks"].values()) or not (sys.stdout.isatty() if warroom is None else warroom):
        _next()
        exit_with(outcome)
        return
    with ExitStack() as exits:
        folder = data / "evening" if data is not None else Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="rflow-evening-")))
        status = asyncio.run(open_evening(folder, workers, speed, load_settings()))
    if status not in (None, signal.SIGINT, signal.SIGTERM):
        raise typer.Exit(1)


def _history(workers: int, data: Path | None) -> Outcome:
    tables: list[Table] = []
    source = open_source("complete-journey")
    brand, currency = next(iter(source.currencies.items()))

    def collect(settings: Settings, outcome: Outcome) -> None:
        if outcome.last is not None:
            end = outcome.last + 1
            tables.extend(star_tables(settings, brand, end - _QUARTER, end, zone="UTC", currency=currency))

    outcome = replayed(source, "mock", workers, data, None, collect)
    for made in tables:
        out.print(made)
    print_outcome(source, outcome)
    return outcome


def _next() -> None:
    out.print()
    out.print("[bold]Next[/]")
    for command, what in (
        ("rflow demo --warroom", "the same, and then a promotion's evening in the war room"),
        ("rflow up --data rflow-data", "a stack for your own events, left running"),
        ("rflow simulate day.jsonl", "a promotion day as a file, one touchpoint a line"),
        ("rflow replay day.jsonl", "the same checks on it, or on a file of yours"),
    ):
        out.print(f"  {command:<28}{what}", highlight=False, soft_wrap=True)


async def open_evening(folder: Path, workers: int, speed: float, base: Settings) -> int | None:
    """The stack with the evening beside it, until Ctrl-C."""
    with err.status("starting a stack for the evening") as status:
        async with Stack(stack_config(folder, base, "mock", workers, event_clock=True, discard_state=True), _on_event) as stack:
            assert stack.endpoints is not None
            settings = settings_on(stack.endpoints, base, intake="strict", sink_linger=0.2, warroom_port=warroom_port(base))
            await start_processes(stack, settings, workers, warroom=True)
            ladder = ladder_of(settings)
            tonight = evening.last_evening(ladder, wall_clock())
            await evening.prepare(settings, tonight, status.update)
            _tour(settings, tonight, speed, folder)
            zone = ZoneInfo(ladder.time_zone)

            def on_time(at: int) -> None:
                status.update(f"{datetime.fromtimestamp(at / 1000, zone):%H:%M} of the evening; Ctrl-C ends it")

            playing = asyncio.create_task(_played(stack, settings, tonight, speed, folder, on_time))
            try:
                stopped = await stack.run_until_stopped()
            finally:
                playing.cancel()
                ended = (await asyncio.gather(playing, return_exceptions=True))[0]
            if isinstance(ended, Exception):
                raise ended
            return stopped


async def _played(
    stack: Stack, settings: Settings, tonight: evening.Evening, speed: float, folder: Path, on_time: Callable[[int], None]
) -> None:
    try:
        await evening.run(settings, tonight, speed, on_time)
    except Exception:
        stack.request_stop()
        raise
    out.print(f"The evening is over. Its report: rflow report {evening.PROMOTION} --data {folder}", highlight=False, soft_wrap=True)


def _on_event(event: StackEvent) -> None:
    if event.kind == "died":
        err.print(f"[yellow]{event.process} {event.detail}; starting it again[/]", highlight=False)


def _tour(settings: Settings, tonight: evening.Evening, speed: float, folder: Path) -> None:
    address = f"http://{settings.warroom_host}:{settings.warroom_port}"
    drop, joins = evening.DROP.partition("@")[2].partition("-")[0], evening.DROP.partition("@")[0]

    def after(hours: float) -> str:
        minutes = hours * 60 / speed
        return f"in {minutes:.0f} min" if minutes >= 1.5 else f"in {minutes * 60:.0f} s"

    fell = (int(drop[:2]) - tonight.start.hour) + int(drop[3:]) / 60
    out.print()
    out.print(f"[bold]The war room of a promotion's evening, {speed:g} times as fast as the clock[/]")
    for line in (
        f"{address}/wall?brand={evening.BRAND}&promotion={evening.PROMOTION}",
        f"  20:00, now: GMV against a plan made after the evening before ({tonight.start:%Y-%m-%d}, simulated, in event time)",
        f"  {drop}, {after(fell)}: {joins} breaks down for 45 minutes. Watch that flow beside its usual, then GMV fall behind its plan",
        f"  then adjust: {address}/promotions, or in another terminal",
        f"    rflow promotion what-if {evening.PROMOTION} --set '*/R3/headcount=x0.8' --data {folder}",
        f"    rflow promotion adjust {evening.PROMOTION} --set '*/R3/headcount=x0.8' --because 'fewer joined' --data {folder}",
        f"  00:00, {after(evening.MIDNIGHT_HOURS)}: the rush at midnight; 02:00, {after(evening.HOURS)}: the end",
    ):
        out.print(line, highlight=False, soft_wrap=True, markup=False)
    out.print()
