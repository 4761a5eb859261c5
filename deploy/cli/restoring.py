"""restored: after Redis and ClickHouse were restored from backups."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from deploy.cli.common import Json, err, out, print_json, table
from deploy.cli.processes import OnGapOption
from deploy.restore import Restored
from deploy.restore import restored as make_fit
from deploy.settings import load_settings
from deploy.wiring import arm_crash_point


def restored(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only look, and say what there is to do.")] = False,
    on_gap: OnGapOption = None,
    as_json: Json = False,
) -> None:
    """After a restore of Redis and ClickHouse from backups: make them fit what was published since, so that nothing counts twice.

    Stop all workers and the sink before. Cut short it is run again. What to back up, and how: deploy/BACKUP.md.
    """
    settings = load_settings(on_gap=on_gap and on_gap.value)
    arm_crash_point(settings)
    with err.status("looking at Kafka, Redis and ClickHouse"):
        done = make_fit(settings, plan=dry_run)
    if as_json:
        print_json({**msgspec.to_builtins(done), "forgotten": done.forgotten})
        return
    titles = ["shard", "Redis", "published", "ClickHouse", "forgotten"]
    out.print(table("Last versions", titles, [list(msgspec.structs.astuple(shard)) for shard in done.shards]))
    out.print(_told(done), highlight=False, soft_wrap=True)


def _told(done: Restored) -> str:
    found = (
        f"{done.forgotten:,} steps that Redis has forgotten, {done.told:,} of an earlier restore, "
        f"{done.promotions:,} versions of promotions, {done.alerts:,} alerts"
    )
    if not done.done:
        return f"to do: {found}. Nothing has been changed."
    return f"{found}: ClickHouse passes over the steps, Redis has the rest.\nStart workers and sink; then rflow check."
