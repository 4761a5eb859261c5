"""snapshot: what a subscriber begins with; subscribe: transitions to a webhook or as lines."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path
from typing import IO, Annotated

import typer
from rich.markup import escape

from deploy.cli.common import MISUSED, CommandFailed, DataDir, err, settings_of, shown
from deploy.cli.processes import OnGapOption
from deploy.logs import set_up_logs
from deploy.processes.subscription import snapshot_config
from schemas.transition import TransitionKind
from sinks.subscription.config import Subscription, SubscriptionError, Wanted, load_subscription, start_of
from warroom.layer_snapshot import LayerSnapshot

STANDARD = "-"


def snapshot(
    file: Annotated[str, typer.Argument(help="Where to; - for standard output.")] = STANDARD,
    brand: Annotated[str | None, typer.Option("--brand", help="Of one brand alone.")] = None,
    data: DataDir = None,
) -> None:
    """Write every user's layer as JSON lines, each shard at one version, for subscribers to begin with. A file appears once it is whole."""
    taking = LayerSnapshot(snapshot_config(settings_of(data)))
    with closing(taking):
        if file == STANDARD:
            users = taking.write(sys.stdout.buffer.write, brand)
            sys.stdout.buffer.flush()
        else:
            users = _into(Path(file), taking, brand)
    err.print(f"{shown(users)} users", highlight=False)


def _into(path: Path, taking: LayerSnapshot, brand: str | None) -> int:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as out:
            users = taking.write(out.write, brand)
            _sync(out)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return users


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


Several = list[str] | None


def subscribe(
    file: Annotated[
        Path | None, typer.Argument(help="The subscription, a YAML file; without one, to standard output by the options.")
    ] = None,
    from_: Annotated[Several, typer.Option("--from", help="Left this layer; may be given several times, as may the next ones.")] = None,
    to: Annotated[Several, typer.Option("--to", help="Entered this layer.")] = None,
    kind: Annotated[list[TransitionKind] | None, typer.Option("--kind", help="Of this kind.")] = None,
    channel: Annotated[Several, typer.Option("--channel", help="Through this channel.")] = None,
    brand: Annotated[Several, typer.Option("--brand", help="Of this brand.")] = None,
    start: Annotated[str, typer.Option("--start", help="beginning, end, or an RFC 3339 time of publishing.")] = "end",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Stop after so many lines.")] = None,
    on_gap: OnGapOption = None,
    data: DataDir = None,
) -> None:
    """Hand transitions on, until SIGTERM or Ctrl-C: to a webhook, signed and each user's in order, or as JSON lines to standard output."""
    from deploy.processes.subscription import run_lines, run_webhook

    flags = Wanted(
        brands=tuple(brand or ()), from_=tuple(from_ or ()), to=tuple(to or ()), kinds=tuple(kind or ()), channels=tuple(channel or ())
    )
    if file is not None and (flags != Wanted() or start != "end"):
        raise CommandFailed(f"expected either {file} or options that say what is wanted, found both")
    try:
        start_of(start)
        subscription = (
            Subscription(subscription="lines", wanted=flags, start=start, stdout=True) if file is None else load_subscription(file)
        )
    except SubscriptionError as error:
        for line in str(error).splitlines():
            err.print(f"[bold red]rflow:[/] {escape(line)}", highlight=False, soft_wrap=True)
        raise typer.Exit(MISUSED) from None
    except ValueError as error:
        raise CommandFailed(f"--start: {error}") from None
    settings = settings_of(data, on_gap=on_gap and on_gap.value)
    set_up_logs(settings.log_format, settings.log_level)
    if subscription.webhook is None:
        run_lines(settings, subscription, limit)
    elif limit is not None:
        raise CommandFailed("expected --limit with standard output alone, found a webhook")
    else:
        run_webhook(settings, subscription, subscription.webhook)
