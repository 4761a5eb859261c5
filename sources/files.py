"""Files as streams of bytes, decompressed by what their name ends in."""

from __future__ import annotations

import bz2
import gzip
import importlib
import lzma
from pathlib import Path
from typing import Any, BinaryIO, cast

from sources.errors import UnreadableSource

DAMAGED = (EOFError, OSError, lzma.LZMAError, ValueError)
"""What reading a truncated or corrupt file raises, whichever compression it has (zlib's error aside, see `damaged`)."""


def open_bytes(path: Path) -> BinaryIO:
    """The bytes of `path`, decompressed if it ends in .gz, .xz, .bz2 or .zst. Raises UnreadableSource."""
    try:
        match path.suffix:
            case ".gz":
                return cast(BinaryIO, gzip.open(path, "rb"))
            case ".xz":
                return cast(BinaryIO, lzma.open(path, "rb"))
            case ".bz2":
                return cast(BinaryIO, bz2.open(path, "rb"))
            case ".zst":
                return cast(BinaryIO, _zstd(path).open(path, "rb"))
            case _:
                return path.open("rb")
    except OSError as error:
        raise UnreadableSource(f"expected a readable file, found {str(path)!r}: {error}") from None


def _zstd(path: Path) -> Any:
    """The standard library's module of Python 3.14, or its backport."""
    for module in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(module)
        except ImportError:
            continue
    raise UnreadableSource(f"reading {str(path)!r} needs Python 3.14 or the package backports.zstd; or recompress it as .gz or .xz")
