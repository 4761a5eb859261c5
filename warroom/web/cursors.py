"""Cursors: where the next page begins, as the client hands it back. Opaque, checked, and good for one endpoint alone."""

from __future__ import annotations

import base64
import binascii
from typing import Any, TypeVar

import msgspec

from warroom.web.problems import FieldError, Problem

T = TypeVar("T")


def encode_cursor(kind: str, *place: Any) -> str:
    """A cursor of an endpoint."""
    return base64.urlsafe_b64encode(msgspec.json.encode([kind, *place])).rstrip(b"=").decode()


def decode_cursor(kind: str, cursor: str | None, place: type[T]) -> T | None:
    """The place a cursor leads to, of the tuple type `place`; None without one. Raises Problem 400."""
    if cursor is None:
        return None
    try:
        found = msgspec.json.decode(base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
        if not isinstance(found, list) or found[:1] != [kind]:
            raise ValueError
        return msgspec.convert(found[1:], place)
    except (ValueError, binascii.Error, msgspec.MsgspecError, RecursionError):
        expected = "expected a cursor as `next` of a page of this list gave it"
        raise Problem(400, f"query.cursor: {expected}", errors=[FieldError(where="query.cursor", expected=expected)]) from None
