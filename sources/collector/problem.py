"""A request that cannot be answered as it was meant: RFC 9457's application/problem+json."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from msgspec import Struct

MEDIA_TYPE = b"application/problem+json"


class _Details(Struct):
    type: str
    title: str
    status: int
    detail: str


class Problem(Exception):
    """Raised by whoever finds that a request cannot be answered."""

    def __init__(self, status: int, detail: str, headers: Mapping[bytes, bytes] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        """As it goes out."""
        return msgspec.json.encode(_Details("about:blank", HTTPStatus(self.status).phrase, self.status, str(self)))


def too_many(seconds: float, what: str) -> Problem:
    """429, with when to come again."""
    return Problem(429, what, retry_after(seconds))


def away(seconds: float, what: str) -> Problem:
    """503, with when to come again."""
    return Problem(503, what, retry_after(seconds))


def retry_after(seconds: float) -> dict[bytes, bytes]:
    """The header, in whole seconds, one at least."""
    return {b"retry-after": str(max(1, int(seconds + 0.999))).encode()}
