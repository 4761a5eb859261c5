"""Whether a server answers. Each check asks once, takes at most a second, never raises, and is asked again until it says yes."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

Ready = Callable[[], Awaitable[bool]]

_PATIENCE = 1.0


async def at_once() -> bool:
    """For a process that is ready as soon as it runs."""
    return True


def file_exists(path: Path) -> Ready:
    """The process writes the file when it is up."""

    async def check() -> bool:
        return path.exists()  # noqa: ASYNC240 - one stat of a local file

    return check


def redis_answers(port: int) -> Ready:
    """PING is answered: the server listens and has read back its append-only file."""

    async def check() -> bool:
        return await _ask(port, b"PING\r\n", len(b"+PONG\r\n")) == b"+PONG\r\n"

    return check


def http_answers(url: str) -> Ready:
    """A GET of the url is answered with 200."""
    parts = urlsplit(url)
    port = parts.port or 80
    request = f"GET {parts.path or '/'} HTTP/1.0\r\nHost: {parts.hostname}:{port}\r\n\r\n".encode()

    async def check() -> bool:
        return (await _ask(port, request, len(b"HTTP/1.1 200")))[9:] == b"200"

    return check


def kafka_answers(port: int) -> Ready:
    """The broker serves requests and lists itself: a port that merely accepts connections is not yet a broker."""
    metadata_v1_no_topics = struct.pack(">hhihi", 3, 1, 1, -1, 0)
    request = struct.pack(">i", len(metadata_v1_no_topics)) + metadata_v1_no_topics

    async def check() -> bool:
        answer = await _ask(port, request, 12)  # length, correlation id, number of brokers
        return len(answer) == 12 and int(struct.unpack(">iii", answer)[2]) > 0

    return check


async def _ask(port: int, request: bytes, length: int) -> bytes:
    """The first bytes of the answer of a loopback server; fewer, or none, if it gives no such answer."""
    try:
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(request)
                return await reader.readexactly(length)
            finally:
                writer.close()
    except asyncio.IncompleteReadError as error:
        return error.partial
    except (OSError, TimeoutError):
        return b""
