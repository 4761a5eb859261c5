"""One seed: a deployment of its own, the input, the faults, and the comparison with the same input in peace."""

from __future__ import annotations

import shutil
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from deploy.topics import create_topics
from deploy.wiring import clickhouse_of
from schemas.touchpoint import KINDS
from tests.chaos.crew import Crew, Ending
from tests.chaos.faults import SESSION_TIMEOUT_S, Fault, bound, stand_still_bound
from tests.chaos.figures import Figures, differing, faults_of, figures, gaps
from tests.chaos.inputs import Feeder, Input, live_input, strict_input
from tests.chaos.operation import MorePartitions, Operation, Upgrade
from tests.chaos.schedule import Burst, Schedule, schedule
from tests.chaos.stage import Stage
from tests.chaos.strike import Striker
from tests.chaos.watch import Watch
from tests.ended import Ended, differences
from tests.integration.sink_world import is_stored
from tests.servers import wait_until
from tests.workers import ROOT, Deployment, assert_chained

PARTITIONS = 4
_LATEST = OffsetSpec.latest()  # type: ignore[no-untyped-call]
_PATIENCE_S = 90.0


@dataclass
class Suffered:
    """What came of one fault. Seconds: `moved` from its strike until the figures of every shard had moved; `after` the same from its end;
    `still` the longest time from its end on in which some shard's figures stood still. `met`: how many processes or connections."""

    fault: Fault
    alone: bool
    met: int = 0
    moved: float = 0.0
    after: float = 0.0
    still: float = 0.0

    def missed(self) -> list[str]:
        """The bounds it has not kept."""
        told = []
        most = bound(self.fault.kind)
        if self.alone and most is not None and self.moved > most:
            told.append(f"{self.fault}: figures moved {self.moved:.1f} s after it, expected {most:g} s at most")
        most = stand_still_bound(self.fault.kind)
        if self.alone and self.still > most:
            told.append(f"{self.fault}: figures stood still for {self.still:.1f} s, expected {most:g} s at most")
        return told


@dataclass
class Result:
    """What came of a seed."""

    schedule: Schedule
    beside: Operation | None = None
    suffered: list[Suffered] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)
    seconds: float = 0.0
    phases: dict[str, float] = field(default_factory=dict)
    """what the seconds went into"""
    slowest_look: float = 0.0

    def through(self, phase: str) -> None:
        """Notes that a phase is over."""
        self.phases[phase] = round(time.monotonic() - self._began - sum(self.phases.values()), 2)

    def __post_init__(self) -> None:
        self._began = time.monotonic()

    @property
    def is_good(self) -> bool:
        """Whether all that was asked holds."""
        return not self.differences and not self.missed


@dataclass(frozen=True)
class Peace:
    """What an input comes to without faults."""

    ended: Ended
    figures: Figures


class Trials:
    """Runs seeds on a stage, one after the other. `former` is the folder of a release's source with which upgrades begin."""

    def __init__(self, stage: Stage, former: Path = ROOT) -> None:
        self._stage = stage
        self._former = former
        self._peace: dict[int, Peace] = {}
        self._runs = 0

    def run(self, seed: int, beside: Operation | None = None) -> Result:
        """Runs a seed, with an operation beside its faults. What it leaves in its folder is kept if something is wrong.

        Twice the partitions have other shards than a run in peace: what comes of them has to add up by itself.
        """
        plan = schedule(seed) if beside is None else schedule(seed).without("worker", "sink")
        peace = None if plan.is_live or beside is Operation.PARTITIONS else self.peace(plan.input)
        result = Result(plan, beside)
        folder = self._stage.folder / f"seed-{seed}"
        try:
            self._suffer(result, peace, folder)
        except Exception as error:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "error.txt").write_text(traceback.format_exc())
            result.differences.append(f"{type(error).__name__}: {error}")
        result.through("clear")
        result.seconds = sum(result.phases.values())
        if result.is_good:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            (folder / "found.txt").write_text("\n".join([str(result.schedule), *result.missed, *result.differences]) + "\n")
        return result

    def peace(self, number: int) -> Peace:
        """What a strict input comes to in peace; run when it is first asked for, and checked by itself."""
        if number not in self._peace:
            given = strict_input(number, PARTITIONS)
            with self._deployed(self._stage.folder / f"peace-{number}", is_live=False) as (deployment, crew):
                feeder = Feeder(deployment.bootstrap, deployment.settings.topic_prefix, given, PARTITIONS)
                crew.start()
                feeder.finish()
                _until(Done(deployment), crew, "all records to be applied and stored")
                feeder.stop()
                wrong = [*crew.stop(), *faults_of(deployment, given), *gaps(clickhouse_of(deployment.settings))]
                assert not wrong, f"in peace: {wrong[:3]}"
                ended = Ended.of(deployment)
                self._peace[number] = Peace(ended, figures(clickhouse_of(deployment.settings), given.begin, given.end))
        return self._peace[number]

    @contextmanager
    def _deployed(self, folder: Path, *, is_live: bool) -> Iterator[tuple[Deployment, Crew]]:
        """A deployment of its own; cleared away when left."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._runs += 1
        name = f"chaos{self._runs}"
        deployment = Deployment(
            folder,
            self._stage.kafka.address,
            self._stage.redis.address,
            f"{name}.",
            name,
            partitions=PARTITIONS,
            session_timeout=SESSION_TIMEOUT_S,
            intake="live" if is_live else "strict",
            clickhouse_url=self._stage.clickhouse.address,
            clickhouse_database=name,
        )
        create_topics(deployment.settings.kafka_client(), f"{name}.", PARTITIONS, 1)
        self._stage.make_database(name)
        crew = Crew(deployment, self._stage.proxied(), folder)
        try:
            yield deployment, crew
        finally:
            crew.kill()
            self._stage.clear(name, f"{name}.")

    def _suffer(self, result: Result, peace: Peace | None, folder: Path) -> None:
        plan = result.schedule
        given = live_input(plan.seed, PARTITIONS) if plan.is_live else strict_input(plan.input, PARTITIONS)
        with self._deployed(folder, is_live=plan.is_live) as (deployment, crew):
            feeder = Feeder(deployment.bootstrap, deployment.settings.topic_prefix, given, PARTITIONS)
            watch = Watch(deployment.settings)
            striker = Striker(self._stage, crew, is_live=plan.is_live)
            operation = self._operation(result, crew, feeder)
            try:
                result.through("deploy")
                crew.start()
                feeder.start()
                watch.start()
                self._until_at_work(crew, watch)
                result.through("start")
                for burst in plan.bursts:
                    result.suffered += self._burst(burst, striker, crew, watch, operation)
                result.through("faults")
                feeder.finish()
                _until(Done(deployment), crew, "all records to be applied and stored")
                result.through("finish")
            finally:
                feeder.stop()
                watch.stop()
                result.endings, result.slowest_look = crew.endings, watch.slowest_look
            result.differences += crew.stop()
            result.through("stop")
            result.differences += _compare(deployment, given, peace)
            result.through("compare")
        # Beside an operation nothing is alone.
        result.missed = [told for suffered in result.suffered for told in suffered.missed()] if result.beside is None else []

    def _operation(self, result: Result, crew: Crew, feeder: Feeder) -> Callable[[], None] | None:
        match result.beside:
            case Operation.UPGRADE:
                return Upgrade(crew, self._former).carry_out
            case Operation.PARTITIONS:
                return MorePartitions(crew, feeder, result.schedule.seed).carry_out
        return None

    def _until_at_work(self, crew: Crew, watch: Watch) -> None:
        _until(lambda: crew.is_whole, crew, "all workers to hold shards")
        mark = watch.mark()
        _until(lambda: watch.moved(mark) is not None, crew, "all figures to move")

    def _burst(self, burst: Burst, striker: Striker, crew: Crew, watch: Watch, operation: Callable[[], None] | None) -> list[Suffered]:
        """Strikes all faults of a burst, while the operation is carried out, and waits until everybody is at work again."""
        blows = [_Blow(fault, striker, watch) for fault in burst]
        for blow in blows:
            blow.thread.start()
        if operation is not None:
            operation()
        for blow in blows:
            blow.thread.join()
        for blow in blows:
            if blow.error is not None:
                raise blow.error
        mark = [max(marks) for marks in zip(*(blow.mark for blow in blows), strict=True)] or watch.mark()
        _until(lambda: watch.moved(mark) is not None, crew, f"all figures to move after {', '.join(map(str, burst))}")
        self._until_at_work(crew, watch)
        now = time.monotonic()
        alone = len(burst) == 1 and operation is None
        found = []
        for blow in blows:
            moved = watch.moved(blow.mark) or now
            found.append(
                Suffered(blow.fault, alone, blow.met, moved - blow.struck, max(0.0, moved - blow.over), watch.stand_still(_from(blow), now))
            )
        return found


class _Blow:
    """One fault of a burst, struck by a thread of its own."""

    def __init__(self, fault: Fault, striker: Striker, watch: Watch) -> None:
        self.fault = fault
        self.met = 0
        self.mark: list[int] = [0] * PARTITIONS
        self.struck = self.over = time.monotonic()
        self.error: BaseException | None = None
        self._began = time.monotonic()
        self._watch = watch
        self.thread = threading.Thread(target=self._strike, args=(striker,), name=fault.kind.value, daemon=True)

    def _strike(self, striker: Striker) -> None:
        try:
            time.sleep(max(0.0, self._began + self.fault.at - time.monotonic()))
            self.met = striker.strike(self.fault, self._struck)
        except BaseException as error:
            self.error = error
        finally:
            self.over = time.monotonic()

    def _struck(self) -> None:
        self.struck = time.monotonic()
        self.mark = self._watch.mark()


def _from(blow: _Blow) -> float:
    """From when on standing still counts: from the strike for what is done to workers on purpose, else from the end of the fault."""
    on_purpose = blow.fault.kind.family == "worker" and not blow.fault.kind.how.startswith("freeze")
    return blow.struck if on_purpose else blow.over


def _until(holds: Callable[[], object], crew: Crew, what: str, seconds: float = _PATIENCE_S) -> None:
    def held() -> object:
        time.sleep(0.1)
        stopped = crew.stopped_shards() if time.monotonic() > until - seconds / 2 else []
        assert not stopped, f"{stopped} while waiting for {what}"
        return holds()

    until = time.monotonic() + seconds
    wait_until(held, what, seconds)


class Done:
    """Whether everything that the input logs hold is applied, swept, published and stored."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._admin = AdminClient({**deployment.settings.kafka_client(), "log_level": 0})
        self._logs = [TopicPartition(deployment.topic(kind.topic), n) for kind in KINDS for n in range(deployment.settings.partitions)]

    def __call__(self) -> bool:
        metas = self._deployment.metas()
        found = self._admin.list_offsets(dict.fromkeys(self._logs, _LATEST), request_timeout=10.0)
        ends = {(log.topic, log.partition): told.result().offset for log, told in found.items()}
        if not self._deployment.is_applied(ends, metas):
            return False
        return is_stored(clickhouse_of(self._deployment.settings), {shard: meta.version for shard, meta in enumerate(metas)}, 0)


def _compare(deployment: Deployment, given: Input, peace: Peace | None) -> list[str]:
    clickhouse = clickhouse_of(deployment.settings)
    ended = Ended.of(deployment)
    told = gaps(clickhouse)
    try:
        assert_chained(ended.told, "R0")
    except AssertionError as error:
        told.append(f"transitions or steps do not chain: {error}")
    if peace is None:
        return told + faults_of(deployment, given)
    return told + differences(ended, peace.ended, ticks=False) + differing(figures(clickhouse, given.begin, given.end), peace.figures)
