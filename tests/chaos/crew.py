"""The processes of one seed, rflow's own: two workers and a sink, started again when they die as their supervisor would."""

from __future__ import annotations

import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.process_main import CLOCK_VARIABLE, set_clock
from tests.workers import ROOT, Deployment, Worker

WORKERS = 2
STOP_S = 20.0


@dataclass
class Ending:
    """A process that ended although nobody asked it to."""

    who: str
    status: int
    last_words: str


@dataclass
class Crew:
    """Who works in a deployment. `reach` are the settings with which they reach the servers; who joins is of the release in the folder that
    `roots` has for its role."""

    deployment: Deployment
    reach: dict[str, str]
    folder: Path
    roots: dict[str, Path] = field(default_factory=lambda: {"worker": ROOT, "sink": ROOT})
    endings: list[Ending] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = self.folder / "clock"
        set_clock(self.clock, 0)
        self._lock = threading.RLock()
        self._started = 0
        self._workers: list[Worker] = []
        self._sinks: list[Worker] = []
        self._closing = threading.Event()
        self._guard = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        """Starts all."""
        self.call_in()
        self._guard.start()

    def call_in(self) -> None:
        """As many of each as there should be."""
        for _ in range(WORKERS):
            self.join("worker")
        self.join("sink")

    def dismiss(self, *, kill: bool) -> None:
        """Nobody is left; they are stopped, or killed."""
        with self._lock:
            members = self.members()
            self._workers.clear()
            self._sinks.clear()
        for process in members:
            if kill:
                process.kill()
            else:
                process.process.send_signal(signal.SIGTERM)
        for process in members:
            status = process.wait(STOP_S)
            assert kill or status == 0, f"{process.log.stem}: expected exit status 0 after SIGTERM, found {status}\n{process.tail()}"

    def reshard(self, partitions: int) -> Worker:
        """`rflow reshard`, begun."""
        with self._lock:
            self._started += 1
            log = self.folder / f"reshard-{self._started}.log"
        return Worker(self.deployment.environment(**self.reach), log, "reshard", str(partitions), module=("deploy",))

    def join(self, role: str) -> Worker:
        """One more worker or sink."""
        with self._lock:
            self._started += 1
            environment = {**self.deployment.environment(**self.reach), CLOCK_VARIABLE: str(self.clock)}
            log = self.folder / f"{role}-{self._started}.log"
            process = Worker(environment, log, role, module=("tests.chaos.process_main",), root=self.roots[role])
            self._of(role).append(process)
            return process

    def take(self, role: str, number: int = 0) -> Worker:
        """One of those at work, no longer the supervisor's to start again."""
        with self._lock:
            members = self._of(role)
            process = members[number % len(members)]
            members.remove(process)
            return process

    def pick(self, role: str, number: int = 0) -> Worker:
        """One of those at work, which stays the supervisor's."""
        with self._lock:
            members = self._of(role)
            return members[number % len(members)]

    def workers(self) -> list[Worker]:
        """Those at work."""
        with self._lock:
            return list(self._workers)

    def members(self) -> list[Worker]:
        """Workers and sinks at work."""
        with self._lock:
            return [*self._workers, *self._sinks]

    def size(self, role: str) -> int:
        """How many of them are at work."""
        with self._lock:
            return len(self._of(role))

    @property
    def is_whole(self) -> bool:
        """Whether as many workers as there should be hold shards, all of them between them."""
        workers = self.workers()
        held = [worker.running() for worker in workers]
        return len(workers) >= WORKERS and all(held) and set().union(*held) == set(range(self.deployment.settings.partitions))

    def stopped_shards(self) -> list[str]:
        """Shards that wait for an operator, and why."""
        return [
            f"shard {number}: {told['error']}"
            for worker in self.workers()
            for number, told in worker.shards().items()
            if told["stage"] == "stopped"
        ]

    def stop(self) -> list[str]:
        """Stops all; what is wrong with how they ended."""
        self._closing.set()
        if self._guard.ident is not None:
            self._guard.join()
        members = self.members()
        for process in members:
            if process.is_running:
                process.process.send_signal(signal.SIGTERM)
        until = time.monotonic() + STOP_S
        wrong = []
        for process in members:
            try:
                status = process.wait(max(0.1, until - time.monotonic()))
            except AssertionError:
                wrong.append(f"{process.log.stem}: expected to end within {STOP_S:g} s of SIGTERM")
                process.kill()
            else:
                if status != 0:
                    wrong.append(f"{process.log.stem}: expected exit status 0 after SIGTERM, found {status}: {_last_words(process)}")
        return wrong

    def kill(self) -> None:
        """Ends what still runs."""
        self._closing.set()
        with self._lock:
            for process in self.members():
                if process.is_running:
                    process.process.send_signal(signal.SIGCONT)
                    process.kill()

    def _of(self, role: str) -> list[Worker]:
        return self._workers if role == "worker" else self._sinks

    def _watch(self) -> None:
        while not self._closing.wait(0.2):
            for role in ("worker", "sink"):
                with self._lock:
                    ended = [process for process in self._of(role) if not process.is_running]
                    for process in ended:
                        self._of(role).remove(process)
                        self.endings.append(Ending(role, process.process.returncode, _last_words(process)))
                        self.join(role)


def _last_words(process: Worker) -> str:
    lines = process.log.read_text(errors="replace").strip().splitlines()
    return lines[-1][-300:] if lines else ""
