"""Exec a program on a leash: the kernel kills it as soon as its parent is gone, however the parent went.

Run as a file, before the program: `python -I -S leash.py PARENT_PID PROGRAM [ARGUMENT ...]`. It is a program of its own and no
`preexec_fn`, because Python code between fork and exec can deadlock in a process that has threads. It imports nothing of rflow:
every process of the stack waits for it.

Linux only; elsewhere the program merely starts, and what a killed supervisor left behind is found by its pid file next time.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent, then become the program."""
    parent, *program = sys.argv[1:]
    if sys.platform == "linux":
        # SIGKILL, not SIGTERM: a program that is slow to stop would outlive its data folder's lock. It survives the exec.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent may have died between the fork and the line above: no signal would ever come.
    if os.getppid() != int(parent):
        sys.exit("the process that started this one is gone")
    try:
        os.execvp(program[0], program)  # noqa: S606 - to become the program is what this file is for
    except OSError as error:
        sys.exit(f"{program[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
