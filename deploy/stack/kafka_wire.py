"""As much of Kafka's wire protocol as the group coordinator speaks: frames, and the types of its classic (not flexible) versions."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

_LENGTH = struct.Struct(">i")
_HEADER = struct.Struct(">hhi")
_LONGEST = 64 * 1024 * 1024

T = TypeVar("T")


class WireError(Exception):
    """The bytes are not what the protocol says."""


@dataclass(frozen=True, slots=True)
class Request:
    """A frame from a client; `frame` is the whole of it without its length, `body` what follows the header."""

    frame: bytes
    api: int
    version: int
    correlation: int
    client: str
    body: Decoder


async def read_frame(stream: asyncio.StreamReader) -> bytes | None:
    """The next frame without its length; None when the peer has closed."""
    try:
        (length,) = _LENGTH.unpack(await stream.readexactly(4))
        if not 0 <= length <= _LONGEST:
            raise WireError(f"a frame of {length} bytes")
        return await stream.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def framed(frame: bytes) -> bytes:
    """The frame with its length."""
    return _LENGTH.pack(len(frame)) + frame


def parse_request(frame: bytes) -> Request:
    """Take the header off a frame. The body of a flexible version is not to be read: its header has more fields."""
    if len(frame) < _HEADER.size:
        raise WireError(f"a request of {len(frame)} bytes")
    api, version, correlation = _HEADER.unpack_from(frame)
    body = Decoder(frame, _HEADER.size)
    return Request(frame, api, version, correlation, body.string() or "", body)


class Decoder:
    """Reads the types in the order they were written. Raises WireError where the bytes end early."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self._at = at

    def int16(self) -> int:
        return int.from_bytes(self._take(2), "big", signed=True)

    def int32(self) -> int:
        return int.from_bytes(self._take(4), "big", signed=True)

    def int64(self) -> int:
        return int.from_bytes(self._take(8), "big", signed=True)

    def string(self) -> str | None:
        length = self.int16()
        return None if length < 0 else self._take(length).decode()

    def text(self) -> str:
        """A string that must be there."""
        value = self.string()
        if value is None:
            raise WireError("null where a string is required")
        return value

    def blob(self) -> bytes:
        """Bytes; null reads as none."""
        return self._take(max(self.int32(), 0))

    def array(self, item: Callable[[], T]) -> list[T] | None:
        count = self.int32()
        return None if count < 0 else [item() for _ in range(count)]

    def items(self, item: Callable[[], T]) -> list[T]:
        """An array; null reads as empty."""
        return self.array(item) or []

    def _take(self, length: int) -> bytes:
        end = self._at + length
        if end > len(self._data):
            raise WireError(f"{length} bytes expected at {self._at}, the frame has {len(self._data)}")
        taken = self._data[self._at : end]
        self._at = end
        return taken


class Encoder:
    """Writes the types one after the other; each method returns the encoder."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def int16(self, value: int) -> Encoder:
        return self._put(value.to_bytes(2, "big", signed=True))

    def int32(self, value: int) -> Encoder:
        return self._put(value.to_bytes(4, "big", signed=True))

    def int64(self, value: int) -> Encoder:
        return self._put(value.to_bytes(8, "big", signed=True))

    def string(self, value: str) -> Encoder:
        raw = value.encode()
        return self.int16(len(raw))._put(raw)

    def blob(self, value: bytes) -> Encoder:
        return self.int32(len(value))._put(value)

    def array(self, values: Iterable[T], item: Callable[[T], object]) -> Encoder:
        """An array; `item` writes one value to this encoder."""
        written = list(values)
        self.int32(len(written))
        for value in written:
            item(value)
        return self

    def done(self) -> bytes:
        return b"".join(self._parts)

    def _put(self, raw: bytes) -> Encoder:
        self._parts.append(raw)
        return self
