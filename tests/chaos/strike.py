"""How each fault is done to a stage and a crew."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from random import Random

from tests.chaos.crew import STOP_S, Crew
from tests.chaos.faults import Fault, Kind
from tests.chaos.process_main import set_clock
from tests.chaos.proxy import Proxy
from tests.chaos.stage import LONGEST_DELAY_S, LONGEST_REPLY, REFUSAL, Stage, revive
from tests.servers import wait_until
from tests.workers import Worker

Struck = Callable[[], None]
"""Called once, when the fault has struck."""

_PATIENCE_S = 60.0
_DAY_S = 86_400.0
_FARTHEST_S = {Kind.CLOCK_FORWARD: 400 * _DAY_S, Kind.CLOCK_BACK: 100 * _DAY_S}
_TOLERATED_S = 240.0
"""How far back the clock of a live worker goes: farther, and records of now would rightly be refused as of the future."""


class Striker:
    """Strikes. `strike` returns when the fault is over, and tells how many connections or processes it met."""

    def __init__(self, stage: Stage, crew: Crew, *, is_live: bool) -> None:
        self._stage = stage
        self._crew = crew
        self._is_live = is_live

    def strike(self, fault: Fault, struck: Struck) -> int:
        """Does it, keeps it up and lifts it."""
        family = fault.kind.family
        if family in ("worker", "sink"):
            return self._process(fault, struck)
        if family == "clock":
            return self._clock(fault, struck)
        if family.endswith("_link"):
            return self._link(fault, self._stage.proxies[family.removesuffix("_link")], struck)
        return self._server(fault, struck)

    # --- rflow's own processes ----------------------------------------------------------------------------------------------------
    def _process(self, fault: Fault, struck: Struck) -> int:
        role = fault.kind.family
        match fault.kind.how:
            case "kill":
                victim = self._crew.take(role, fault.target)
                victim.kill()
                struck()
                time.sleep(fault.lasts)
                self._crew.join(role)
            case "stop":
                victim = self._crew.take(role, fault.target)
                struck()
                stop(victim)
                time.sleep(fault.lasts)
                self._crew.join(role)
            case "freeze" | "freeze_beyond_session":
                self._freeze(self._crew.pick(role, fault.target), fault.lasts, struck)
            case "join_and_leave" | "twin":
                struck()
                joined = self._crew.join(role)
                until_at_work(joined)
                time.sleep(fault.lasts)
                self._crew.take(role, -1)
                stop(joined)
            case "rolling_restart":
                return self._roll(struck)
        return 1

    def _roll(self, struck: Struck) -> int:
        """As an orchestrator does with surge: the successor is at work before the next is stopped."""
        olds = self._crew.workers()
        struck()
        for old in olds:
            until_at_work(self._crew.join("worker"))
            self._crew.take("worker", 0)
            stop(old)
        return len(olds)

    def _freeze(self, victim: Worker, seconds: float, struck: Struck) -> None:
        victim.process.send_signal(signal.SIGSTOP)
        struck()
        time.sleep(seconds)
        victim.process.send_signal(signal.SIGCONT)

    def _clock(self, fault: Fault, struck: Struck) -> int:
        farthest = _FARTHEST_S[fault.kind]
        if fault.kind is Kind.CLOCK_BACK:
            farthest = -(min(farthest, _TOLERATED_S) if self._is_live else farthest)
        set_clock(self._crew.clock, fault.share * farthest)
        struck()
        time.sleep(fault.lasts)
        set_clock(self._crew.clock, 0)
        return 1

    # --- connections --------------------------------------------------------------------------------------------------------------
    def _link(self, fault: Fault, proxy: Proxy, struck: Struck) -> int:
        met, passes = 0, int(LONGEST_REPLY ** Random(fault.share).random())  # as often a few bytes as many
        match fault.kind.how:
            case "cut":
                met = proxy.cut()
            case "black_hole":
                met = proxy.lose()
            case "half_reply":
                proxy.cut_within(replies=passes)
            case "half_request":
                proxy.cut_within(requests=passes)
            case "slow":
                proxy.slow(0.01 + fault.share * LONGEST_DELAY_S)
            case "hang":
                proxy.hold()
        struck()
        if fault.lasts:
            time.sleep(fault.lasts)
            met += proxy.calm()
        return met

    # --- servers ------------------------------------------------------------------------------------------------------------------
    def _server(self, fault: Fault, struck: Struck) -> int:
        server = self._stage.server(fault.kind.family)
        match fault.kind:
            case Kind.BROKER_KILL | Kind.REDIS_KILL | Kind.CLICKHOUSE_KILL:
                server.kill()
                struck()
                time.sleep(fault.lasts)
                revive(server)
            case Kind.BROKER_RESTART:
                struck()
                server.stop()
                time.sleep(fault.lasts)
                revive(server)
            case Kind.BROKER_FREEZE | Kind.REDIS_FREEZE | Kind.CLICKHOUSE_FREEZE:
                server.freeze()
                struck()
                time.sleep(fault.lasts)
                server.thaw()
            case Kind.REDIS_FULL:
                struck()
                self._stage.fill_redis_disk(int(4_000 * fault.share), seconds=5.0)
                time.sleep(fault.lasts)
                revive(server)
            case Kind.REDIS_REFUSES:
                self._stage.refuse_redis_writes()
                struck()
                time.sleep(fault.lasts)
                self._stage.accept_redis_writes()
            case Kind.CLICKHOUSE_FULL:
                proxy = self._stage.proxies["clickhouse"]
                proxy.refuse(REFUSAL)
                struck()
                time.sleep(fault.lasts)
                return proxy.calm()
        return 1


def until_at_work(process: Worker) -> None:
    """Until a process that was started is at work, or has ended."""

    def works() -> object:
        time.sleep(0.1)
        status, _ = process.get("/readyz")
        return status == 200 or not process.is_running

    wait_until(works, f"{process.log.stem} to be at work", _PATIENCE_S)


def stop(process: Worker) -> None:
    """SIGTERM, on which it must end well."""
    if process.is_running:
        status = process.stop(STOP_S)
        assert status == 0, f"{process.log.stem}: expected exit status 0 after SIGTERM, found {status}\n{process.tail()}"
