"""worker, sink: the processes that keep the state and the figures. They load what they need and no more."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from deploy.logs import set_up_logs
from deploy.settings import load_settings


class OnLoss(StrEnum):
    """What to do where something is lost."""

    STOP = "stop"
    CONTINUE = "continue"


class OnLadderChange(StrEnum):
    """What to do with users of a newer version of the ladder, or of another one."""

    STOP = "stop"
    RECOMPUTE = "recompute"


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
    from deploy.processes.worker import run_worker

    settings = load_settings(
        on_gap=on_gap and on_gap.value,
        on_rewind=on_rewind and on_rewind.value,
        on_ladder_change=on_ladder_change and on_ladder_change.value,
    )
    set_up_logs(settings.log_format, settings.log_level)
    run_worker(settings)


def sink(on_gap: OnGapOption = None) -> None:
    """Run the ClickHouse sink. One is enough; it takes up where the figures end."""
    from deploy.processes.sink import run_sink

    settings = load_settings(on_gap=on_gap and on_gap.value)
    set_up_logs(settings.log_format, settings.log_level)
    run_sink(settings)
