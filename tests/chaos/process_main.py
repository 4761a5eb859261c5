"""A worker or sink whose wall clock can be moved: `python -m tests.chaos.process_main worker`.

With `--clock` it tells the time and ends. `CHAOS_CLOCK` names a file of eight bytes, the nanoseconds by which the wall clock is off;
whoever writes there moves it at once.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import time
from pathlib import Path

CLOCK_VARIABLE = "CHAOS_CLOCK"
_OFFSET = struct.Struct("<q")


def set_clock(file: Path, seconds: float) -> None:
    """Moves the wall clock of every process that looks at `file` to so many seconds off the true one."""
    with file.open("r+b" if file.exists() else "w+b") as out:
        out.write(_OFFSET.pack(round(seconds * 1e9)))


def shift_clock(file: Path) -> None:
    """From now on `time.time` and `time.time_ns` of this process are off by what stands in `file`. Monotonic clocks are not."""
    with file.open("rb") as source:
        memory = mmap.mmap(source.fileno(), _OFFSET.size, access=mmap.ACCESS_READ)
    true_ns = time.time_ns

    def time_ns() -> int:
        offset: int = _OFFSET.unpack_from(memory)[0]
        return true_ns() + offset

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9


if __name__ == "__main__":
    shift_clock(Path(os.environ[CLOCK_VARIABLE]))
    if sys.argv[1:] == ["--clock"]:
        sys.exit(print(time.time()))

    from deploy.cli import main  # after the clock, so that whoever takes `time.time` by name takes the moved one

    sys.argv[0] = "rflow"
    main()
