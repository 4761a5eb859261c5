"""Where a running stack's servers listen: written for other commands of the same data folder, `run/endpoints.json`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.stack.files import write_whole
from deploy.stack.lock import is_held


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Addresses, None for a server the stack does not have.

    `broker` is what kind of broker it is (`mock`, `kafka` or `external`), `retain_bytes` how much of each partition a mock keeps.
    `event_clock`: time is that of the events, as in a simulation.
    """

    pid: int
    partitions: int
    broker: str
    brokers: str | None
    redis_url: str | None
    clickhouse_url: str | None
    retain_bytes: int | None = None
    event_clock: bool = False


def write_endpoints(data: Path, endpoints: Endpoints) -> None:
    """Tell other commands."""
    write_whole(_path(data), json.dumps(asdict(endpoints), indent=2) + "\n")


def remove_endpoints(data: Path) -> None:
    """The stack is stopping."""
    _path(data).unlink(missing_ok=True)


def running_stack(data: Path) -> Endpoints | None:
    """The addresses of the stack that runs on the data folder, or None if none does or it is still starting.

    What a supervisor left behind when it was killed does not count: its servers died with it.
    """
    try:
        text = _path(data).read_text()
    except FileNotFoundError:
        return None
    return Endpoints(**json.loads(text)) if is_held(data) else None


def _path(data: Path) -> Path:
    return data / "run" / "endpoints.json"
