"""`rflow rights`: what a process has to be allowed, in the servers' own words."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from msgspec.structs import replace

from deploy.cli.common import CommandFailed, Json, out, print_json
from deploy.security.granted import names_of
from deploy.security.render import clickhouse_statements, kafka_commands, redis_line
from deploy.security.rights import Process
from deploy.settings import load_settings


class Server(StrEnum):
    """Who is to allow it."""

    KAFKA = "kafka"
    REDIS = "redis"
    CLICKHOUSE = "clickhouse"


_PRINTED = {Server.KAFKA: kafka_commands, Server.REDIS: redis_line, Server.CLICKHOUSE: clickhouse_statements}


def rights(
    process: Annotated[Process | None, typer.Argument(help="Whose: all, if none is named.")] = None,
    server: Annotated[Server | None, typer.Option("--for", help="In the words of one server alone.")] = None,
    user: Annotated[str, typer.Option("--user", help="What users' names begin with; the process' name follows.")] = "rflow-",
    redis: Annotated[
        str, typer.Option("--redis", help="Redis' version: before 7.2 it would refuse commands that it does not know.")
    ] = "7.2",
    as_json: Json = False,
) -> None:
    """Print the least rights of each process: arguments of kafka-acls, lines of Redis' ACL file, statements for ClickHouse."""
    names = replace(names_of(load_settings()), user=user, redis=_version(redis))
    servers, processes = [server] if server else list(Server), [process] if process else list(Process)
    found = {one: {of: list(_PRINTED[one](of, names)) for of in processes} for one in servers}
    if as_json:
        print_json(found)
        return
    comment = {Server.KAFKA: "#", Server.REDIS: "#", Server.CLICKHOUSE: "--"}
    for one, by_process in found.items():
        for of, lines in by_process.items():
            if lines:
                out.print(f"{comment[one]} {one}: {of}", style="dim", highlight=False)
            for line in lines:
                ended = f"{line};" if one is Server.CLICKHOUSE else line
                out.print(ended, highlight=False, markup=False, soft_wrap=True)


def _version(text: str) -> tuple[int, int]:
    """Raises CommandFailed."""
    try:
        major, minor = (int(part) for part in text.split(".")[:2])
    except ValueError:
        raise CommandFailed(f"expected a version of Redis such as 7.0 or 7.2, found {text!r}") from None
    return major, minor
