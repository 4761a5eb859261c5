"""How a replay's outcome is shown to a person."""

from __future__ import annotations

from deploy.cli.common import out, shown, table
from deploy.replay import Outcome
from sources.source import Source

_SHOWN = 10


def print_outcome(source: Source, outcome: Outcome) -> None:
    """The figures, the checks, and what is wrong if anything is."""
    f = outcome.figures
    rows = [
        ["touchpoints", f["events"]],
        ["applied", f["applied"]],
        ["duplicates", f["duplicates"]],
        ["junk", f["junk"]],
        ["dead letters", sum(f["dead_letters"].values())],
        ["transitions", f["transitions"]],
        ["orders", f["orders"]],
        ["buyers", f["buyers"]],
    ]
    out.print()
    out.print(table(source.name, ["", ""], rows))
    out.print(f"GMV {f['gmv'] / 100:,.2f}, refunded {f['refunds'] / 100:,.2f}", highlight=False)
    for reason, count in {**f["dead_letters"]}.items():
        out.print(f"  dead letters, {reason}: {shown(count)}", highlight=False)
    for reason, count in source.left_out.items():
        out.print(f"  left out by the source, {reason}: {shown(count)}", highlight=False)
    out.print(f"{f['seconds']:.1f} s, {shown(f['events_per_second'])} touchpoints a second, stored", highlight=False)
    out.print()
    out.print(table("Users per layer, at the last turn", list(f["layers"]), [list(f["layers"].values())]))
    out.print(table("Flows", ["from", "to", "transitions"], [[*flow.split(">"), n] for flow, n in f["flows"].items()]))
    out.print("[bold]Checks[/]")
    for name, holds in f["checks"].items():
        out.print(f"  {'[green]✓[/]' if holds else '[red]✗[/]'} {name.replace('_', ' ')}")
    for fault in outcome.faults[:_SHOWN]:
        out.print(f"    [red]{fault}[/]", highlight=False)
    for d in outcome.differences[:_SHOWN]:
        out.print(f"    [red]{d.brand} {d.user_id}, {d.what}: Redis has {d.redis}, the topics say {d.topics}[/]", highlight=False)
    more = len(outcome.differences) - _SHOWN
    if more > 0:
        out.print(f"    [red]and {more} more differences[/]")
