"""Two workers against one: the same backlog, a broker of their own, no core reserved for anybody."""

from __future__ import annotations

from msgspec import Struct

from bench.backlog import StagedLog, produce
from bench.load import Load, spread
from bench.machine import ALL_CORES, cpu_seconds, fixed_loop, idle_seconds
from bench.rflow import PARTITIONS, Progress, settled, worker_spec
from bench.servers import pid_of, servers
from bench.throughput import Say


class Sharing(Struct, frozen=True, kw_only=True):
    """One backlog worked off by `workers` workers. CPU in seconds: of all workers, Kafka, Redis, and what all cores had left."""

    workers: int
    events: int
    seconds: float
    loop_seconds: float
    worker_cpu: float
    kafka_cpu: float
    redis_cpu: float
    idle: float
    cores: int

    @property
    def per_second(self) -> float:
        return self.events / self.seconds

    @property
    def busy_share(self) -> float:
        """The share of all cores' time in which they were busy, with whatever."""
        return 1 - self.idle / (self.cores * self.seconds)

    @property
    def cpu(self) -> float:
        """CPU seconds of everything measured here."""
        return self.worker_cpu + self.kafka_cpu + self.redis_cpu


class Scaling(Struct, frozen=True, kw_only=True):
    """The same backlog by one worker and by two."""

    one: Sharing
    two: Sharing

    @property
    def ratio(self) -> float:
        return self.one.seconds / self.two.seconds

    @property
    def most_possible(self) -> float:
        """The ratio if the two workers, and the servers for them, had kept every core of this machine busy without a break."""
        return self.one.seconds / (self.two.cpu / self.two.cores)


async def measure(users: int, events: int, say: Say) -> Scaling:
    """One worker, then two, on servers of their own each."""
    found = []
    for workers in (1, 2):
        found.append(sharing := await _share(workers, users, events))
        say(f"{workers} workers: {sharing.per_second:,.0f} events/s, cores busy {sharing.busy_share:.0%}")
    return Scaling(one=found[0], two=found[1])


async def _share(workers: int, users: int, events: int) -> Sharing:
    prefix = f"workers{workers}."
    async with servers(ALL_CORES) as stack:
        await stack.create_topics(prefix, PARTITIONS)
        with StagedLog(stack.bootstrap, prefix) as log:
            await log.begin()
            await produce(log, spread(Load(6, users, PARTITIONS), events))
            specs = [worker_spec(stack, prefix, number=n + 1) for n in range(workers)]
            loop = fixed_loop()
            async with stack.running(*specs, cores=ALL_CORES) as processes:
                await settled(processes)
                pids = [pid_of(process) for process in processes]
                every = [*pids, stack.kafka_pid, stack.redis_pid]
                before, idle = [cpu_seconds(pid) for pid in every], idle_seconds()
                began = await log.commit()
                ended = await Progress(stack.redis, prefix).wait(log.ends, *processes)
                idle = idle_seconds() - idle
                used = [cpu_seconds(pid) - earlier for pid, earlier in zip(every, before, strict=True)]
    return Sharing(
        workers=workers,
        events=events,
        seconds=ended - began,
        loop_seconds=loop,
        worker_cpu=sum(used[:-2]),
        kafka_cpu=used[-2],
        redis_cpu=used[-1],
        idle=max(0.0, idle),
        cores=len(ALL_CORES),
    )
