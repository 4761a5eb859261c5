"""From the body of a request to its records, byte for byte as they were sent."""

from __future__ import annotations

import zlib

import msgspec

_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_BLANK = b" \t\r\n"
LINES = frozenset({"application/x-ndjson", "application/jsonl", "application/jsonlines", "application/x-jsonlines"})
"""Content types of JSON lines."""
JSON = "application/json"
_GZIP = 16 + zlib.MAX_WBITS
"""zlib's number for gzip's frame."""


class BodyError(ValueError):
    """A body that cannot be taken apart."""


class BodyTooLarge(BodyError):
    """A body of which more is unpacked than is allowed."""


def gunzipped(body: bytes, most: int) -> bytes:
    """What was packed with gzip (RFC 1952, one member). At most `most` bytes are unpacked: beyond that BodyTooLarge is raised, BodyError
    where it is not gzip, not whole, or more than that."""
    member = zlib.decompressobj(wbits=_GZIP)
    try:
        found = member.decompress(body, most + 1)
    except zlib.error as error:
        raise BodyError(f"expected gzip: {error}") from None
    if len(found) > most:
        raise BodyTooLarge(f"expected a body of at most {most} bytes, also when it is unpacked")
    if not member.eof or member.unused_data:
        raise BodyError(f"expected gzip from beginning to end, found {'more behind it' if member.eof else 'its beginning alone'}")
    return found


def records_of(body: bytes, content_type: str) -> list[bytes]:
    """The records of a body: of JSON lines each line, of a JSON array each element, else the body as one. Raises BodyError.

    A line that is broken is a record that is broken; an array that is broken has no elements that could be told apart.
    """
    if content_type in LINES:
        found = [line for line in body.split(b"\n") if line and not line.isspace()]
    elif body.lstrip(_BLANK)[:1] == b"[":
        found = _elements(body)
    else:
        found = [body.strip(_BLANK)] if body and not body.isspace() else []
    if not found:
        raise BodyError("expected a touchpoint, a JSON array of them, or one a line, found none")
    return found


def _elements(body: bytes) -> list[bytes]:
    try:
        return [bytes(element) for element in _array(body)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BodyError(f"expected a JSON array in UTF-8: {error}") from None
