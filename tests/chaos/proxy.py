"""A TCP proxy between a client and a server that can delay, cut, half-deliver, hold back and lose what passes.

It runs on an event loop in a thread of its own; its methods may be called from any thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

_CHUNK = 65_536

Address = tuple[str, int]
"""(host, port)"""


@dataclass(eq=False, slots=True)
class _Connection:
    """Both ends of one connection. Of what is yet to pass, `replies` and `requests` bytes are let through before it is cut; None: all."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    replies: int | None = None
    requests: int | None = None
    is_lost: bool = False
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def cut(self) -> None:
        """Both ends are gone at once; what has been delivered to the client's side still arrives."""
        self.client.close()
        self.server.transport.abort()


class Loop:
    """An event loop in a thread; closed when left."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(self, do: Callable[[], Awaitable[int]]) -> int:
        """Runs `do` on the loop and waits for its result."""

        async def run() -> int:
            return await do()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(30)


class Proxy:
    """One listening port that leads to one server. What is done to connections is told in how many it struck."""

    def __init__(self, loop: Loop, port: int, server: Address) -> None:
        self.port = port
        self._server_address = server
        self._loop = loop
        self._connections: set[_Connection] = set()
        self._delay = 0.0
        self._is_held = False
        self._refusal: bytes | None = None
        self._armed: tuple[int | None, int | None] = (None, None)
        self._struck = 0
        self._listener: asyncio.Server | None = None
        loop.call(self._listen)

    @property
    def address(self) -> str:
        """`host:port` as a client dials it."""
        return f"127.0.0.1:{self.port}"

    # --- what can be done ---------------------------------------------------------------------------------------------------------
    def cut(self) -> int:
        """Cuts every connection now."""

        async def do() -> int:
            struck = list(self._connections)
            for connection in struck:
                connection.cut()
            return len(struck)

        return self._loop.call(do)

    def lose(self) -> int:
        """Every connection there is goes dead without a word: nothing passes any more and nobody hears of it. New ones are sound."""

        async def do() -> int:
            struck = [connection for connection in self._connections if not connection.is_lost]
            for connection in struck:
                connection.is_lost = True
            return len(struck)

        return self._loop.call(do)

    def cut_within(self, *, replies: int | None = None, requests: int | None = None) -> None:
        """Until `calm`, each connection is cut after so many more bytes of the server's replies, or of the client's requests."""

        async def do() -> int:
            self._struck = 0
            self._armed = (replies, requests)
            for connection in self._connections:
                connection.replies, connection.requests = replies, requests
            return 0

        self._loop.call(do)

    def slow(self, delay: float) -> None:
        """Until `calm`, everything that passes is delivered in two halves, `delay` seconds before each."""
        self._set(delay=delay)

    def hold(self) -> None:
        """Until `calm`, nothing passes; connections stay open."""
        self._set(held=True)

    def refuse(self, answer: bytes) -> None:
        """Until `calm`, HTTP requests are not passed on but answered so; connections there are closed first."""
        self.cut()
        self._set(refusal=answer)

    def calm(self) -> int:
        """All that comes passes from now on; how many connections `cut_within` or `refuse` has struck."""

        async def do() -> int:
            self._delay, self._is_held, self._refusal, self._armed = 0.0, False, None, (None, None)
            for connection in self._connections:
                connection.replies = connection.requests = None
            struck, self._struck = self._struck, 0
            return struck

        return self._loop.call(do)

    def reset(self) -> None:
        """All calm, and every connection gone, those too that nobody hears of."""
        self.calm()
        self._loop.call(self._end_all)

    def close(self) -> None:
        """Ends the proxy and every connection."""

        async def do() -> int:
            assert self._listener is not None
            self._listener.close()
            return await self._end_all()

        self._loop.call(do)

    async def _end_all(self) -> int:
        tasks = [task for connection in self._connections for task in connection.tasks]
        for connection in list(self._connections):
            connection.cut()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while self._connections:
            await asyncio.sleep(0.01)
        return len(tasks)

    def _set(self, *, delay: float = 0.0, held: bool = False, refusal: bytes | None = None) -> None:
        async def do() -> int:
            self._delay, self._is_held, self._refusal, self._struck = delay, held, refusal, 0
            return 0

        self._loop.call(do)

    # --- what passes --------------------------------------------------------------------------------------------------------------
    async def _listen(self) -> int:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port, reuse_address=True)
        return 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):
            if self._refusal is not None:
                await self._answer(reader, writer, self._refusal)
                return
            try:
                from_server, to_server = await asyncio.open_connection(*self._server_address)
            except OSError:
                writer.transport.abort()
                return
            connection = _Connection(writer, to_server, *self._armed)
            self._connections.add(connection)
            connection.tasks = [
                asyncio.create_task(self._pump(connection, from_server, writer, is_reply=True)),
                asyncio.create_task(self._pump(connection, reader, to_server, is_reply=False)),
            ]
            try:
                await asyncio.wait(connection.tasks)
            finally:
                self._connections.discard(connection)
                connection.cut()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bytes) -> None:
        """Reads one HTTP request to its end and answers it."""
        self._struck += 1
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
            if b"chunked" in fields.get(b"transfer-encoding", b""):
                while size := int(await reader.readline(), 16):
                    await reader.readexactly(size + 2)
                await reader.readline()
            else:
                await reader.readexactly(int(fields.get(b"content-length", b"0")))
            writer.write(answer)
            await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass
        finally:
            writer.close()

    async def _pump(self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_reply: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                for part in self._parts(data):
                    await self._until_it_may_pass(connection)
                    whole = self._allowed(connection, part, is_reply=is_reply)
                    writer.write(part[:whole])
                    await writer.drain()
                    if whole < len(part):
                        self._struck += 1
                        connection.cut()
                        return
            await self._until_it_may_pass(connection)
            writer.write_eof()
            return
        connection.cut()

    def _parts(self, data: bytes) -> list[bytes]:
        half = len(data) // 2
        return [data[:half], data[half:]] if self._delay and half else [data]

    async def _until_it_may_pass(self, connection: _Connection) -> None:
        if self._delay:
            await asyncio.sleep(self._delay)
        while self._is_held and not connection.is_lost:
            await asyncio.sleep(0.02)
        if connection.is_lost:
            await asyncio.get_running_loop().create_future()  # until the proxy is reset

    @staticmethod
    def _allowed(connection: _Connection, part: bytes, *, is_reply: bool) -> int:
        """How many of these bytes may pass; fewer than all: the connection is cut behind them."""
        left = connection.replies if is_reply else connection.requests
        if left is None:
            return len(part)
        if left >= len(part):
            if is_reply:
                connection.replies = left - len(part)
            else:
                connection.requests = left - len(part)
            return len(part)
        return left
