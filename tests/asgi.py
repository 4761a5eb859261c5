"""Requests to an application in this process, as its server would hand them over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import orjson

from warroom.web.problems import ProblemDetails


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    cookies: list[str]

    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def detail(self) -> str:
        """Of a problem."""
        assert self.headers["content-type"] == "application/problem+json", self.headers
        told = self.json()
        assert set(told) <= set(ProblemDetails.__struct_fields__)
        assert told["status"] == self.status
        return str(told["detail"])


class Client:
    """Asks an application. `headers` go with every request."""

    def __init__(self, app: Any, host: str = "127.0.0.1:8600", address: str = "127.0.0.1", scheme: str = "http", **headers: str) -> None:
        self._app = app
        self._address = address
        self._scheme = scheme
        self.headers = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}

    async def get(self, target: str, **headers: str) -> Answer:
        return await self.ask("GET", target, headers=headers)

    async def ask(self, method: str, target: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """One request and its whole answer."""
        parts: list[bytes] = []
        start: dict[str, Any] = {}

        async def send(message: Any) -> None:
            start.update(message if message["type"] == "http.response.start" else {})
            parts.append(message.get("body", b""))

        content = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
        given = {"content-type": "application/json"} if body is not None else {}
        await self._app(self._scope(method, target, {**given, **(headers or {})}), self._receive(content, asyncio.Event()), send)
        return _answer(start, b"".join(parts))

    @asynccontextmanager
    async def stream(self, target: str, **headers: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """Server-sent events one by one; leaving it is closing the connection."""
        frames: asyncio.Queue[bytes] = asyncio.Queue()
        gone = asyncio.Event()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                assert message["status"] == 200, message
                assert dict(message["headers"])[b"content-type"].startswith(b"text/event-stream")
            elif message["body"]:
                await frames.put(message["body"])

        task = asyncio.create_task(self._app(self._scope("GET", target, headers), self._receive(b"", gone), send))

        async def events() -> AsyncIterator[bytes]:
            while True:
                getting = asyncio.ensure_future(frames.get())
                await asyncio.wait({getting, task}, return_when=asyncio.FIRST_COMPLETED)
                if not getting.done():
                    getting.cancel()
                    task.result()
                    return
                yield getting.result()

        try:
            yield events()
        finally:
            gone.set()
            await asyncio.wait_for(task, 10)

    def _scope(self, method: str, target: str, headers: dict[str, str]) -> dict[str, Any]:
        path, _, query = target.partition("?")
        named = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": self._scheme,
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in named.items()],
            "client": (self._address, 40_000),
            "server": ("127.0.0.1", 8600),
        }

    def _receive(self, body: bytes, gone: asyncio.Event) -> Callable[[], Any]:
        told = False

        async def receive() -> dict[str, Any]:
            nonlocal told
            if not told:
                told = True
                return {"type": "http.request", "body": body, "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        return receive


def _answer(start: dict[str, Any], body: bytes) -> Answer:
    pairs = [(name.decode(), value.decode()) for name, value in start["headers"]]
    return Answer(start["status"], dict(pairs), body, [value for name, value in pairs if name == "set-cookie"])
