"""The supervisor of a one-machine stack: starts processes, keeps them up, stops them.

    async with Stack(config, on_event=show) as stack:
        await stack.start(worker_spec(stack.brokers, stack.redis_url))
        await stack.run_until_stopped()
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from deploy.stack.broker import read_ready
from deploy.stack.endpoints import Endpoints, remove_endpoints, write_endpoints
from deploy.stack.errors import ProcessLostError, StackError, StackInterruptedError, StartFailedError
from deploy.stack.lock import DataLock
from deploy.stack.process import Process, ProcessSpec, Restart, ending
from deploy.stack.servers import StackConfig, plan

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_HARMLESS = frozenset({signal.SIGSTOP, signal.SIGCONT, signal.SIGUSR1, signal.SIGUSR2})
_FIRST_BACKOFF, _LONGEST_BACKOFF = 0.2, 5.0


@dataclass(frozen=True, slots=True)
class StackEvent:
    """Something happened to a process. `restarts` is how often it has been started again so far."""

    kind: Literal["preparing", "starting", "ready", "died", "stopping", "stopped"]
    process: str
    detail: str = ""
    restarts: int = 0
    seconds: float = 0.0


class Stack:
    """A running stack, as an asynchronous context manager that belongs to the task that enters it.

    Entering starts the servers and raises StackError if one does not come up. While it runs, a process that dies is started again;
    when that is no use (the in-memory broker, a crash loop) the body is cancelled and ProcessLostError is raised in its stead.
    Ctrl-C and SIGTERM end `run_until_stopped`; a body that does something else is cancelled and StackInterruptedError raised.
    Leaving stops everything, the last started first; a second Ctrl-C then kills what still runs.

    On Linux no process outlives the supervisor, even if that is killed with -9.
    """

    def __init__(self, config: StackConfig, on_event: Callable[[StackEvent], None] | None = None) -> None:
        self.config = config
        self.data = config.data.expanduser().resolve()
        self.endpoints: Endpoints | None = None
        self.restarts: Counter[str] = Counter()
        self._on_event = on_event or (lambda _event: None)
        self._lock = DataLock(self.data)
        self._processes: dict[str, Process] = {}
        self._waves: list[list[Process]] = []
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._killed: set[str] = set()
        self._owner: asyncio.Task[object] | None = None
        self._end = asyncio.Event()
        self._failure: StackError | None = None
        self._signal: int | None = None
        self._waiting = self._closing = self._cancelled = False

    @property
    def brokers(self) -> str:
        """Kafka's bootstrap address."""
        return self._address("brokers")

    @property
    def redis_url(self) -> str:
        """The state's address."""
        return self._address("redis_url")

    @property
    def clickhouse_url(self) -> str:
        """The figures' address."""
        return self._address("clickhouse_url")

    async def __aenter__(self) -> Self:
        self._owner = asyncio.current_task()
        self.data.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        try:
            self._catch_signals()
            await self._start_servers()
        except BaseException as error:
            await self._close()
            self._reraise(error)
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._cancelled and error is None:
            with contextlib.suppress(asyncio.CancelledError):  # ours: it came when the body had already ended
                await asyncio.sleep(0)
        await self._close()
        self._reraise(error)

    async def start(self, *specs: ProcessSpec) -> None:
        """Start processes side by side and return when all are ready; then keep them up.

        Raises StartFailedError, with none of them left running, if one is not ready in time or ends before. Those started later
        are stopped earlier.
        """
        wave = [Process(spec, self.data) for spec in specs]
        for process in wave:
            if process.spec.name in self._processes:
                raise ValueError(f"{process.spec.name} is already part of this stack")
        starting = [asyncio.create_task(self._start(process)) for process in wave]
        try:
            await asyncio.gather(*starting)
        except BaseException:
            for task in starting:
                task.cancel()
            await asyncio.gather(*starting, return_exceptions=True)
            await asyncio.gather(*(process.stop(grace=1.0) for process in wave))
            raise
        self._waves.append(wave)
        for process in wave:
            self._processes[process.spec.name] = process
            self._keepers[process.spec.name] = asyncio.create_task(self._keep(process))

    async def stop(self, role: str, number: int = 1) -> None:
        """Stop one process for good."""
        process = self._processes.pop(f"{role}-{number}")
        self._keepers.pop(process.spec.name).cancel()
        await self._stop(process)

    def kill(self, role: str, number: int = 1, signum: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to a process. It is started again if it dies of it, and this death does not count as a crash."""
        process = self._processes[f"{role}-{number}"]
        if signum not in _HARMLESS:
            self._killed.add(process.spec.name)
        process.kill(signum)

    def pid(self, role: str, number: int = 1) -> int | None:
        """The process id, None while the process is down."""
        return self._processes[f"{role}-{number}"].pid

    async def run_until_stopped(self) -> int | None:
        """Wait for Ctrl-C or SIGTERM (the signal's number) or `request_stop` (None). Raises ProcessLostError if the stack fails."""
        self._waiting = True
        try:
            await self._end.wait()
        finally:
            self._waiting = False
        if self._failure is not None:
            raise self._failure
        return self._signal

    def request_stop(self) -> None:
        """Let `run_until_stopped` return."""
        self._end.set()

    async def _start_servers(self) -> None:
        tell = asyncio.get_running_loop().call_soon_threadsafe
        servers = await asyncio.to_thread(
            plan, self._settled(), lambda name, detail: tell(self._on_event, StackEvent("preparing", name, detail)) and None
        )
        await self.start(*(server.spec for server in servers))
        address = {server.name: server.address() for server in servers}
        ours = self.config.starts("broker")
        mock = ours and self.config.broker == "mock"
        self.endpoints = Endpoints(
            pid=os.getpid(),
            partitions=self.config.partitions,
            broker=self.config.broker if ours else "external",
            brokers=address.get("broker", self.config.brokers),
            redis_url=address.get("redis", self.config.redis_url),
            clickhouse_url=address.get("clickhouse", self.config.clickhouse_url),
            retain_bytes=read_ready(self.data).retain_bytes if mock else None,
        )
        write_endpoints(self.data, self.endpoints)

    async def _start(self, process: Process) -> None:
        name = process.spec.name
        self._tell("starting", name)
        began = time.monotonic()
        await process.start()
        self._tell("ready", name, seconds=time.monotonic() - began)

    async def _keep(self, process: Process) -> None:
        """Start the process again whenever it dies, until that is no use."""
        name, deaths = process.spec.name, deque[float]()
        while True:
            status = await process.wait()
            if self._closing:
                return
            self._tell("died", name, ending(status))
            if process.spec.restart is Restart.NEVER:
                self._fail(ProcessLostError(f"{name} {ending(status)}. {process.spec.if_lost} {process.quote_log()}"))
                return
            now = time.monotonic()
            if name in self._killed:
                self._killed.discard(name)
            else:
                deaths.append(now)
            while deaths and deaths[0] < now - self.config.crash_window:
                deaths.popleft()
            if len(deaths) >= self.config.crash_limit:
                often = f"{name} died {len(deaths)} times within {self.config.crash_window:g} s, lastly it {ending(status)}"
                self._fail(ProcessLostError(f"{often}. {process.quote_log()}"))
                return
            self.restarts[name] += 1
            await asyncio.sleep(min(_FIRST_BACKOFF * 2 ** max(len(deaths) - 1, 0), _LONGEST_BACKOFF))
            with contextlib.suppress(StartFailedError):  # counted as one more death
                await self._start(process)

    async def _close(self) -> None:
        """Stop everything, the last started first. Not to be cancelled."""
        self._closing = True
        remove_endpoints(self.data)
        for wave in reversed(self._waves):
            await asyncio.gather(*(self._stop(process) for process in wave if process.spec.name in self._processes))
        for keeper in self._keepers.values():
            keeper.cancel()
        await asyncio.gather(*self._keepers.values(), return_exceptions=True)
        self._release_signals()
        self._lock.release()

    async def _stop(self, process: Process) -> None:
        if process.pid is not None:
            self._tell("stopping", process.spec.name)
            await process.stop()
            self._tell("stopped", process.spec.name)

    def _fail(self, failure: StackError) -> None:
        self._failure = self._failure or failure
        self._interrupt()

    def _on_signal(self, signum: int) -> None:
        if self._signal is not None:  # once more: someone is in a hurry
            for process in self._processes.values():
                process.kill(signal.SIGKILL)
            return
        self._signal = signum
        self._interrupt()

    def _interrupt(self) -> None:
        """Get the body to end."""
        self._end.set()
        if not self._waiting and not self._closing and not self._cancelled:
            self._cancelled = True
            assert self._owner is not None
            self._owner.cancel()

    def _reraise(self, error: BaseException | None) -> None:
        """Raise why the body was cancelled, or why its own error came about, if it was us."""
        if self._cancelled and self._owner is not None:
            self._owner.uncancel()
        if self._failure is not None and error is not self._failure:
            raise self._failure from (None if isinstance(error, asyncio.CancelledError) else error)
        if self._cancelled and self._signal is not None and (error is None or isinstance(error, asyncio.CancelledError)):
            raise StackInterruptedError(self._signal) from None

    def _catch_signals(self) -> None:
        with contextlib.suppress(ValueError, RuntimeError):  # not the main thread: signals are someone else's
            for signum in _STOP_SIGNALS:
                asyncio.get_running_loop().add_signal_handler(signum, self._on_signal, signum)

    def _release_signals(self) -> None:
        with contextlib.suppress(ValueError, RuntimeError):
            for signum in _STOP_SIGNALS:
                asyncio.get_running_loop().remove_signal_handler(signum)

    def _settled(self) -> StackConfig:
        from dataclasses import replace

        return replace(self.config, data=self.data)

    def _address(self, name: str) -> str:
        address = getattr(self.endpoints, name, None)
        if address is None:
            raise RuntimeError(f"this stack has no {name}, or is not running")
        return str(address)

    def _tell(self, kind: Literal["starting", "ready", "died", "stopping", "stopped"], name: str, detail: str = "", seconds: float = 0.0) -> None:
        self._on_event(StackEvent(kind, name, detail, self.restarts[name], seconds))
