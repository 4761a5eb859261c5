"""JSONL files: one touchpoint a line, in the file's own order, byte for byte."""

from __future__ import annotations

import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from sources.errors import UnreadableSource
from sources.files import DAMAGED, open_bytes
from sources.source import Source

MAX_LINE_BYTES = 900_000
"""What is carried of one line. A touchpoint above 64 KiB is a dead letter in any case; Kafka takes 1 MB a message by default,
so of a longer line the first part goes out (and becomes that dead letter) and the rest is passed over and counted."""

CUT = "lines cut to 900,000 bytes"


def jsonl(name: str) -> Source:
    """The lines of the file `name`, which may end in .gz, .xz, .bz2 or .zst, or of standard input where it is `-`.

    Nothing is decoded or mended: what is broken goes out as it is, to become a dead letter. Only blank lines are skipped.
    Raises UnreadableSource, at once for a file that cannot be opened, while reading for one that is damaged.
    """
    stream = sys.stdin.buffer if name == "-" else open_bytes(Path(name))
    left_out: Counter[str] = Counter()
    return Source(name, read_lines(stream, name, left_out), left_out=left_out)


def read_lines(stream: BinaryIO, name: str, left_out: Counter[str]) -> Iterator[bytes]:
    """Every line of `stream` that is not blank, without its LF, at most MAX_LINE_BYTES of it. Closes the stream at its end."""
    number = 0
    try:
        with stream:
            while line := stream.readline(MAX_LINE_BYTES + 1):
                number += 1
                if line.endswith(b"\n"):
                    line = line[:-1]
                elif len(line) > MAX_LINE_BYTES:
                    line = line[:MAX_LINE_BYTES]
                    _pass_over_rest(stream)
                    left_out[CUT] += 1
                if line and not line.isspace():
                    yield line
    except (*DAMAGED, zlib.error) as error:
        raise UnreadableSource(f"{name}: expected more after line {number}, found: {error}") from None


def _pass_over_rest(stream: BinaryIO) -> None:
    while rest := stream.readline(MAX_LINE_BYTES):
        if rest.endswith(b"\n"):
            return
