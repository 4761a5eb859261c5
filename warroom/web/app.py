"""The application: routes out of the table of endpoints, errors as problems, security headers, one room for all requests."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from fastapi import FastAPI
from starlette.responses import Response

from schemas.ladder import Ladder
from warroom.web.call import answer
from warroom.web.endpoints import ENDPOINTS, Endpoint
from warroom.web.headers import SecurityHeaders
from warroom.web.openapi import document, responses_of
from warroom.web.problems import handle_problems
from warroom.web.room import Room, RoomConfig
from warroom.web.screen import serve_screen


def make_app(config: RoomConfig, ladder: Ladder) -> FastAPI:
    """The war room's application. Raises ValueError for an address that is open to others and has no accounts."""
    room = Room(config, ladder)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        room.open()
        yield
        await room.close()

    app = FastAPI(lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.room = room
    app.state.roles = {endpoint.name: endpoint.role for endpoint in ENDPOINTS}
    handle_problems(app)
    app.add_middleware(SecurityHeaders)
    for endpoint in ENDPOINTS:
        app.add_api_route(
            endpoint.path,
            _answering(endpoint),
            methods=[endpoint.method],
            name=endpoint.name,
            operation_id=endpoint.name,
            tags=[endpoint.tag],
            summary=endpoint.summary,
            description=inspect.getdoc(endpoint.handler),
            status_code=endpoint.status,
            response_model=None,
            response_class=Response,
            responses=responses_of(endpoint),
        )
    serve_screen(app)
    told = document(app)
    app.state.openapi = msgspec.json.encode(told)
    app.openapi = lambda: told  # type: ignore[method-assign]
    return app


def _answering(endpoint: Endpoint) -> Callable[..., Any]:
    """The handler, with what is the same for all: the brand must be there and theirs, and the answer is JSON with an ETag."""

    @functools.wraps(endpoint.handler)
    async def answering(**given: Any) -> Response:
        call = given["call"]
        if "brand" in given:
            await call.room.expect_brand(call.principal, given["brand"])
        found = await endpoint.handler(**given)
        return found if isinstance(found, Response) else answer(call.request, found)

    return answering
