"""What is sent: JSON of a struct, small, checked whole."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from fastapi import Request

from warroom.web.problems import Problem

T = TypeVar("T")


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
        return msgspec.json.decode(bytes(body), type=of)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400 if isinstance(error.__cause__, ValueError) else 422, f"body: {error}") from None
