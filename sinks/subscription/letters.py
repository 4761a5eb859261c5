"""What a webhook did not take: a file of JSON lines, each on the disk before its transition counts as done."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from schemas.subscriber import Received
from schemas.times import to_rfc3339


class Letter(Struct, frozen=True, kw_only=True):
    """One line: when it was given up, after how many requests, why, and the transition as it would have been told. After a crash a
    transition may lie there twice, by its `id`."""

    at: str
    requests: int
    why: str
    transition: Received


class DeadLetters:
    """Appends to a file. A line that a crash has cut short is completed as a line of its own. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab+")
        if self._file.tell():
            self._file.seek(-1, os.SEEK_END)
            if self._file.read(1) != b"\n":
                self._file.write(b"\n")

    def add(self, one: Received, requests: int, why: str) -> None:
        """Writes a transition down, for good."""
        at = to_rfc3339(time.time_ns() // 1_000_000)
        self._file.write(msgspec.json.encode(Letter(at=at, requests=requests, why=why, transition=one)) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
