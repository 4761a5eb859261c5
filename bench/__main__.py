"""`python -m bench`: measures, prints, and says by its exit status whether every stated bound was kept."""

from __future__ import annotations

import argparse
import asyncio
import datetime
import os
import sys
import time
from pathlib import Path

import msgspec
from msgspec import Struct
from rich.console import Console

from bench import latency, memory, throughput, workers
from bench.machine import describe, missing
from bench.memory import Population
from bench.report import show, write_readme
from bench.results import Results, bounds
from bench.rounds import Sizes
from deploy.stack.errors import StackError

PARTS = ("throughput", "memory", "latency", "workers")
_WIDTH = 120  # below it the widest table would be cut
_README = Path(__file__).with_name("README.md")


class Scale(Struct, frozen=True, kw_only=True):
    """The sizes of one run of the bench."""

    sizes: Sizes
    populations: list[Population]
    latency_seconds: float
    latency_warm_up: float
    scaling_events: int


FULL = Scale(
    sizes=Sizes(users=100_000, events=1_000_000, idiomatic_events=25_000, warm_up=2_000, rounds=3),
    populations=[Population(users=1_000_000, fewest=1, most=3), Population(users=50_000, fewest=10, most=10)],
    latency_seconds=60.0,
    latency_warm_up=10.0,
    scaling_events=1_000_000,
)
QUICK = Scale(
    sizes=Sizes(users=20_000, events=100_000, idiomatic_events=1_500, warm_up=300, rounds=1),
    populations=[Population(users=30_000, fewest=1, most=3), Population(users=3_000, fewest=10, most=10)],
    latency_seconds=8.0,
    latency_warm_up=3.0,
    scaling_events=100_000,
)


async def run(scale: Scale, parts: list[str], console: Console, *, quick: bool) -> Results:
    """Measures the parts one after the other."""
    began = time.monotonic()

    def say(line: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:6.0f} s[/]  {line}", highlight=False)

    found = Results(machine=describe(), date=datetime.datetime.now(datetime.UTC).date().isoformat(), quick=quick, seconds=0.0)
    if "throughput" in parts:
        found = msgspec.structs.replace(found, throughput=await throughput.measure(scale.sizes, say))
    if "memory" in parts:
        found = msgspec.structs.replace(found, memory=await memory.measure(scale.populations, say))
    if "latency" in parts:
        sizes = scale.sizes
        highest = found.throughput.rate if found.throughput else await throughput.maximum_rate(sizes.users, sizes.events)
        plan = latency.Plan(rate=highest / 2, seconds=scale.latency_seconds, warm_up=scale.latency_warm_up, users=sizes.users)
        found = msgspec.structs.replace(found, latency=await latency.measure_both(plan, say))
    if "workers" in parts:
        found = msgspec.structs.replace(found, scaling=await workers.measure(scale.sizes.users, scale.scaling_events, say))
    return msgspec.structs.replace(found, seconds=time.monotonic() - began)


def main() -> int:
    """0 if every stated bound was kept, or could not be on this machine; 1 if one was missed; 2 if it could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure rflow on real Kafka and Redis.")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="small sizes, under two minutes; bounds are shown and not judged")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything measured")
    parser.add_argument("--write-readme", action="store_true", help="put the figures into bench/README.md")
    options = parser.parse_args()
    if unknown := [part for part in options.parts if part not in PARTS]:
        parser.error(f"expected parts among {', '.join(PARTS)}, found {', '.join(unknown)}")
    if options.write_readme and (options.quick or options.parts):
        parser.error("expected a full run for the README: leave out --quick and the parts")
    if lacks := missing():
        print("\n".join(lacks), file=sys.stderr)
        return 2
    for name in [name for name in os.environ if name.startswith("RFLOW_")]:
        del os.environ[name]  # what is measured is the default worker
    console = Console(width=max(Console().width, _WIDTH))
    scale = QUICK if options.quick else FULL
    try:
        results = asyncio.run(run(scale, options.parts or list(PARTS), console, quick=options.quick))
    except (StackError, RuntimeError, TimeoutError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    console.print()
    show(results, console)
    if options.json is not None:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")
    if options.write_readme:
        write_readme(_README, results)
    missed = [bound for bound in bounds(results) if bound.verdict == "missed"]
    if options.quick:
        return 0
    for bound in missed:
        print(f"missed: {bound.name}: expected {bound.stated}, found {bound.found}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
