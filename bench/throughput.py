"""Events a second, on one core: rflow, idiomatic Faust and the floor, in turn and again, over the same log."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from msgspec import Struct

from bench.machine import SERVER_CORE, on_cores
from bench.rounds import Run, Sizes, new_round
from bench.servers import servers

Say = Callable[[str], None]


class Throughput(Struct, frozen=True, kw_only=True):
    """The runs, one of each kind a round. `phases` are the CPU microseconds an event of one more run of rflow, `metered`, by what they
    went to."""

    sizes: Sizes
    event_bytes: float
    rflow: list[Run]
    idiomatic: list[Run]
    floor: list[Run]
    metered: Run
    phases: dict[str, float]

    def ratio(self, a: str, b: str) -> list[float]:
        """By round, events a CPU second of one kind over another's."""
        return [x.per_cpu_second / y.per_cpu_second for x, y in zip(getattr(self, a), getattr(self, b), strict=True)]

    @property
    def rate(self) -> float:
        """rflow's median events a second."""
        return statistics.median(run.per_second for run in self.rflow)


async def measure(sizes: Sizes, say: Say) -> Throughput:
    """All rounds. Takes about a minute a round at a million events."""
    found: dict[str, list[Run]] = {"rflow": [], "idiomatic": [], "floor": []}
    with on_cores(SERVER_CORE):
        async with servers([SERVER_CORE]) as stack:
            for number in range(sizes.rounds):
                async with new_round(stack, f"round{number}.", sizes) as log:
                    for name, run in (("rflow", log.rflow), ("idiomatic", log.idiomatic), ("floor", log.floor)):
                        found[name].append(measured := await run())
                        say(f"round {number + 1}, {name}: {measured.per_second:,.0f} events/s, {measured.cpu_us:.1f} µs CPU an event")
            async with new_round(stack, "metered.", sizes) as log:
                metered, phases = await log.metered()
                size = log.bytes / sizes.events
    return Throughput(sizes=sizes, event_bytes=size, metered=metered, phases=phases, **found)


async def maximum_rate(users: int, events: int) -> float:
    """Events a second of a single run of rflow."""
    sizes = Sizes(users=users, events=events, idiomatic_events=0, warm_up=0, rounds=1)
    with on_cores(SERVER_CORE):
        async with servers([SERVER_CORE]) as stack, new_round(stack, "maximum.", sizes) as log:
            return (await log.rflow()).per_second
