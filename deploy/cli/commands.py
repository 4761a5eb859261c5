"""All commands. Each module says what its own do; what they print goes through `deploy.cli.common`."""

from __future__ import annotations

import typer

from deploy.cli import (
    alerts,
    collecting,
    demo,
    dlq,
    figures,
    operate,
    plan,
    promotion,
    report,
    resharding,
    restoring,
    rights,
    sourcing,
    stacks,
    subscribing,
    warroom,
)
from deploy.cli.common import COMPLETION_HELP

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

TRY, RUN, LOOK = "Try it", "Run it", "Look at it"

app.command(rich_help_panel=TRY)(demo.demo)
app.command(rich_help_panel=TRY)(stacks.replay)
app.command(rich_help_panel=TRY)(sourcing.simulate)
app.command(rich_help_panel=RUN)(stacks.up)
app.command(rich_help_panel=RUN)(operate.init)
app.command(rich_help_panel=RUN)(operate.worker)
app.command(rich_help_panel=RUN)(operate.sink)
app.command(rich_help_panel=RUN)(subscribing.subscribe)
app.add_typer(collecting.collect, name="collect", rich_help_panel=RUN)
app.add_typer(warroom.warroom, name="warroom", rich_help_panel=RUN)
app.add_typer(alerts.app, name="alerts", rich_help_panel=RUN)
app.command(rich_help_panel=RUN)(operate.doctor)
app.command(rich_help_panel=RUN)(resharding.reshard)
app.command(rich_help_panel=RUN)(restoring.restored)
app.command(rich_help_panel=RUN)(rights.rights)
app.command(rich_help_panel=RUN)(plan.plan)
app.command(rich_help_panel=LOOK)(figures.star)
app.command(rich_help_panel=LOOK)(figures.census)
app.command(rich_help_panel=LOOK)(figures.user)
app.add_typer(promotion.app, name="promotion", help="Promotions: their targets, how they stand, who changed what.", rich_help_panel=LOOK)
app.command(rich_help_panel=LOOK)(report.report)
app.command(rich_help_panel=LOOK)(operate.tail)
app.command(rich_help_panel=LOOK)(subscribing.snapshot)
app.command(rich_help_panel=LOOK)(figures.check)
app.add_typer(dlq.app, name="dlq", rich_help_panel=LOOK)
