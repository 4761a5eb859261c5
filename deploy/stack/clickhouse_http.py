"""ClickHouse's HTTP interface over the embedded engine, as far as clickhouse-connect and curl use it.

Sessions are accepted and mean nothing: a temporary table, SET or USE ends with its request. Answers are never compressed: they
do not leave the machine.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import socket
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from deploy.stack.clickhouse_body import decoded, form_fields
from deploy.stack.clickhouse_engine import Call, Engine, Result
from deploy.stack.clickhouse_errors import Code, QueryError
from deploy.stack.clickhouse_statement import Statement, parse, refuse_second_statement

log = logging.getLogger("rflow.clickhouse")

_HEAD = 256 << 10
"""So much of a body is looked at for the head of an insert before the whole of it is put together."""
_SLICE = 256 << 10
_TRANSPORT = frozenset(
    {
        "query",
        "database",
        "default_format",
        "query_id",
        "session_id",
        "session_timeout",
        "session_check",
        "close_session",
        "user",
        "password",
        "quota_key",
        "role",
        "client_protocol_version",
        "stacktrace",
        "buffer_size",
        "wait_end_of_query",
        "compress",
        "decompress",
    }
)
"""Parameters that steer the request; every other one is a setting of the statement."""
_CONTENT_TYPES = {
    "CSV": "text/csv; charset=UTF-8",
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "Native": "application/octet-stream",
    "RowBinary": "application/octet-stream",
}
_PARAM = "param_"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})


@dataclass(frozen=True, slots=True)
class _Received:
    """A request whose body has arrived."""

    method: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    chunks: list[bytes]


def application(engine: Engine, threads: ThreadPoolExecutor, *, loopback: bool) -> Starlette:
    """The HTTP application; statements run in `threads`, so that `/ping` answers meanwhile.

    With `loopback` a request that a web page could have sent is refused: the engine asks nobody for a password.
    """

    async def ok(_: Request) -> Response:
        return PlainTextResponse("Ok.\n")

    async def statement(request: Request) -> Response:
        if loopback and (refusal := _stranger(request)):
            return PlainTextResponse(refusal + "\n", status_code=403)
        if request.method == "GET" and not request.query_params:
            return PlainTextResponse("Ok.\n")
        marker = uuid.uuid4().hex
        headers = {
            "X-ClickHouse-Query-Id": request.query_params.get("query_id") or marker,
            "X-ClickHouse-Server-Display-Name": socket.gethostname(),
            "X-ClickHouse-Timezone": engine.timezone,
        }
        try:
            chunks = [chunk async for chunk in request.stream() if chunk]
            received = _Received(request.method, request.query_params, request.headers, chunks)
            loop = asyncio.get_running_loop()
            call = await loop.run_in_executor(threads, _prepare, received, marker)
            working = loop.run_in_executor(threads, engine.execute, call)
            if call.statement.returns_rows:
                await _until_done_or_gone(request, working, engine, marker)
            return _answer(call, await working, headers)
        except ClientDisconnect:
            return Response(status_code=499)  # it left before the statement was whole: nothing ran
        except QueryError as error:
            log.info("%s", str(error).splitlines()[0][:500])
            headers["X-ClickHouse-Exception-Code"] = str(error.code)
            return PlainTextResponse(f"{error}\n", status_code=error.status, headers=headers)

    return Starlette(
        routes=[
            Route("/", statement, methods=["GET", "POST"]),
            Route("/ping", ok),
            Route("/replicas_status", ok),
        ]
    )


def _stranger(request: Request) -> str:
    """Why a request is not from a program of this machine; empty if it may be."""
    host = request.headers.get("host", "").lower()
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    if name not in _LOOPBACK:
        return f"Host {name} is not this machine's loopback"
    return "Requests from web pages are refused" if "origin" in request.headers else ""


async def _until_done_or_gone(request: Request, working: asyncio.Future[Result], engine: Engine, marker: str) -> None:
    """Return when the statement has ended. One that only reads is ended when its client has left."""

    async def watch() -> None:
        await request.receive()  # after the body only the client's leaving is left to come
        await asyncio.to_thread(engine.cancel, marker)

    watching = asyncio.create_task(watch())
    try:
        await asyncio.wait({working})
    finally:
        watching.cancel()


def _prepare(received: _Received, marker: str) -> Call:
    """Read the request. Takes time when there is much to decompress: in a thread."""
    query = dict(received.query)
    pieces = decoded(received.chunks, received.headers.get("content-encoding", "").lower())
    content_type = received.headers.get("content-type", "")
    if "query" not in query and content_type.startswith("multipart/form-data"):
        query.update(form_fields(b"".join(pieces), content_type))
        pieces = iter(())
    if "1" in (query.get("compress"), query.get("decompress")):
        raise QueryError(Code.NOT_IMPLEMENTED, "compress and decompress ask for ClickHouse's own blocks: use Content-Encoding")
    settings = {name: value for name, value in query.items() if name not in _TRANSPORT and not name.startswith(_PARAM)}
    if received.method == "GET":
        settings.setdefault("readonly", "2")  # as a server has it: a GET changes nothing
    params = {name.removeprefix(_PARAM): value for name, value in query.items() if name.startswith(_PARAM)}
    if in_url := query.get("query", "").encode():
        pieces = itertools.chain([in_url + b"\n"], pieces)
    statement, data = _split(pieces, bool(params))
    return Call(
        statement,
        marker,
        data,
        query.get("database") or received.headers.get("x-clickhouse-database") or "",
        settings,
        params,
        query.get("default_format") or received.headers.get("x-clickhouse-format") or "TabSeparated",
    )


def _split(pieces: Iterator[bytes], has_params: bool) -> tuple[Statement, Iterator[bytes]]:
    """The statement, and the data of an insert that are to be passed on as they come."""
    text = _take(pieces, _HEAD)
    statement = parse(text, whole=len(text) < _HEAD)
    if statement is None:
        text += b"".join(pieces)
        statement = parse(text)
    if statement.data_format == "Values" and has_params:  # the engine binds parameters in a text only, not in data
        text += b"".join(pieces)
        refuse_second_statement(text)
        return Statement("INSERT", text), iter(())
    if statement.data_format is not None:
        return statement, itertools.chain([text[statement.data_start :]], pieces)
    return statement, iter(())


def _take(pieces: Iterator[bytes], size: int) -> bytes:
    """At least `size` bytes from the front, or all there are."""
    taken = bytearray()
    while len(taken) < size and (piece := next(pieces, None)) is not None:
        taken += piece
    return bytes(taken)


def _answer(call: Call, result: Result, headers: dict[str, str]) -> Response:
    headers["X-ClickHouse-Summary"] = json.dumps(
        {
            "read_rows": str(result.read_rows),
            "read_bytes": str(result.read_bytes),
            "written_rows": str(result.written_rows),
            "written_bytes": str(result.written_bytes),
            "total_rows_to_read": "0",
            "result_rows": str(result.result_rows),
            "result_bytes": str(len(result.body)),
            "elapsed_ns": str(int(result.elapsed_seconds * 1e9)),
        }
    )
    headers["Content-Type"] = "text/plain; charset=UTF-8"
    if call.statement.returns_rows:
        output_format = call.statement.output_format or call.default_format
        headers["X-ClickHouse-Format"] = output_format
        headers["Content-Type"] = _CONTENT_TYPES.get(output_format, headers["Content-Type"])
    if len(result.body) <= _SLICE:
        return Response(bytes(result.body), headers=headers)
    headers["Content-Length"] = str(len(result.body))
    return StreamingResponse(_slices(result), headers=headers)


async def _slices(result: Result) -> AsyncIterator[bytes]:
    """The body in pieces: a copy of all of it at once would hold up everyone."""
    for start in range(0, len(result.body), _SLICE):
        yield bytes(result.body[start : start + _SLICE])
