"""What a mapping makes of a payload."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from msgspec import Struct

_encode = msgspec.json.Encoder().encode


class MappingError(ValueError):
    """A payload that is not what its system documents; the message says what was expected."""


class Owner(Struct, frozen=True):
    """Whose touchpoints they become. `channel` is what is not told by the payload itself, if anything is known of it."""

    brand: str
    channel: str | None = None


class Mapped(Struct, frozen=True):
    """`touchpoints` as JSON, to be judged like any other. `unmapped` names what was told and is no touchpoint, or of nobody known."""

    touchpoints: list[bytes]
    unmapped: list[str] = []


def touchpoint(owner: Owner, system: str, identity: tuple[object, ...], **fields: Any) -> bytes:
    """A touchpoint of `owner`. What is told again has the same `identity`, and so the same event id. Raises MappingError."""
    known = {name: value for name, value in fields.items() if value is not None}
    head = {"event_id": event_id(system, *identity), "brand": owner.brand}
    try:
        return _encode(head | ({} if owner.channel is None else {"channel": owner.channel}) | known)
    except OverflowError:
        raise MappingError("expected numbers of at most 64 bits") from None


def event_id(system: str, *identity: object) -> str:
    """The id of what a system tells of with this identity."""
    told = msgspec.json.encode([str(part) for part in identity])
    return f"{system}:{hashlib.sha256(told).hexdigest()[:32]}"


def short(text: str | None) -> str | None:
    """A label as the contract takes it: none where it is empty, its first 128 characters where it is longer."""
    return text[:128] if text else None
