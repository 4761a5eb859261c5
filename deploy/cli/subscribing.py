"""snapshot: what a subscriber begins with."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path
from typing import IO, Annotated

import typer

from deploy.cli.common import DataDir, err, settings_of, shown
from deploy.wiring import snapshot_config
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
