"""From settings to parts: the one place where they are put together. What a part needs is loaded by those who ask for it: redis-py alone
takes as long as all else that a sink loads."""

from __future__ import annotations

import ipaddress
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.security.redis import login_options
from deploy.settings import Settings, SettingsError
from schemas.ladder import Ladder
from schemas.ladder_file import load_ladder
from schemas.signature import SecretError, read_secret
from schemas.validate import Validator
from sinks.config import ClickHouse
from sources.pseudonym import Pseudonyms
from streams.crash import arm

if TYPE_CHECKING:
    from streams.link import Connections
    from warroom.states import RedisConfig


def wall_clock() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


def ladder_of(settings: Settings) -> Ladder:
    """The deployment's ladder. Raises LadderError."""
    return load_ladder(settings.ladder)


def validator_of(settings: Settings) -> Validator:
    """The judge of touchpoints."""
    return Validator(ladder_of(settings), wall_clock, check_future=settings.future_check)


def connections_of(settings: Settings) -> Connections:
    """Connections to Redis or a Redis Cluster."""
    from streams.link import Cluster, SingleNode

    make = Cluster if settings.redis_cluster else SingleNode
    return make(settings.redis_url.get_secret_value(), **_redis_options(settings))


def _redis_options(settings: Settings) -> dict[str, Any]:
    return {**settings.redis, **login_options(settings.redis_user, settings.secret("redis_password"))}


def clickhouse_of(settings: Settings) -> ClickHouse:
    """Where the figures are."""
    return ClickHouse(
        url=settings.clickhouse_url.get_secret_value(),
        database=settings.clickhouse_database,
        user=settings.clickhouse_user,
        password=settings.secret("clickhouse_password"),
        options=tuple((name, str(value)) for name, value in settings.clickhouse.items()),
    )


def redis_of(settings: Settings) -> RedisConfig:
    """Where the states are, for those who only read."""
    from warroom.states import RedisConfig

    return RedisConfig(
        url=settings.redis_url.get_secret_value(),
        prefix=settings.redis_prefix,
        cluster=settings.redis_cluster,
        options=_redis_options(settings),
    )


def pseudonyms_of(settings: Settings) -> Pseudonyms | None:
    """What replaces user ids, if anything does. Raises SettingsError for a key that cannot be used."""
    if not settings.pseudonym_key_file:
        return None
    try:
        return Pseudonyms(read_secret(Path(settings.pseudonym_key_file).expanduser()))
    except SecretError as error:
        raise SettingsError(f"pseudonym_key_file: {error}") from None


def pseudonymised(lines: Iterator[bytes], settings: Settings, left_out: Counter[str]) -> Iterator[bytes]:
    """Lines with pseudonyms where there is a key. Raises SettingsError."""
    made = pseudonyms_of(settings)
    return lines if made is None else made.lines(lines, left_out)


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def arm_crash_point(settings: Settings) -> None:
    """Arms the crash point that a test asked for. Raises ValueError for an unknown one."""
    if settings.crash_point:
        name, _, rest = settings.crash_point.partition(":")
        passing, _, how = rest.partition(":")
        arm(name, int(passing or 1), freeze=how == "freeze")


def process_name(role: str) -> str:
    """A name no other process has: role, machine, process id."""
    return f"{role}-{os.uname().nodename}-{os.getpid()}"
