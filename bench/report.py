"""The results as tables: for the terminal, and as the figures of the README."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from msgspec import Struct
from rich.console import Console
from rich.table import Table

from bench.latency import Latency
from bench.memory import Memory
from bench.results import Bound, Results, bounds
from bench.rounds import Run
from bench.throughput import Throughput
from bench.workers import Scaling, Sharing

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
_MARKS = {"kept": "✓", "missed": "✗", "impossible": "–"}
T = TypeVar("T")


class Sheet(Struct, frozen=True, kw_only=True):
    """A table, with what is to be said below it."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    notes: list[str]


def sheets(results: Results) -> list[Sheet]:
    """All tables, the verdicts first."""
    found = [_bounds(results)]
    if results.throughput is not None:
        found += [_rates(results.throughput), _ratios(results.throughput), _runs(results.throughput), _phases(results.throughput)]
    if results.memory:
        found.append(_memory(results.memory))
    if results.latency:
        found.append(_latency(results.latency))
    if results.scaling is not None:
        found.append(_scaling(results.scaling))
    return found


def show(results: Results, console: Console) -> None:
    """Prints the tables."""
    for sheet in sheets(results):
        table = Table(*sheet.columns, title=sheet.title, title_justify="left")
        for row in sheet.rows:
            table.add_row(*row)
        console.print(table)
        for note in sheet.notes:
            console.print(note, highlight=False)
        console.print()


def markdown(results: Results) -> str:
    """The tables as they stand in the README."""
    blocks = []
    for sheet in sheets(results):
        lines = [f"### {sheet.title}", "", _row(sheet.columns), _row(["---"] * len(sheet.columns)), *map(_row, sheet.rows)]
        for note in sheet.notes:
            lines += ["", note]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def write_readme(readme: Path, results: Results) -> None:
    """Puts the tables between the marks of the README. Raises ValueError if it has no marks."""
    before, begin, rest = readme.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"expected {readme.name} to hold {BEGIN} and {END}")
    readme.write_text(f"{before}{BEGIN}\n\n{markdown(results)}\n\n{END}{after}")


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _sheet(title: str, columns: Mapping[str, Callable[[T], str]], items: Iterable[T], *notes: str) -> Sheet:
    """A row an item, a column a function of it."""
    rows = [[cell(item) for cell in columns.values()] for item in items]
    return Sheet(title=title, columns=list(columns), rows=rows, notes=[note for note in notes if note])


def _bounds(results: Results) -> Sheet:
    machine, judged = results.machine, bounds(results)
    columns: dict[str, Callable[[Bound], str]] = {
        "": lambda bound: _MARKS[bound.verdict],
        "what": lambda bound: bound.name,
        "stated": lambda bound: bound.stated,
        "found": lambda bound: bound.found,
    }
    quick = "These are the sizes of a quick run: they show that the bench works and say nothing of the bounds." if results.quick else ""
    where = (
        f"Measured {results.date} in {results.seconds / 60:.0f} minutes on {machine.processor}, {machine.cores} cores, "
        f"{machine.memory_gib:g} GiB, {machine.system}; Python {machine.python}, Faust {machine.faust}, aiokafka {machine.aiokafka}, "
        f"librdkafka {machine.librdkafka}, Kafka {machine.kafka}, Redis {machine.redis}."
    )
    return _sheet("Bounds", columns, judged, where, quick, *(bound.note for bound in judged))


class _Named(NamedTuple):
    """The runs of one kind."""

    name: str
    runs: list[Run]


def _kinds(found: Throughput) -> list[_Named]:
    return [_Named("rflow", found.rflow), _Named("idiomatic Faust", found.idiomatic), _Named("floor", found.floor)]


def _rates(found: Throughput) -> Sheet:
    sizes = found.sizes
    columns: dict[str, Callable[[_Named], str]] = {
        "what": lambda kind: kind.name,
        "events/s": lambda kind: _spread([run.per_second for run in kind.runs], ",.0f"),
        "events per CPU second": lambda kind: _spread([run.per_cpu_second for run in kind.runs], ",.0f"),
        "CPU µs an event": lambda kind: _spread([run.cpu_us for run in kind.runs], ",.2f"),
    }
    note = (
        f"Median (least to most). {sizes.users:,} users with state, {sizes.events:,} events of {found.event_bytes:.0f} bytes; idiomatic "
        f"Faust {sizes.idiomatic_events:,} of them, after {sizes.warm_up:,} to warm up. The worker has one core, Kafka and Redis "
        "the other. CPU is the worker process's own, all its threads."
    )
    return _sheet("Throughput on one core", columns, _kinds(found), note)


def _ratios(found: Throughput) -> Sheet:
    rows = [
        ["rflow over idiomatic Faust", _spread(found.ratio("rflow", "idiomatic"), ".1f")],
        ["rflow, share of the floor", _spread(found.ratio("rflow", "floor"), ".1%")],
        ["idiomatic Faust, share of the floor", _spread(found.ratio("idiomatic", "floor"), ".2%")],
    ]
    note = "Each ratio is of two runs in the same round; median (least to most)."
    return Sheet(title="Ratios of events per CPU second", columns=["what", "ratio"], rows=rows, notes=[note])


def _runs(found: Throughput) -> Sheet:
    columns: dict[str, Callable[[tuple[int, str, Run]], str]] = {
        "round": lambda item: f"{item[0] + 1}",
        "what": lambda item: item[1],
        "fixed loop, ms": lambda item: f"{1000 * item[2].loop_seconds:.0f}",
        "events": lambda item: f"{item[2].events:,}",
        "events/s": lambda item: f"{item[2].per_second:,.0f}",
        "CPU µs an event": lambda item: f"{item[2].cpu_us:,.2f}",
        "of its core": lambda item: f"{item[2].cpu_seconds / item[2].seconds:.0%}",
        "Kafka, CPU µs": lambda item: _us(item[2].kafka_cpu_seconds, item[2]),
        "Redis, CPU µs": lambda item: _us(item[2].redis_cpu_seconds, item[2]),
    }
    kinds = _kinds(found)
    runs = [(number, kind.name, kind.runs[number]) for number in range(found.sizes.rounds) for kind in kinds]
    note = "The fixed loop is timed on the worker's core just before the run: where it takes longer, the machine was slower."
    return _sheet("Every run, in the order in which they were made", columns, runs, note)


def _phases(found: Throughput) -> Sheet:
    total = sum(found.phases.values())
    columns: dict[str, Callable[[tuple[str, float]], str]] = {
        "phase": lambda item: item[0],
        "CPU µs an event": lambda item: f"{item[1]:.2f}",
        "share": lambda item: f"{item[1] / total:.0%}",
    }
    note = (
        "From one more run, with a meter around each part of the step that counts CPU time and not waiting; all told it took "
        f"{found.metered.cpu_us:.2f} µs an event."
    )
    return _sheet("rflow's CPU by phase", columns, [*found.phases.items(), ("all", total)], note)


def _memory(found: list[Memory]) -> Sheet:
    columns: dict[str, Callable[[Memory], str]] = {
        "users": lambda memory: f"{memory.population.users:,}",
        "events each": lambda memory: "–".join(str(n) for n in sorted({memory.population.fewest, memory.population.most})),
        "all told": lambda memory: f"{memory.total:.1f}",
        "key": lambda memory: f"{memory.key:.1f}",
        "of which state": lambda memory: f"{memory.state:.1f}",
        "roster": lambda memory: f"{memory.roster:.1f}",
        "index": lambda memory: f"{memory.index:.1f}",
        "other": lambda memory: f"{memory.other:.2f}",
    }
    note = (
        "All told: the difference in used_memory. Key: MEMORY USAGE of a user's key, in which the state is the value's own length. "
        "Index: the rest, Redis' table of keys above all. Other: meta, labels and what the outbox keeps."
    )
    return _sheet("Bytes per user in Redis", columns, found, note)


def _latency(found: list[Latency]) -> Sheet:
    columns: dict[str, Callable[[Latency], str]] = {
        "events/s": lambda latency: f"{latency.rate:,.0f}",
        "events": lambda latency: f"{latency.events:,}",
        "transitions": lambda latency: f"{latency.transitions:,}",
        "p50, ms": lambda latency: f"{latency.p50:.0f}",
        "p95, ms": lambda latency: f"{latency.p95:.0f}",
        "p99, ms": lambda latency: f"{latency.p99:.0f}",
        "most, ms": lambda latency: f"{latency.most:.0f}",
    }
    plan = found[-1].plan
    note = (
        f"{plan.seconds:g} s after {plan.warm_up:g} s to warm up, {plan.users:,} users, producer and subscriber on the servers' core: "
        "from handing the touchpoint to the producer until its transition reaches the subscriber, which uses the helper (`schemas.follow`)."
    )
    return _sheet("From event to transition in a subscriber, idle and at half the highest rate", columns, found, note)


def _scaling(found: Scaling) -> Sheet:
    columns: dict[str, Callable[[Sharing], str]] = {
        "workers": lambda sharing: str(sharing.workers),
        "fixed loop, ms": lambda sharing: f"{1000 * sharing.loop_seconds:.0f}",
        "events": lambda sharing: f"{sharing.events:,}",
        "seconds": lambda sharing: f"{sharing.seconds:.1f}",
        "events/s": lambda sharing: f"{sharing.per_second:,.0f}",
        "workers' CPU, s": lambda sharing: f"{sharing.worker_cpu:.1f}",
        "Kafka's": lambda sharing: f"{sharing.kafka_cpu:.1f}",
        "Redis'": lambda sharing: f"{sharing.redis_cpu:.1f}",
        "idle": lambda sharing: f"{sharing.idle:.1f}",
        "cores busy": lambda sharing: f"{sharing.busy_share:.0%}",
    }
    note = (
        f"Two workers are {found.ratio:.2f} times as fast as one. With every core busy all the time they would be "
        f"{found.most_possible:.2f} times as fast: the time that one worker took, over the CPU that two took, Kafka's and Redis' "
        "included, spread over the cores."
    )
    return _sheet("Two workers against one", columns, [found.one, found.two], note)


def _spread(values: list[float], form: str) -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def _us(seconds: float, run: Run) -> str:
    """CPU microseconds an event of a server, empty if not measured."""
    return f"{1e6 * seconds / run.events:,.2f}" if seconds else ""
