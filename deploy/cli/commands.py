"""All commands, and in which module each is. Each module says what its own do; what they print goes through `deploy.cli.common`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

import typer

from deploy.cli.common import COMPLETION_HELP

TRY, RUN, LOOK = "Try it", "Run it", "Look at it"


class Command(NamedTuple):
    """The heading under which it is listed, and where it is: `member` of `deploy.cli.<module>`, a function or a Typer of commands."""

    panel: str
    module: str
    member: str


COMMANDS = {
    "demo": Command(TRY, "demo", "demo"),
    "replay": Command(TRY, "stacks", "replay"),
    "simulate": Command(TRY, "sourcing", "simulate"),
    "up": Command(RUN, "stacks", "up"),
    "init": Command(RUN, "operate", "init"),
    "worker": Command(RUN, "processes", "worker"),
    "sink": Command(RUN, "processes", "sink"),
    "subscribe": Command(RUN, "subscribing", "subscribe"),
    "collect": Command(RUN, "collecting", "collect"),
    "warroom": Command(RUN, "warroom", "warroom"),
    "alerts": Command(RUN, "alerts", "app"),
    "doctor": Command(RUN, "operate", "doctor"),
    "reshard": Command(RUN, "resharding", "reshard"),
    "restored": Command(RUN, "restoring", "restored"),
    "rights": Command(RUN, "rights", "rights"),
    "plan": Command(RUN, "plan", "plan"),
    "star": Command(LOOK, "figures", "star"),
    "census": Command(LOOK, "figures", "census"),
    "user": Command(LOOK, "figures", "user"),
    "promotion": Command(LOOK, "promotion", "app"),
    "report": Command(LOOK, "report", "report"),
    "tail": Command(LOOK, "operate", "tail"),
    "snapshot": Command(LOOK, "subscribing", "snapshot"),
    "check": Command(LOOK, "figures", "check"),
    "dlq": Command(LOOK, "dlq", "app"),
}
"""In the order in which they are listed."""


def app_of(arguments: Sequence[str] = ()) -> typer.Typer:
    """The `rflow` command, for these arguments: one that begins with a command's name needs that command alone, and loads nothing else's
    libraries, which would make every process of a deployment larger and later."""
    app = typer.Typer(
        name="rflow",
        help="Live 5R user state, layer transitions and war-room figures from a stream of marketing touchpoints.\n\n"
        "Begin with [bold]rflow demo[/]: a year of real shopping on this machine, nothing else to install.",
        epilog=COMPLETION_HELP,
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(lambda: None)  # without it a single command would go without its name
    wanted = arguments[:1] if arguments and arguments[0] in COMMANDS else COMMANDS
    for name in wanted:
        panel, module, member = COMMANDS[name]
        found = getattr(import_module(f"deploy.cli.{module}"), member)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name, rich_help_panel=panel)
        else:
            app.command(name, rich_help_panel=panel)(found)
    return app
