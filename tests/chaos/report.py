"""What a campaign tells: faults by kind, differences, recovery times; as a table and as JSON."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from tests.chaos.faults import Kind, bound, stand_still_bound
from tests.chaos.trial import Result, Suffered


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {"p50": round(percentile(values, 0.5), 2), "p95": round(percentile(values, 0.95), 2), "max": round(max(values), 2)}


def summary(results: Sequence[Result], load: float) -> dict[str, Any]:
    """The campaign in figures. Times are seconds; `load` is the machine's highest load average meanwhile, without which they say little."""
    by_kind: dict[Kind, list[Suffered]] = defaultdict(list)
    for result in results:
        for suffered in result.suffered:
            by_kind[suffered.fault.kind].append(suffered)
    alone = {kind: [one for one in found if one.alone] for kind, found in by_kind.items()}
    return {
        "seeds": len(results),
        "faults": sum(len(found) for found in by_kind.values()),
        "differences": sum(len(result.differences) for result in results),
        "missed_bounds": sum(len(result.missed) for result in results),
        "seconds_a_seed": _spread([result.seconds for result in results]),
        "seconds_in_phases": {
            phase: round(sum(result.phases.get(phase, 0.0) for result in results), 1)
            for phase in dict.fromkeys(phase for result in results for phase in result.phases)
        },
        "load_average_most": round(load, 2),
        "kinds": {
            kind.value: {
                "faults": len(by_kind[kind]),
                "alone": len(alone.get(kind, [])),
                "met": sum(one.met for one in by_kind[kind]),
                "moved_after_strike": _spread([one.moved for one in alone.get(kind, [])]),
                "moved_after_end": _spread([one.after for one in alone.get(kind, [])]),
                "stood_still": _spread([one.still for one in alone.get(kind, [])]),
                "bound_moved": bound(kind),
                "bound_still": stand_still_bound(kind),
            }
            for kind in Kind
            if kind in by_kind
        },
        "storms_moved_after_end": _spread([max(o.after for o in r.suffered) for r in results if r.schedule.is_storm and r.suffered]),
        "ended_by_themselves": [
            {"seed": result.schedule.seed, "who": ending.who, "status": ending.status, "last_words": ending.last_words}
            for result in results
            for ending in result.endings
        ],
        "failed": [
            {"seed": result.schedule.seed, "missed": result.missed, "differences": len(result.differences), "first": result.differences[:1]}
            for result in results
            if not result.is_good
        ],
    }


def write_json(path: Path, told: dict[str, Any]) -> None:
    """The summary as a file."""
    path.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2) + b"\n")


def print_report(told: dict[str, Any], console: Console) -> None:
    """The summary as a table."""
    table = Table(title="Seconds until the figures of every shard move again (faults that strike alone)", title_justify="left")
    for name in ("fault", "times", "alone", "met", "p50", "p95", "max", "bound", "stood still", "bound"):
        table.add_column(name, justify="left" if name == "fault" else "right", no_wrap=True)
    for kind, row in told["kinds"].items():
        moved, still = row["moved_after_strike"] or {}, row["stood_still"] or {}
        times = [moved.get(name, "") for name in ("p50", "p95", "max")]
        cells = [row["faults"], row["alone"], row["met"], *times, row["bound_moved"] or "", still.get("max", ""), row["bound_still"]]
        table.add_row(kind, *map(str, cells))
    console.print(table)
    console.print(
        f"{told['seeds']} seeds, {told['faults']} faults, {told['differences']} differences, {told['missed_bounds']} missed bounds, "
        f"{len(told['ended_by_themselves'])} processes that ended by themselves"
    )
    for ending in told["ended_by_themselves"]:
        console.print(
            f"seed {ending['seed']}: a {ending['who']} ended with {ending['status']}: {ending['last_words']}", highlight=False, markup=False
        )
    for failed in told["failed"]:
        console.print(f"[red]seed {failed['seed']}[/]: {'; '.join([*failed['missed'], *failed['first']])[:600]}", highlight=False)


def print_seed(result: Result, console: Console) -> None:
    """A line for a seed as it ends."""
    faults: Iterable[str] = (fault.kind.value for fault in result.schedule.faults)
    verdict = "good" if result.is_good else "[red]BAD[/]"
    mode = " ".join(["live" if result.schedule.is_live else "strict", *([f"beside {result.beside}"] if result.beside else [])])
    console.print(f"seed {result.schedule.seed:>4} {verdict} {result.seconds:5.1f} s {mode}: {', '.join(faults)}", highlight=False)
    ended = [f"a {ending.who} ended with {ending.status}: {ending.last_words}" for ending in result.endings]
    for told in [*ended, *result.missed, *result.differences[:1]]:
        console.print(f"          {told[:600]}", highlight=False, markup=False)
