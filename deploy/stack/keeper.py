"""Keeping one process up: start it again when it dies, until that is no use."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from deploy.stack.errors import ProcessLostError, StackError, StartFailedError
from deploy.stack.process import Process, Restart, ending

_FIRST_BACKOFF, _LONGEST_BACKOFF = 0.2, 5.0

EventKind = Literal["preparing", "starting", "ready", "died", "lost", "stopping", "stopped"]


@dataclass(frozen=True, slots=True)
class StackEvent:
    """Something happened to a process. `restarts` is how often it has been started again so far.

    After `died` it is started again; `lost` is a death that ends the run.
    """

    kind: EventKind
    process: str
    detail: str = ""
    restarts: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class CrashLimit:
    """How many deaths within how many seconds are too many."""

    deaths: int
    window: float


class Keeper:
    """Starts, watches, restarts and stops one process; `tell` hears of each."""

    def __init__(self, process: Process, limit: CrashLimit, tell: Callable[[StackEvent], None]) -> None:
        self.process = process
        self.restarts = 0
        self._limit = limit
        self._tell = tell
        self._deaths: deque[float] = deque()
        self._pardoned = False
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the process, see `Process.start`."""
        self._say("starting")
        began = time.monotonic()
        await self.process.start()
        self._say("ready", seconds=time.monotonic() - began)

    def watch(self, fail: Callable[[StackError], None]) -> None:
        """From now on start it again when it dies, and call `fail`, once, when that is no use."""
        self._watching = asyncio.create_task(self._watch(fail))

    def pardon(self) -> None:
        """The next death is asked for and does not count as a crash."""
        self._pardoned = True

    async def stop(self) -> None:
        """Stop watching it, and stop it."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self.process.pid is not None:
            self._say("stopping")
            await self.process.stop()
            self._say("stopped")

    async def _watch(self, fail: Callable[[StackError], None]) -> None:
        while True:
            status = await self.process.wait()
            lost = self._lost(status)
            self._say("died" if lost is None else "lost", ending(status))
            if lost is not None:
                fail(lost)
                return
            self.restarts += 1
            await asyncio.sleep(min(_FIRST_BACKOFF * 2 ** max(len(self._deaths) - 1, 0), _LONGEST_BACKOFF))
            try:
                await self.start()
            except StartFailedError:
                continue  # it has died once more, which the next turn sees
            except OSError as error:
                fail(ProcessLostError(f"{self.process.spec.name} could not be started again: {error}"))
                return

    def _lost(self, status: int) -> ProcessLostError | None:
        """Count a death; why the process is not to be started again, or None."""
        spec = self.process.spec
        if spec.restart is Restart.NEVER:
            return ProcessLostError(f"{spec.name} {ending(status)}. {spec.if_lost} {self.process.quote_log()}")
        now = time.monotonic()
        if not self._pardoned:
            self._deaths.append(now)
        self._pardoned = False
        while self._deaths and self._deaths[0] < now - self._limit.window:
            self._deaths.popleft()
        if len(self._deaths) < self._limit.deaths:
            return None
        often = f"{spec.name} died {len(self._deaths)} times within {self._limit.window:g} s, lastly it {ending(status)}"
        return ProcessLostError(f"{often}. {self.process.quote_log()}")

    def _say(self, kind: EventKind, detail: str = "", seconds: float = 0.0) -> None:
        self._tell(StackEvent(kind, self.process.spec.name, detail, self.restarts, seconds))
