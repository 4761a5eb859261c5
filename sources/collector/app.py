"""The collector as an ASGI application: routes, bodies within their bounds, answers.

It is no framework's: of an empty request on uvicorn plain ASGI took 20 to 24 microseconds of a core, with Starlette's routes 35 to 38, and
there is little here that they would do.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from sources.collector.access import Headers, SeenSignatures, check_signature, source_by_token, unknown
from sources.collector.body import JSON, LINES, gunzipped, records_of
from sources.collector.callbacks import actions_of, clicked, echoed, forwarded_by, order_of, told_as_problem, wecom_told
from sources.collector.collector import Collector
from sources.collector.delivery import Delivery
from sources.collector.problem import MEDIA_TYPE, Problem, retry_after
from sources.collector.results import answer
from sources.collector.sources_file import Source, SourcesFile
from sources.collector.tally import Tally
from sources.mappings.mapped import Mapped

log = structlog.get_logger(__name__)

_TRACE = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_LOOK_SECONDS = 1.0
_AGAIN, _AGAIN_SECONDS = 503, 2.0
_CLOSE = {b"connection": b"close"}
PREFIX = "/v1/"


@dataclass(slots=True)
class Request:
    """A request whose body has not been read. `source` is the one its path names, None if it names none."""

    endpoint: str
    method: str
    source: str | None
    headers: Headers
    query: bytes
    receive: Receive


@dataclass(slots=True)
class Answer:
    """What is sent back."""

    status: int
    body: bytes
    media_type: bytes = b"application/json"
    headers: dict[bytes, bytes] | None = None


Handler = Callable[[Request], Awaitable[Answer]]


class App:
    """The application. It opens the delivery with its lifespan, and looks at the file of sources every second."""

    def __init__(self, collector: Collector, delivery: Delivery, sources: SourcesFile, tally: Tally) -> None:
        self._collector = collector
        self._delivery = delivery
        self._sources = sources
        self._tally = tally
        self._seen = SeenSignatures()
        self._handlers: dict[str, dict[str, Handler]] = {
            "touchpoints": {"POST": self._touchpoints},
            "orders": {"POST": self._orders},
            "tencent-ads": {"GET": self._clicked, "POST": self._actions},
            "wecom": {"GET": self._wecom_asks, "POST": self._wecom_tells},
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._delivery.open()
        watching = asyncio.create_task(self._watch())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await self._delivery.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self._sources.look()
            self._collector.tell()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.monotonic()
        endpoint = "none"
        try:
            endpoint, handler, request = self._find(scope, receive)
            found = await handler(request)
        except Problem as problem:
            found = _told(problem)
        except Exception as error:
            log.exception("a request failed", endpoint=endpoint, error=repr(error)[:500])
            found = _told(Problem(500, "something went wrong here; the log of the collector says what"))
        self._tally.request(endpoint, found.status, time.monotonic() - began)
        headers = [
            (b"content-type", found.media_type),
            (b"content-length", str(len(found.body)).encode()),
            (b"cache-control", b"no-store"),
            *(found.headers or {}).items(),
        ]
        await send({"type": "http.response.start", "status": found.status, "headers": headers})
        await send({"type": "http.response.body", "body": found.body})

    def _find(self, scope: Scope, receive: Receive) -> tuple[str, Handler, Request]:
        path = scope["path"]
        endpoint, _, source = path.removeprefix(PREFIX).partition("/") if path.startswith(PREFIX) else ("", "", "")
        methods = self._handlers.get(endpoint)
        if methods is None or "/" in source:
            raise Problem(404, f"expected one of {', '.join(PREFIX + name for name in self._handlers)}")
        handler = methods.get(scope["method"])
        if handler is None:
            allowed = ", ".join(methods)
            raise Problem(405, f"expected {allowed}", {b"allow": allowed.encode()})
        request = Request(endpoint, scope["method"], source or None, dict(scope["headers"]), scope["query_string"], receive)
        return endpoint, handler, request

    async def _touchpoints(self, request: Request) -> Answer:
        """POST: touchpoints in the form of the contract, one, an array, or one a line."""
        return await self._collect(request, lambda _, body: Mapped(records_of(body, _content_type(request.headers))))

    async def _orders(self, request: Request) -> Answer:
        """POST: an order that was paid or refunded."""
        return await self._collect(request, order_of)

    async def _actions(self, request: Request) -> Answer:
        """POST: actions as they are reported to Tencent Ads."""
        return await self._collect(request, actions_of)

    async def _clicked(self, request: Request) -> Answer:
        """GET: a click or an impression that Tencent Ads forwards. It signs nothing: the token is part of the link."""
        source, parameters = clicked(self._sources, request.source, request.query)
        return await self._take(source, request, forwarded_by(source, parameters))

    async def _wecom_asks(self, request: Request) -> Answer:
        """GET: WeCom sees whether this is where its callbacks belong."""
        return Answer(200, echoed(self._wecom_source(request), request.query), b"text/plain; charset=utf-8")

    async def _wecom_tells(self, request: Request) -> Answer:
        """POST: a callback. WeCom sends it again unless it is answered by 200, so that what will never be taken is, too; it is counted."""
        source = self._wecom_source(request)
        body = await self._read(request)
        try:
            found = await self._take(source, request, wecom_told(source, request.query, body))
        finally:
            self._collector.hold(-len(body))
        return found if found.status == _AGAIN else Answer(200, b"", b"text/plain; charset=utf-8")

    async def _collect(self, request: Request, make: Callable[[Source, bytes], Mapped]) -> Answer:
        """Takes what `make` finds in the body of a source. Raises Problem."""
        headers = request.headers
        is_packed = _is_packed(headers)
        source = source_by_token(self._sources, headers, request.source) or self._signer(request)
        body = await self._read(request)
        try:
            if not source.keys:
                return await self._take_body(source, request, make, body, is_packed)
            now = time.time()
            with self._once(check_signature(source, headers, body, now), now) as taken:  # of the body as it was sent
                found = await self._take_body(source, request, make, body, is_packed)
                taken.append(found.status != _AGAIN)
                return found
        finally:
            self._collector.hold(-len(body))

    async def _take_body(
        self, source: Source, request: Request, make: Callable[[Source, bytes], Mapped], body: bytes, is_packed: bool
    ) -> Answer:
        if not is_packed:
            return await self._take(source, request, _made(make, source, body))
        plain = _unpacked(body, self._collector.bounds.body)
        self._collector.hold(len(plain))
        try:
            return await self._take(source, request, _made(make, source, plain))
        finally:
            self._collector.hold(-len(plain))

    async def _take(self, source: Source, request: Request, told: Mapped) -> Answer:
        self._collector.pass_over(source, len(told.unmapped))
        results = await self._collector.take(source, told.touchpoints, _trace(request.headers)) if told.touchpoints else []
        status, body = answer(results, told.unmapped)
        return Answer(status, body, headers=retry_after(_AGAIN_SECONDS) if status == _AGAIN else None)

    @contextmanager
    def _once(self, request: bytes, now: float) -> Iterator[list[bool]]:
        """Lets a signed request in once, unless the list that is given says that it was not taken: it may come again as it is."""
        self._seen.add(request, now)
        taken: list[bool] = []
        try:
            yield taken
        finally:
            if not any(taken):
                self._seen.remove(request)

    def _signer(self, request: Request) -> Source:
        """The source whose signature has to be on the body."""
        found = None if request.source is None else self._sources.named(request.source)
        if found is None or not found.keys:
            raise unknown()
        return found

    def _wecom_source(self, request: Request) -> Source:
        found = None if request.source is None else self._sources.named(request.source)
        if found is None or found.crypt is None:
            raise unknown()
        return found

    async def _read(self, request: Request) -> bytes:
        """The body, whose bytes are held from now on. Raises Problem."""
        most = self._collector.bounds.body
        told = request.headers.get(b"content-length", b"")
        if told.isdigit() and int(told[:20]) > most:
            raise _too_large(most)
        body = bytearray()
        whole = False
        try:
            async with asyncio.timeout(self._collector.bounds.read_seconds):
                while True:
                    message = await request.receive()
                    if message["type"] == "http.disconnect":
                        raise Problem(400, "expected the whole body, found the connection closed")
                    part = message.get("body", b"")
                    if len(body) + len(part) > most:
                        raise _too_large(most)
                    self._collector.hold(len(part))
                    body += part
                    if not message.get("more_body"):
                        whole = True
                        return bytes(body)
        except TimeoutError:
            raise Problem(408, f"expected the whole body within {self._collector.bounds.read_seconds:g} s", _CLOSE) from None
        finally:
            if not whole:
                self._collector.hold(-len(body))


def _made(make: Callable[[Source, bytes], Mapped], source: Source, body: bytes) -> Mapped:
    with told_as_problem():
        return make(source, body)


def _is_packed(headers: Headers) -> bool:
    found = headers.get(b"content-encoding", b"identity").strip().lower()
    if found not in (b"identity", b"gzip", b"x-gzip"):
        raise Problem(415, f"expected gzip or no content-encoding, found {found.decode('latin-1')!r}", {b"accept-encoding": b"gzip"})
    return found != b"identity"


def _unpacked(body: bytes, most: int) -> bytes:
    with told_as_problem():
        return gunzipped(body, most)


def _content_type(headers: Headers) -> str:
    found = headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")
    if found != JSON and found not in LINES:
        raise Problem(415, f"expected {JSON}, or of JSON lines {', '.join(sorted(LINES))}, found {found!r}")
    return found


def _trace(headers: Headers) -> bytes | None:
    found = headers.get(b"traceparent")
    return found if found is not None and _TRACE.fullmatch(found) else None


def _too_large(most: int) -> Problem:
    return Problem(413, f"expected a body of at most {most} bytes", _CLOSE)


def _told(problem: Problem) -> Answer:
    return Answer(problem.status, problem.body(), MEDIA_TYPE, problem.headers)


def with_cors(app: ASGIApp, origins: list[str]) -> ASGIApp:
    """Lets pages of these origins post: browsers ask before they do."""
    from starlette.middleware.cors import CORSMiddleware

    allowed = ["authorization", "content-encoding", "content-type", "traceparent"]
    return CORSMiddleware(app, allow_origins=origins, allow_methods=["POST"], allow_headers=allowed)
