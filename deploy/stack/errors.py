"""What can go wrong with a stack. Each message stands alone: what was expected, what was found, what to do."""

from __future__ import annotations


class StackError(Exception):
    """A stack cannot start, or cannot go on."""


class DataFolderInUseError(StackError):
    """Another supervisor holds the data folder."""


class MissingProgramError(StackError):
    """A program or package that the chosen stack needs is not installed."""


class StartFailedError(StackError):
    """A process ended before it was ready, or was not ready in time."""


class ProcessLostError(StackError):
    """A process died that cannot be, or is no longer, started again."""


class StackInterruptedError(StackError):
    """Ctrl-C or SIGTERM arrived while something other than `run_until_stopped` was running; `signum` is which."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by signal {signum}")
        self.signum = signum
