"""A ClickHouse client whose errors tell two things apart: not now, and never."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from sinks.config import ClickHouse
from sinks.errors import StoreAway, StoreError
from sinks.whole_replies import pool_of

_CODE = re.compile(r"[Cc]ode: (\d+)")

_NOT_NOW = frozenset(
    {
        3,  # UNEXPECTED_END_OF_FILE: the request was cut off
        32,  # ATTEMPT_TO_READ_AFTER_EOF
        33,  # CANNOT_READ_ALL_DATA
        74,  # CANNOT_READ_FROM_FILE_DESCRIPTOR
        75,  # CANNOT_WRITE_TO_FILE_DESCRIPTOR
        76,  # CANNOT_OPEN_FILE
        159,  # TIMEOUT_EXCEEDED
        164,  # READONLY
        198,  # DNS_ERROR
        201,  # QUOTA_EXCEEDED
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        203,  # NO_FREE_CONNECTION
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        236,  # ABORTED
        241,  # MEMORY_LIMIT_EXCEEDED
        242,  # TABLE_IS_READ_ONLY
        243,  # NOT_ENOUGH_SPACE
        252,  # TOO_MANY_PARTS
        279,  # ALL_CONNECTION_TRIES_FAILED
        319,  # UNKNOWN_STATUS_OF_INSERT
        394,  # QUERY_WAS_CANCELLED
        425,  # SYSTEM_ERROR
        439,  # CANNOT_SCHEDULE_TASK
        473,  # DEADLOCK_AVOIDED
        516,  # AUTHENTICATION_FAILED: a password that is being exchanged
        999,  # KEEPER_EXCEPTION
    }
)
"""ClickHouse's error codes that pass."""


def connect(config: ClickHouse, database: str, **settings: int | str) -> Client:
    """A client of one database, without a session: each statement stands for itself, with `settings`. Raises StoreAway or StoreError."""
    options: dict[str, Any] = dict(config.options)
    with told_apart():
        return clickhouse_connect.get_client(
            dsn=config.url,
            interface=urlsplit(config.url).scheme,  # else https at another port than its own would be spoken to in the clear
            username=config.user or None,
            password=config.password() if config.password else "",
            database=database,
            compress=config.compress,
            connect_timeout=config.connect_timeout,
            send_receive_timeout=config.timeout,
            autogenerate_session_id=False,
            settings=settings or None,
            pool_mgr=pool_of(config.url, config.options, config.user, config.password),
            **options,
        )


@contextmanager
def told_apart() -> Iterator[None]:
    """Errors of the driver within become StoreAway if trying again later may help, else StoreError."""
    try:
        yield
    except ClickHouseError as error:
        raise _meaning(error) from error
    except (HTTPError, OSError) as error:
        raise StoreAway(f"ClickHouse does not answer: {_first_line(error)}") from error


def _meaning(error: Exception) -> StoreAway | StoreError:
    found = _CODE.search(str(error))
    if found is None:
        return StoreAway(f"ClickHouse does not answer: {_first_line(error)}")
    if int(found[1]) in _NOT_NOW:
        return StoreAway(f"ClickHouse cannot now: {_first_line(error)}")
    return StoreError(f"ClickHouse refuses: {_first_line(error)}")


def _first_line(error: object) -> str:
    return str(error).partition("\n")[0][:500]


Rows = list[tuple[Any, ...]]
