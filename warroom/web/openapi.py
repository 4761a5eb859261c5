"""The OpenAPI document: FastAPI's, with the schemas and examples of the structs that are really sent."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from warroom.web.endpoints import ENDPOINTS, EVENTS, JSON, Endpoint
from warroom.web.examples import EXAMPLES
from warroom.web.problems import MEDIA_TYPE, ProblemDetails

VERSION = "1"
_REFERENCE = "#/components/schemas/{name}"
_ALWAYS = {400: "A value that is well formed and cannot be", 422: "A value that is not well formed", 429: "Too many requests"}
_ALWAYS |= {403: "Not for this role, or not from this page", 500: "Something went wrong here", 503: "A server does not answer, or too busy"}
_SAID = {401: "Not signed in", 404: "Nothing there", 413: "Too long a body", 415: "Another media type"}
_SAID |= {409: "It is there already", 412: "Somebody else changed it meanwhile", 428: "If-Match is missing"}

_DESCRIPTION = """\
Figures of the 5R crowd-asset ladder, live and for any period. Times in answers are epoch milliseconds, money is in minor units of the
brand's currency, rates are fractions. Errors are `application/problem+json` (RFC 9457). Lists give `next`, the `cursor` of the page after.
Reads carry an `ETag`; `If-None-Match` answers 304 where nothing has changed."""


def responses_of(endpoint: Endpoint) -> dict[int | str, dict[str, Any]]:
    """What an endpoint may answer."""
    said: dict[int | str, dict[str, Any]] = {endpoint.status: _good(endpoint)}
    if endpoint.method == "GET" and JSON in endpoint.produces:
        said[304] = {"description": "Nothing has changed since the ETag that was sent"}
    problems = dict(_ALWAYS)
    problems |= {status: _SAID[status] for status in endpoint.also}
    if endpoint.role is not None or endpoint.name == "sign_in":
        problems[401] = _SAID[401]
    if "{" in endpoint.path:
        problems[404] = _SAID[404]
    for status, text in sorted(problems.items()):
        said[status] = {"description": text, "content": {MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(name="ProblemDetails")}}}}
    return said


def document(app: FastAPI) -> dict[str, Any]:
    """The whole document."""
    found = get_openapi(title="rflow war room", version=VERSION, description=_DESCRIPTION, routes=app.routes)
    kinds = [of for endpoint in ENDPOINTS for of in (endpoint.returns, endpoint.body) if of is not None]
    _, components = msgspec.json.schema_components([*kinds, ProblemDetails], ref_template=_REFERENCE)
    schemas = found.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own errors, which are told otherwise here
        schemas.pop(name, None)
    schemas.update(components)
    found["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "rflow warroom token add makes one"},
        "session": {"type": "apiKey", "in": "cookie", "name": "rflow_session", "description": "set by signing in"},
    }
    for endpoint in ENDPOINTS:
        operation = found["paths"][endpoint.path][endpoint.method.lower()]
        if endpoint.role is not None:
            operation["security"] = [{"token": []}, {"session": []}]
            operation["x-role"] = endpoint.role.value
        if endpoint.body is not None:
            content = {"schema": _schema(endpoint.body), "example": EXAMPLES[endpoint.body]}
            operation["requestBody"] = {"required": True, "content": {JSON: content}}
    return found


def _good(endpoint: Endpoint) -> dict[str, Any]:
    if not endpoint.produces:
        return {"description": "Done"}
    return {"description": endpoint.summary, "content": {media: _content(endpoint, media) for media in endpoint.produces}}


def _content(endpoint: Endpoint, media: str) -> dict[str, Any]:
    if media == JSON:
        content: dict[str, Any] = {"schema": _schema(endpoint.returns)}
        if endpoint.returns in EXAMPLES:
            content["example"] = EXAMPLES[endpoint.returns]
        return content
    if media == EVENTS:
        return {"schema": {"type": "string", "description": f"data: {endpoint.returns.__name__} as JSON, a line an event"}}
    return {"schema": {"type": "string"}}


def _schema(of: Any) -> dict[str, Any]:
    """A schema by reference, so that every struct stands once in the document."""
    (schema,), _ = msgspec.json.schema_components([of], ref_template=_REFERENCE)
    return schema
