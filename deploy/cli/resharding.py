"""reshard: more partitions for a deployment that has users."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from deploy.cli.common import Json, err, out, print_json
from deploy.reshard import Resharded
from deploy.reshard import reshard as deal
from deploy.settings import load_settings
from deploy.wiring import arm_crash_point


def reshard(
    partitions: Annotated[int, typer.Argument(min=2, help="How many partitions every topic shall have: a multiple of the present number.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only look, and say what there is to do.")] = False,
    as_json: Json = False,
) -> None:
    """Give every topic more partitions and deal the users to the new shards, exactly once.

    Stop all workers and the sink before, and run it with the settings as they were. Cut short it is run again with the same number.
    """
    settings = load_settings()
    arm_crash_point(settings)
    users = 0

    def tell(looked: int) -> None:
        nonlocal users
        users += looked
        status.update(f"{users:,} users looked at")

    with err.status("looking at Kafka and Redis") as status:
        done = deal(settings, partitions, plan=dry_run, on_dealt=tell)
    if as_json:
        print_json(msgspec.structs.asdict(done))
    else:
        out.print(_told(done), highlight=False, soft_wrap=True)


def _told(done: Resharded) -> str:
    topics = f"{len(done.topics)} topics from {done.before} to {done.after} partitions"
    if not done.dealt:
        return f"to do: {topics}, {done.users:,} users to be looked at. Nothing has been changed."
    return (
        f"{topics}, {done.users:,} users looked at; each is where it belongs now.\n"
        f"Set partitions (RFLOW_PARTITIONS) to {done.after} for every process, run rflow init, and start workers and sink."
    )
