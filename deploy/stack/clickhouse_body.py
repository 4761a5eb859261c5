"""The bytes of a request as the embedded ClickHouse endpoint gets them: compressed, or as a form."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Iterable, Iterator
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from deploy.stack.clickhouse_errors import Code, QueryError

_PIECE = 1 << 20
"""Pieces are at most about this large: memory stays flat, and no copy holds up other threads for long."""


def decoded(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """The body in plain, piece by piece, as `Content-Encoding` says it was compressed. Frames may follow one another.

    Raises QueryError for an encoding that is not known or not installed, and for a broken or cut off body.
    """
    if encoding in ("", "identity"):
        return iter(chunks)
    return _decompress(chunks, _decompressor(encoding), encoding)


def _decompressor(encoding: str) -> Callable[[], Any]:
    """What makes a decompressor of one frame, with the interface of the standard library's."""
    match encoding:
        case "gzip" | "x-gzip":
            return lambda: _Zlib(31)
        case "deflate":
            return lambda: _Zlib(15)
        case "lz4":
            return _imported(encoding, "LZ4FrameDecompressor", "lz4.frame")
        case "zstd":
            return _imported(encoding, "ZstdDecompressor", "compression.zstd", "backports.zstd")
        case _:
            raise QueryError(Code.NOT_IMPLEMENTED, f"Content-Encoding {encoding} is not known here: send gzip, deflate, lz4, zstd or none")


def _imported(encoding: str, name: str, *modules: str) -> Callable[[], Any]:
    for module in modules:
        try:
            return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]
        except ImportError:
            continue
    raise QueryError(
        Code.NOT_IMPLEMENTED, f"Content-Encoding {encoding} needs {modules[-1]}, which is not installed: send the body without"
    )


class _Zlib:
    """zlib behind the interface that lz4's and zstd's decompressors share."""

    def __init__(self, wbits: int) -> None:
        self._zlib = zlib.decompressobj(wbits)
        self.needs_input = True

    def decompress(self, data: bytes, max_length: int) -> bytes:
        plain = self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
        self.needs_input = not self._zlib.unconsumed_tail and len(plain) < max_length
        return plain

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data


def _decompress(chunks: Iterable[bytes], new_frame: Callable[[], Any], encoding: str) -> Iterator[bytes]:
    frame: Any = None
    for chunk in chunks:
        data = chunk
        while True:
            if frame is None:
                if not data:
                    break
                frame = new_frame()
            try:
                piece = frame.decompress(data, _PIECE)
            except Exception as error:
                raise QueryError(Code.CANNOT_DECOMPRESS, f"The body is no {encoding}: {error}") from error
            if piece:
                yield piece
            data = b""
            if frame.eof:
                data, frame = frame.unused_data or b"", None
            elif frame.needs_input:
                break
    if frame is not None:
        raise QueryError(Code.CANNOT_DECOMPRESS, f"The body ends within its {encoding} frame")


def form_fields(body: bytes, content_type: str) -> dict[str, str]:
    """The fields of a multipart form, which is how clickhouse-connect sends a statement with many or long parameters.

    Raises QueryError for files in it (external tables).
    """
    message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n" + body)
    fields: dict[str, str] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        if part.get_filename() is not None or not isinstance(name, str):
            raise QueryError(Code.NOT_IMPLEMENTED, "External tables are beyond the embedded endpoint: insert the rows into a table first")
        content = part.get_payload(decode=True)
        fields[name] = content.decode() if isinstance(content, bytes) else ""
    return fields
