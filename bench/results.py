"""What one run of the bench found, and which of the stated bounds it keeps."""

from __future__ import annotations

import statistics
from typing import Literal

from msgspec import Struct

from bench.latency import Latency
from bench.machine import Machine
from bench.memory import Memory
from bench.throughput import Throughput
from bench.workers import Scaling

FASTER = 40.0
"""rflow over idiomatic Faust, events a CPU second."""
BYTES_A_USER = 220.0
P99_MS = 1_000.0
TWO_OVER_ONE = 1.6
_RATE_KEPT = 0.95


class Results(Struct, frozen=True, kw_only=True):
    """Everything measured. A part that was not asked for is None or empty. `quick`: at sizes that say nothing of the bounds."""

    machine: Machine
    date: str
    quick: bool
    seconds: float
    throughput: Throughput | None = None
    memory: list[Memory] = []
    latency: list[Latency] = []
    """idle, then under load"""
    scaling: Scaling | None = None


class Bound(Struct, frozen=True, kw_only=True):
    """A stated bound and what was found. `impossible`: missed, and this machine could not have kept it, for the reason in `note`."""

    name: str
    stated: str
    found: str
    verdict: Literal["kept", "missed", "impossible"]
    note: str = ""


def bounds(results: Results) -> list[Bound]:
    """Every stated bound of which something was measured."""
    found = []
    if (throughput := results.throughput) is not None:
        ratio = statistics.median(throughput.ratio("rflow", "idiomatic"))
        found.append(_bound("rflow over idiomatic Faust, per core", f"at least {FASTER:g}", f"{ratio:.1f}", kept=ratio >= FASTER))
    if results.memory:
        total = results.memory[0].total
        name = f"bytes per user, {results.memory[0].population.users:,} users"
        found.append(_bound(name, f"at most {BYTES_A_USER:g}", f"{total:.1f}", kept=total <= BYTES_A_USER))
    if results.latency:
        latency = results.latency[-1]
        in_time = latency.rate >= _RATE_KEPT * latency.plan.rate
        note = "" if in_time else f"only {latency.rate:,.0f} of {latency.plan.rate:,.0f} events/s could be produced on this machine"
        name = f"event to transition, p99 at {latency.plan.rate:,.0f} events/s"
        found.append(_bound(name, f"below {P99_MS:,.0f} ms", f"{latency.p99:,.0f} ms", kept=latency.p99 < P99_MS and in_time, note=note))
    if results.scaling is not None:
        found.append(_scaling(results.scaling))
    return found


def _bound(name: str, stated: str, found: str, *, kept: bool, note: str = "") -> Bound:
    return Bound(name=name, stated=stated, found=found, verdict="kept" if kept else "missed", note=note)


def _scaling(scaling: Scaling) -> Bound:
    name, stated, found = "two workers over one", f"at least {TWO_OVER_ONE:g}", f"{scaling.ratio:.2f}"
    if scaling.ratio >= TWO_OVER_ONE or scaling.most_possible >= TWO_OVER_ONE:
        return _bound(name, stated, found, kept=scaling.ratio >= TWO_OVER_ONE)
    two = scaling.two
    note = (
        f"Kafka and Redis share these {two.cores} cores with the workers. Two workers took {two.worker_cpu:.1f} s of CPU, Kafka "
        f"{two.kafka_cpu:.1f} s and Redis {two.redis_cpu:.1f} s, while the cores were {two.busy_share:.0%} busy: with every core busy all "
        f"the time that would be {scaling.most_possible:.2f} times one worker, and no more."
    )
    return Bound(name=name, stated=stated, found=found, verdict="impossible", note=note)
