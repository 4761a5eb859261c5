"""Errors as RFC 9457 tells them: application/problem+json, for whatever goes wrong and wherever."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from msgspec import Struct
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Route

from sinks.errors import StoreAway, StoreError

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"


class FieldError(Struct, frozen=True, kw_only=True):
    """One value that was not as expected, and where it stood: `query.limit`, `path.brand`, `body.user`."""

    where: str
    expected: str


class ProblemDetails(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong. `type` is about:blank: `status` and `title` say it all, `detail` what to do."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = None


class Problem(Exception):
    """Raised by whoever finds that a request cannot be answered."""

    def __init__(
        self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, errors: list[FieldError] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.errors = errors

    def response(self) -> Response:
        """As it goes out."""
        title = HTTPStatus(self.status).phrase
        details = ProblemDetails(type="about:blank", title=title, status=self.status, detail=self.detail, errors=self.errors)
        return Response(msgspec.json.encode(details), self.status, {**self.headers, "Cache-Control": "no-store"}, MEDIA_TYPE)


def too_many(seconds: float, what: str) -> Problem:
    """429, with when to come again."""
    wait = max(1, int(seconds + 0.999))
    return Problem(429, f"{what}: try again in {wait} s", headers={"Retry-After": str(wait)})


def handle_problems(app: FastAPI) -> None:
    """Make the application answer every error as a problem."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(StoreAway, _away)
    app.add_exception_handler(RedisError, _away)
    app.add_exception_handler(StoreError, _unexpected)
    app.add_exception_handler(Exception, _unexpected)


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response()


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [FieldError(where=".".join(str(part) for part in item["loc"]), expected=item["msg"]) for item in error.errors()]
    return Problem(422, "; ".join(f"{one.where}: {one.expected}" for one in found), errors=found).response()


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said = {404: f"there is nothing at {request.url.path}", 405: f"{request.method} is not among what {request.url.path} does"}
    headers = {"Allow": _allowed(request)} if error.status_code == 405 else error.headers
    return Problem(error.status_code, said.get(error.status_code, str(error.detail)), headers=headers).response()


def _allowed(request: Request) -> str:
    """What the path does do: a path with several methods is several routes."""
    methods: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            methods |= route.methods or set()
    return ", ".join(sorted(methods))


async def _away(_: Request, error: Exception) -> Response:
    """Whoever asks is not told where the server is, nor what it said; the log is."""
    log.warning("a server does not answer", error=str(error).splitlines()[0][:300] if str(error) else type(error).__name__)
    where = "ClickHouse" if isinstance(error, StoreAway) else "Redis"
    return Problem(503, f"{where} does not answer in time: try again, or ask for a shorter period", headers={"Retry-After": "2"}).response()


async def _unexpected(request: Request, error: Exception) -> Response:
    log.error("a request failed", path=request.url.path, error=repr(error)[:500], exc_info=error)
    return Problem(500, "something went wrong here; the log of the war room says what").response()
