"""The audit log: every login, change and export, a JSON line each, appended and never rewritten."""

from __future__ import annotations

import os
import threading
from collections import deque
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from schemas.times import to_rfc3339

_KEPT = 1_000


class AuditEntry(Struct, frozen=True, kw_only=True):
    """One thing that somebody did or tried: `action` on `target`, from `address`, and how it came out."""

    at: str
    who: str
    role: str
    address: str
    action: str
    target: str
    outcome: Literal["done", "refused", "failed"]
    detail: str = ""


class AuditLog:
    """Appends to a file, if there is one, each line on the disk before it returns. Safe for several threads."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._latest: deque[AuditEntry] = deque(self._read(), maxlen=_KEPT)
        self._start = b"" if self._is_whole() else b"\n"

    def write(
        self,
        now: int,
        *,
        who: str,
        role: str,
        address: str,
        action: str,
        target: str,
        outcome: Literal["done", "refused", "failed"],
        detail: str = "",
    ) -> AuditEntry:
        """Put it on record, and give it back. Raises OSError if the file cannot be written: what cannot be told must not be done."""
        entry = AuditEntry(
            at=to_rfc3339(now), who=who, role=role, address=address, action=action, target=target, outcome=outcome, detail=detail
        )
        with self._lock:
            if self._path is not None:
                handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
                try:
                    os.write(handle, self._start + msgspec.json.encode(entry) + b"\n")
                    os.fsync(handle)
                finally:
                    os.close(handle)
                self._start = b""
            self._latest.append(entry)
        return entry

    def latest(self, limit: int) -> list[AuditEntry]:
        """The latest entries, newest first; a thousand at most."""
        with self._lock:
            return list(self._latest)[::-1][:limit]

    def _is_whole(self) -> bool:
        """Whether the last line is ended, so that the next one begins a line."""
        if self._path is None or not self._path.exists() or not self._path.stat().st_size:
            return True
        with self._path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"

    def _read(self) -> list[AuditEntry]:
        """What the file holds at its end; a line cut off by a crash is left out."""
        if self._path is None or not self._path.exists():
            return []
        found: list[AuditEntry] = []
        with self._path.open("rb") as file:
            for line in deque(file, maxlen=_KEPT):
                try:
                    found.append(msgspec.json.decode(line, type=AuditEntry))
                except msgspec.MsgspecError:
                    continue
        return found
