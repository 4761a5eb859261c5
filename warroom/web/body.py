"""What is sent: JSON of a struct, small, checked whole."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from fastapi import Request

from warroom.web.problems import Problem

T = TypeVar("T")
_EXACT = 2**53
"""Up to here a double tells every integer."""


async def read_body(request: Request, of: type[T], most: int) -> T:
    """The body as a struct. Raises Problem 413, 415, 422, or 400 for what is well formed and contradicts itself; it names the place."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, "expected application/json")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise Problem(413, f"expected a body of {most} bytes at most")
    try:
        return _decoded(bytes(body), of)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400 if isinstance(error.__cause__, ValueError) else 422, f"body: {error}") from None


def _decoded(body: bytes, of: type[T]) -> T:
    """As msgspec has it, but that 3.0 is an integer too, as JSON Schema says (draft 2020-12, validation, section 6.1.1)."""
    try:
        return msgspec.json.decode(body, type=of)
    except msgspec.ValidationError:
        if b"." not in body and b"e" not in body.lower():
            raise
    return msgspec.convert(_whole(msgspec.json.decode(body)), of)


def _whole(value: Any) -> Any:
    match value:
        case float() if value.is_integer() and abs(value) <= _EXACT:
            return int(value)
        case list():
            return [_whole(one) for one in value]
        case dict():
            return {name: _whole(one) for name, one in value.items()}
    return value
