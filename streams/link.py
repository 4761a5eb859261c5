"""One connection to the Redis node that holds a shard: commands sent together, their replies read together.

A connection on which a call was cut short is closed, since another call's reply could come back on it. redis-py's own retries are off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

import hiredis
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

Argument = str | bytes | int
Command = Sequence[Argument]


class Connections(Protocol):
    """Makes connections to the node that holds a key."""

    async def connect(self, key: str) -> AbstractConnection: ...
    async def refresh(self) -> None: ...
    async def close(self) -> None: ...


def _options() -> dict[str, Any]:
    # The link has a timeout of its own: redis-py's would end a call between two replies, and on Python 3.11 swallow a cancellation.
    return {"protocol": 2, "retry": Retry(NoBackoff(), 0), "socket_timeout": None}


class SingleNode:
    """Connections to one Redis or Valkey server. `options` go to redis-py, such as `ssl_ca_certs`."""

    def __init__(self, url: str, **options: Any) -> None:
        self._client = Redis.from_url(url, **{**_options(), **options})

    async def connect(self, key: str) -> AbstractConnection:
        connection: AbstractConnection = self._client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        await connection.connect()  # type: ignore[no-untyped-call]
        return connection

    async def refresh(self) -> None:
        """Nothing to learn: there is one node."""

    async def close(self) -> None:
        await self._client.aclose()


class Cluster:
    """Connections to the node of a Redis Cluster that holds a key's slot; `refresh` learns a new layout after a MOVED."""

    def __init__(self, url: str, **options: Any) -> None:
        self._client = RedisCluster.from_url(url, **{**_options(), **options})

    async def connect(self, key: str) -> AbstractConnection:
        await self._client.initialize()
        node = self._client.get_node_from_key(key)
        if node is None:
            raise RedisConnectionError(f"no node of the cluster holds the slot of {key}")
        connection: AbstractConnection = node.connection_class(**node.connection_kwargs)
        await connection.connect()  # type: ignore[no-untyped-call]
        return connection

    async def refresh(self) -> None:
        await self._client.aclose()

    async def close(self) -> None:
        await self._client.aclose()


class Link:
    """The shard's one connection, opened when needed. Not for concurrent use."""

    def __init__(self, connections: Connections, key: str, *, timeout: float = 8.0) -> None:
        self._connections = connections
        self._key = key
        self._timeout = timeout
        self._connection: AbstractConnection | None = None

    async def call(self, *commands: Command, same: bool = False) -> list[Any]:
        """The replies of commands sent in one write. A command's own error is among the replies, as an exception. With `same` they go
        over the connection of the call before or nowhere: what is watched is forgotten with a connection.

        Raises RedisError, OSError or TimeoutError when the connection fails; whether the commands took effect is then unknown.
        """
        if self._connection is not None and not self._connection.is_connected:
            await self.close()  # redis-py would open another in silence
        if self._connection is None:
            if same:
                raise RedisConnectionError("the connection that watches the shard has been closed")
            async with asyncio.timeout(self._timeout):
                self._connection = await self._connections.connect(self._key)
        connection = self._connection
        whole = False
        try:
            async with asyncio.timeout(self._timeout):
                await connection.send_packed_command([_pack(tuple(command)) for command in commands], check_health=False)
                replies = [await _reply(connection) for _ in commands]
            whole = True
            return replies
        finally:
            if not whole:
                await self.close()

    async def moved(self) -> None:
        """Forgets the node and its connection, so that the next call finds the one that holds the shard now."""
        await self.close()
        await self._connections.refresh()

    async def close(self) -> None:
        """Closes the connection; the next call opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)


def _pack(command: tuple[Any, ...]) -> bytes:
    packed: bytes = hiredis.pack_command(command)
    return packed


async def _reply(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response(disconnect_on_error=False)
    except (RedisConnectionError, RedisTimeoutError, TimeoutError):
        raise
    except RedisError as error:
        return error
