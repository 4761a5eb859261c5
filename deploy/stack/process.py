"""One child process of the stack: what it is (`ProcessSpec`), and its life from start to stop (`Process`)."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from deploy.stack.errors import StartFailedError
from deploy.stack.files import tail
from deploy.stack.pidfile import kill_leftover, pid_path, write_pid
from deploy.stack.ready import Ready, at_once

_LEASH = Path(__file__).with_name("leash.py")
_CODE = Path(__file__).resolve().parents[2]
_POLL = 0.03


class Restart(Enum):
    """What the supervisor does when a process dies without being asked to."""

    ALWAYS = "always"
    NEVER = "never"
    """Its death ends the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """How to run one process.

    It runs in `folder`, which lies in the data folder and is the data folder itself by default. `number` tells processes of one
    role apart. `env` is added to the supervisor's environment. `ready` is asked again and again until it says yes, for at most
    `ready_timeout` seconds. `grace` is how long it has between SIGTERM and SIGKILL. `if_lost` says, in the error that ends the
    run, why a process that is never restarted cannot be.
    """

    role: str
    argv: tuple[str, ...]
    number: int = 1
    folder: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    ready: Ready = at_once
    ready_timeout: float = 30.0
    restart: Restart = Restart.ALWAYS
    grace: float = 10.0
    if_lost: str = ""

    @property
    def name(self) -> str:
        """`worker-2`: what it is called in files, events and errors."""
        return f"{self.role}-{self.number}"


def python_module(module: str, *arguments: object) -> tuple[str, ...]:
    """The command line that runs a module of ours with this interpreter, and with no import from the folder it runs in."""
    return (sys.executable, "-P", "-m", module, *map(str, arguments))


class Process:
    """A process of a spec, started at most once at a time.

    Belongs to the event loop, and to the thread, that starts it: when that thread ends the kernel kills the process.
    """

    def __init__(self, spec: ProcessSpec, data: Path) -> None:
        self.spec = spec
        self.pid_file = pid_path(data, spec.role, spec.number)
        self.log_file = data / "log" / f"{spec.name}.log"
        self._data = data
        self._child: asyncio.subprocess.Process | None = None
        self._log_start = 0

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._child.pid if self._child is not None and self._child.returncode is None else None

    async def start(self) -> None:
        """Start the process and return when it is ready.

        Raises StartFailedError, which quotes the log, if it ends or its time is up before; nothing is left running then, nor when
        the caller is cancelled.
        """
        if self.pid is not None:
            raise RuntimeError(f"{self.spec.name} is already running")
        kill_leftover(self.pid_file, self._data)
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self._log_start = log.tell()
            self._child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(_LEASH), str(os.getpid()), *self.spec.argv),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                cwd=self.spec.folder or self._data,
                env=self._environment(),
                start_new_session=True,  # a Ctrl-C in the terminal is the supervisor's: it stops the others in their order
            )
        write_pid(self.pid_file, self._child.pid)
        try:
            await self._until_ready()
        except BaseException:
            await self.stop(grace=1.0)
            raise

    async def wait(self) -> int:
        """Wait until the process has ended; its exit status, negative for a signal."""
        assert self._child is not None, "wait() before start()"
        status = await self._child.wait()
        self.pid_file.unlink(missing_ok=True)
        return status

    async def stop(self, grace: float | None = None) -> None:
        """SIGTERM, then SIGKILL when the grace has passed; returns when the process is gone. Does nothing if it is not running."""
        if self.pid is None:
            self.pid_file.unlink(missing_ok=True)
            return
        self.kill(signal.SIGTERM)
        try:
            async with asyncio.timeout(self.spec.grace if grace is None else grace):
                await self.wait()
        except TimeoutError:
            self.kill(signal.SIGKILL)
            await self.wait()
        except asyncio.CancelledError:
            self.kill(signal.SIGKILL)
            raise

    def kill(self, signum: signal.Signals) -> None:
        """Send a signal, if there is still a process to send it to."""
        if self._child is not None and self._child.returncode is None:
            self._child.send_signal(signum)

    def log_tail(self, lines: int = 15) -> str:
        """The last lines the process wrote since it was last started."""
        return tail(self.log_file, lines, self._log_start)

    def quote_log(self) -> str:
        """Where the log is and how it ends, as the second half of an error message."""
        return f"Its log is {self.log_file} and ends:\n{self.log_tail() or '(nothing was written)'}"

    async def _until_ready(self) -> None:
        ended = asyncio.ensure_future(self.wait())
        try:
            async with asyncio.timeout(self.spec.ready_timeout):
                while not ended.done() and not await self.spec.ready():
                    await asyncio.wait([ended], timeout=_POLL)
        except TimeoutError:
            raise StartFailedError(f"{self.spec.name} was not ready within {self.spec.ready_timeout:g} s. {self.quote_log()}") from None
        finally:
            if not ended.done():
                ended.cancel()
        if ended.done() and not ended.cancelled():
            raise StartFailedError(f"{self.spec.name} {ending(ended.result())} before it was ready. {self.quote_log()}")

    def _environment(self) -> dict[str, str]:
        path = os.pathsep.join(filter(None, (str(_CODE), os.environ.get("PYTHONPATH"))))
        return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **self.spec.env}


def ending(status: int) -> str:
    """An exit status in words."""
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with exit status {status}"
