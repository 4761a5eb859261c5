"""The supervisor of a one-machine stack: starts its servers, then whatever else it is given, keeps all of it up, stops it.

    async with Stack(config, on_event=show) as stack:
        await stack.start(worker(stack.brokers, stack.redis_url))
        await stack.run_until_stopped()

What keeps a single process up is in `keeper`, what a process is in `process`, which servers there are in `servers`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Self

from deploy.stack.broker import read_ready
from deploy.stack.endpoints import Endpoints, remove_endpoints, write_endpoints
from deploy.stack.errors import StackError, StackInterruptedError
from deploy.stack.keeper import CrashLimit, Keeper, StackEvent
from deploy.stack.lock import DataLock
from deploy.stack.process import Process, ProcessSpec
from deploy.stack.servers import ServerName, StackConfig, plan

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_NOT_DEADLY = frozenset({signal.SIGSTOP, signal.SIGCONT, signal.SIGUSR1, signal.SIGUSR2})


class Stack:
    """A running stack: an asynchronous context manager that belongs to the task that enters it.

    Entering starts the servers, and raises StackError if one does not come up. While it runs, a process that dies is started
    again; when that is no use (the in-memory broker, a crash loop) the body is cancelled and ProcessLostError raised in its stead.
    Ctrl-C and SIGTERM end `run_until_stopped`; a body that does anything else is cancelled and StackInterruptedError raised.
    Leaving stops everything, the last started first; a second Ctrl-C then kills what still runs.

    On Linux no process outlives the supervisor, even if that is killed with -9.
    """

    def __init__(self, config: StackConfig, on_event: Callable[[StackEvent], None] | None = None) -> None:
        self.config = replace(config, data=config.data.expanduser().resolve())
        self.data = self.config.data
        self.endpoints: Endpoints | None = None
        self._on_event = on_event or (lambda _event: None)
        self._lock = DataLock(self.data)
        self._keepers: dict[str, Keeper] = {}
        self._waves: list[list[Keeper]] = []
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

    @property
    def restarts(self) -> dict[str, int]:
        """How often each process has been started again."""
        return {name: keeper.restarts for name, keeper in self._keepers.items()}

    async def __aenter__(self) -> Self:
        self._owner = asyncio.current_task()
        self.data.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        try:
            self._catch_signals()
            await self._start_servers()
        except BaseException as error:
            await self._close()
            self._raise_reason(error)
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._close()
        self._raise_reason(error)

    async def start(self, *specs: ProcessSpec) -> None:
        """Start processes side by side and return when all are ready; from then on they are kept up.

        Raises StartFailedError, with none of them left running, if one ends or its time is up before it is ready. What is started
        later is stopped earlier.
        """
        limit = CrashLimit(self.config.crash_limit, self.config.crash_window)
        wave = [Keeper(Process(spec, self.data), limit, self._on_event) for spec in specs]
        for spec in specs:
            if spec.name in self._keepers:
                raise ValueError(f"{spec.name} is already part of this stack")
        starting = [asyncio.create_task(keeper.start()) for keeper in wave]
        try:
            await asyncio.gather(*starting)
        except BaseException:
            for task in starting:
                task.cancel()
            await asyncio.gather(*starting, return_exceptions=True)
            await asyncio.gather(*(keeper.stop() for keeper in wave))
            raise
        self._waves.append(wave)
        for keeper in wave:
            self._keepers[keeper.process.spec.name] = keeper
            keeper.watch(self._fail)

    async def stop(self, role: str, number: int = 1) -> None:
        """Stop one process for good; its name can be given to another then."""
        keeper = self._keepers.pop(f"{role}-{number}")
        for wave in self._waves:
            if keeper in wave:
                wave.remove(keeper)
        await keeper.stop()

    def kill(self, role: str, number: int = 1, signum: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to a process. If it dies of it, it is started again, and the death does not count as a crash."""
        keeper = self._keepers[f"{role}-{number}"]
        if signum not in _NOT_DEADLY:
            keeper.pardon()
        keeper.process.kill(signum)

    def pid(self, role: str, number: int = 1) -> int | None:
        """The process id, None while the process is down."""
        return self._keepers[f"{role}-{number}"].process.pid

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
        loop = asyncio.get_running_loop()

        def tell(server: ServerName, detail: str) -> None:
            loop.call_soon_threadsafe(self._on_event, StackEvent("preparing", server, detail))

        servers = await asyncio.to_thread(plan, self.config, tell)
        await self.start(*(server.spec for server in servers))
        address = {server.name: server.address() for server in servers}
        ours = self.config.starts("broker")
        self.endpoints = Endpoints(
            pid=os.getpid(),
            partitions=self.config.partitions,
            broker=self.config.broker if ours else "external",
            brokers=address.get("broker", self.config.brokers),
            redis_url=address.get("redis", self.config.redis_url),
            clickhouse_url=address.get("clickhouse", self.config.clickhouse_url),
            retain_bytes=read_ready(self.data).retain_bytes if ours and self.config.broker == "mock" else None,
            event_clock=self.config.event_clock,
        )
        write_endpoints(self.data, self.endpoints)

    async def _close(self) -> None:
        """Stop everything, wave by wave from the last."""
        self._closing = True
        if self._cancelled:
            with contextlib.suppress(asyncio.CancelledError):  # ours, if the body ended before it arrived
                await asyncio.sleep(0)
        remove_endpoints(self.data)
        for wave in reversed(self._waves):
            await asyncio.gather(*(keeper.stop() for keeper in wave))
        self._release_signals()
        self._lock.release()

    def _fail(self, failure: StackError) -> None:
        self._failure = self._failure or failure
        self._interrupt()

    def _on_signal(self, signum: int) -> None:
        if self._signal is None:
            self._signal = signum
            self._interrupt()
            return
        for keeper in self._keepers.values():  # once more: someone is in a hurry
            keeper.process.kill(signal.SIGKILL)

    def _interrupt(self) -> None:
        """Get the body to end."""
        self._end.set()
        if not self._waiting and not self._closing and not self._cancelled:
            assert self._owner is not None
            self._cancelled = True
            self._owner.cancel()

    def _raise_reason(self, error: BaseException | None) -> None:
        """Raise what made the body end, if that was our doing or explains its own error."""
        if self._cancelled and self._owner is not None:
            self._owner.uncancel()
        ours = error is None or isinstance(error, asyncio.CancelledError)
        if self._failure is not None and error is not self._failure:
            raise self._failure from (None if ours else error)
        if self._cancelled and self._signal is not None and ours:
            raise StackInterruptedError(self._signal) from None

    def _catch_signals(self) -> None:
        with contextlib.suppress(ValueError, RuntimeError):  # not the main thread: signals are someone else's
            for signum in _STOP_SIGNALS:
                asyncio.get_running_loop().add_signal_handler(signum, self._on_signal, signum)

    def _release_signals(self) -> None:
        with contextlib.suppress(ValueError, RuntimeError):
            for signum in _STOP_SIGNALS:
                asyncio.get_running_loop().remove_signal_handler(signum)

    def _address(self, name: str) -> str:
        address = getattr(self.endpoints, name)
        if address is None:
            raise RuntimeError(f"this stack has no {name}")
        return str(address)
