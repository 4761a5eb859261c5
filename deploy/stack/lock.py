"""One supervisor to a data folder, by a lock that the kernel drops when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import IO

from deploy.stack.errors import DataFolderInUseError

_RETRY = 0.5
"""Seconds to try again: `is_held` takes the lock for an instant to see whether it can."""


class DataLock:
    """The lock of a data folder."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Take the lock. Raises DataFolderInUseError if another process has it. Blocks for half a second at most."""
        path = _path(self._data)
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
        until = time.monotonic() + _RETRY
        while not _try(file, fcntl.LOCK_EX):
            if time.monotonic() > until:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                file.close()
                raise DataFolderInUseError(
                    f"the data folder {self._data} is in use by another rflow (process {holder}): stop that one, or choose another --data"
                )
            time.sleep(0.02)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._file = file

    def release(self) -> None:
        """Give the lock back; does nothing if it is not held."""
        if self._file is not None:
            self._file.close()
            self._file = None


def is_held(data: Path) -> bool:
    """Whether a supervisor runs on the data folder."""
    try:
        with _path(data).open() as file:
            return not _try(file, fcntl.LOCK_SH)
    except FileNotFoundError:
        return False


def _path(data: Path) -> Path:
    return data / "run" / "lock"


def _try(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
