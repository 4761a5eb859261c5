"""What a body may be: JSON of a struct, in which 3.0 is an integer."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from fastapi import Request

from warroom.web.body import read_body
from warroom.web.problems import Problem


class Asked(msgspec.Struct):
    """What the tests ask for."""

    count: int
    shares: list[float]


async def read(text: bytes) -> Asked:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": text, "more_body": False}

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", b"application/json")]}
    return await read_body(Request(scope, receive), Asked, 1_000)


async def test_a_whole_number_may_be_written_as_any_number() -> None:
    assert await read(b'{"count": 3.0, "shares": [1, 2.0, 0.5]}') == Asked(3, [1.0, 2.0, 0.5])
    assert await read(b'{"count": 3e2, "shares": []}') == Asked(300, [])


@pytest.mark.parametrize(
    "text", [b'{"count": 3.5, "shares": []}', b'{"count": "3.0", "shares": []}', b'{"count": 1e300, "shares": []}', b"[1.0"]
)
async def test_what_is_none_is_refused(text: bytes) -> None:
    with pytest.raises(Problem) as refused:
        await read(text)
    assert refused.value.status == 422
