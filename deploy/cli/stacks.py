"""replay, up: commands that bring a whole stack up on this machine."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from deploy.cli.common import CommandFailed, Json, err, out, print_json
from deploy.cli.outcome import print_outcome
from deploy.replay import Outcome, ReplayPlan, Watcher, run_replay
from deploy.running import Broker, settings_on, stack_config, start_processes
from deploy.settings import Settings, load_settings
from deploy.stack.keeper import StackEvent
from deploy.stack.ports import free_port, is_free
from deploy.stack.supervisor import Stack
from sources.opening import open_source
from sources.source import Source

BrokerOption = Annotated[str, typer.Option("--broker", help="mock: in memory, for trying out. kafka: Apache Kafka on Java.")]
Workers = Annotated[int, typer.Option("--workers", min=1, max=64, help="How many worker processes.")]
KeptData = Annotated[Path | None, typer.Option("--data", help="Keep state, logs and process ids in this folder.")]


def replay(
    source: Annotated[str, typer.Argument(help="complete-journey, cdnow, online-retail, FILE.jsonl[.gz|.xz] or - for standard input")],
    file: Annotated[str | None, typer.Argument(help="the CSV file of online-retail")] = None,
    broker: BrokerOption = "mock",
    workers: Workers = 1,
    data: KeptData = None,
    brand: Annotated[str | None, typer.Option(help="Only this brand's touchpoints.")] = None,
    as_json: Json = False,
) -> None:
    """Put recorded touchpoints through a stack of their own and print the figures, checked three ways.

    The checks: the crowd ledger balances, Redis and ClickHouse agree, and a plain recomputation of every user from the topics
    finds no difference. The exit status is 0 only if all hold.
    """
    if file is None and source == "online-retail":
        raise CommandFailed("online-retail needs its file: rflow replay online-retail FILE.csv[.gz|.xz]")
    opened = open_source(source, file)
    outcome = replayed(opened, broker, workers, data, brand)
    if as_json:
        print_json(outcome.figures)
    else:
        print_outcome(opened, outcome)
    exit_with(outcome)


def exit_with(outcome: Outcome) -> None:
    """Exit status 1 unless all checks hold."""
    if not all(outcome.figures["checks"].values()):
        raise typer.Exit(1)


def replayed(
    source: Source,
    broker: str,
    workers: int,
    data: Path | None,
    brand: str | None,
    before_stop: Callable[[Settings, Outcome], None] = lambda *_: None,
) -> Outcome:
    """A source through a stack of its own, with its progress on the terminal."""
    plan_broker = _broker(broker)
    base = load_settings()
    with ExitStack() as exits:
        folder = data if data is not None else Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="rflow-")))
        bar = exits.enter_context(_progress())
        task = bar.add_task("starting", total=source.total)

        def on_event(event: StackEvent) -> None:
            if event.kind == "died":
                bar.console.print(f"[yellow]{event.process} {event.detail}; starting it again[/]")
            elif event.kind in ("preparing", "starting"):
                bar.update(task, description=f"{event.kind} {event.process}")

        watch = Watcher(
            on_event=on_event,
            on_produced=lambda done: bar.update(task, completed=done.events, description="replaying"),
            on_stage=lambda stage: bar.update(task, description=stage),
            before_stop=before_stop,
        )
        plan = ReplayPlan(data=folder, broker=plan_broker, workers=workers, brand=brand)
        return asyncio.run(run_replay(source, plan, base, watch))


def _broker(name: str) -> Broker:
    if name == "kafka":
        return "kafka"
    if name == "mock":
        return "mock"
    raise CommandFailed(f"expected --broker mock or kafka, found {name!r}")


def _progress() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", table_column=None),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=err,
        transient=True,
    )


def up(
    data: Annotated[Path, typer.Option("--data", help="The folder that keeps state, logs and process ids.")] = Path("rflow-data"),
    broker: BrokerOption = "mock",
    workers: Workers = 1,
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard what an earlier run with the in-memory broker left.")] = False,
    warroom: Annotated[
        bool, typer.Option("--warroom/--no-warroom", help="With the war room, at RFLOW_WARROOM_HOST and _PORT (127.0.0.1:8600).")
    ] = True,
    alerts: Annotated[bool, typer.Option("--alerts", help="With the process that judges the flows and sends alerts.")] = False,
) -> None:
    """Start a stack for your own events and leave it running until Ctrl-C.

    Other commands find it by its folder: rflow census --data DIR. With --broker mock the topics are in memory and end with the run.
    """
    status = asyncio.run(_up(data, _broker(broker), workers, fresh, warroom, alerts, load_settings()))
    if status not in (None, signal.SIGINT, signal.SIGTERM):
        raise typer.Exit(1)


def warroom_port(settings: Settings) -> int:
    """Where the war room is served: at the port that is set, unless somebody else has it; then at a free one, which is told."""
    if settings.warroom_port and is_free(settings.warroom_port):
        return settings.warroom_port
    chosen = free_port()
    if settings.warroom_port:
        err.print(f"[yellow]port {settings.warroom_port} is taken: the war room is at {chosen}[/]", highlight=False)
    return chosen


async def _up(data: Path, broker: Broker, workers: int, fresh: bool, warroom: bool, alerts: bool, base: Settings) -> int | None:
    def on_event(event: StackEvent) -> None:
        if event.kind == "died":
            err.print(f"[yellow]{event.process} {event.detail}; starting it again ({event.restarts + 1})[/]", highlight=False)
        elif event.kind == "ready":
            err.print(f"[green]✓[/] {event.process} is up after {event.seconds:.1f} s", highlight=False)
        elif event.kind == "preparing":
            err.print(f"  {event.process}: {event.detail}", highlight=False)

    config = stack_config(data, base, broker, workers, discard_state=fresh)
    async with Stack(config, on_event) as stack:
        assert stack.endpoints is not None
        settings = settings_on(stack.endpoints, base, **({"warroom_port": warroom_port(base)} if warroom else {}))
        await start_processes(stack, settings, workers, warroom=warroom, alerts=alerts)
        out.print()
        out.print(f"Kafka       {settings.kafka_bootstrap}", highlight=False)
        out.print(f"Redis       {stack.redis_url}", highlight=False)
        out.print(f"ClickHouse  {stack.clickhouse_url}  (database {settings.clickhouse_database})", highlight=False)
        if warroom:
            address = f"http://{settings.warroom_host}:{settings.warroom_port}"
            out.print(f"War room    {address}  (wall: {address}/wall, API: {address}/api/v1/docs)", highlight=False, soft_wrap=True)
        out.print(f"Data        {data}  (logs in log/, process ids in run/)", highlight=False)
        if broker == "mock":
            out.print("[dim]The broker keeps its topics in memory: for trying out. --broker kafka keeps them.[/]")
        out.print()
        out.print(f"Try         rflow simulate --produce --events 20000 --rate 500 --data {data}", highlight=False)
        out.print(f"            rflow census --data {data}", highlight=False)
        out.print("Ctrl-C stops everything.")
        return await stack.run_until_stopped()
