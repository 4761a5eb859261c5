"""The fault campaign: `python -m tests.chaos --seeds 1-200 --json FILE`. Exit status 1 on a difference or a missed bound.

A seed runs again by its number: `python -m tests.chaos --seeds 17`. `--show` prints schedules and runs nothing.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from tests.chaos.operation import Operation
from tests.chaos.report import print_report, print_seed, summary, write_json
from tests.chaos.schedule import schedule
from tests.chaos.stage import Stage
from tests.chaos.trial import Result, Trials
from tests.workers import ROOT


def seeds_of(text: str) -> list[int]:
    """`1-3,7` as [1, 2, 3, 7]. Raises ArgumentTypeError."""
    found: list[int] = []
    for part in text.split(","):
        named = re.fullmatch(r"([1-9][0-9]*)(?:-([1-9][0-9]*))?", part)
        if named is None:
            raise argparse.ArgumentTypeError(f"expected seeds such as 1-200 or 3,17, found {text!r}")
        found += range(int(named[1]), int(named[2] or named[1]) + 1)
    return found


def main() -> int:
    """0 if every seed is good."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="The fault campaign.")
    parser.add_argument("--seeds", type=seeds_of, default=seeds_of("1-4"), help="such as 1-200 or 3,17 (default: 1-4, every kind once)")
    parser.add_argument(
        "--beside",
        type=Operation,
        choices=list(Operation),
        help="what operators do meanwhile: upgrade every process one by one, add partitions",
    )
    parser.add_argument(
        "--former", type=Path, default=ROOT, help="the folder of a release's source with which upgrades begin (default: this)"
    )
    parser.add_argument("--json", type=Path, help="write the report there, too")
    parser.add_argument("--folder", type=Path, help="where logs of what fails are kept (default: a temporary folder)")
    parser.add_argument("--no-bounds", action="store_true", help="tell recovery times without judging them: the machine has other work")
    parser.add_argument("--show", action="store_true", help="print the schedules alone")
    given = parser.parse_args()
    console = Console(soft_wrap=True, width=120)
    if given.show:
        for seed in given.seeds:
            console.print(str(schedule(seed)), highlight=False, markup=False)
        return 0
    folder = given.folder or Path(tempfile.mkdtemp(prefix="rflow-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    results: list[Result] = []
    load = 0.0
    try:
        with Stage(folder.resolve()) as stage:
            trials = Trials(stage, given.former.resolve())
            for seed in given.seeds:
                result = trials.run(seed, given.beside)
                if given.no_bounds:
                    result.missed = []
                results.append(result)
                load = max(load, os.getloadavg()[0])
                print_seed(result, console)
                if given.json:
                    write_json(given.json, summary(results, load))
    except KeyboardInterrupt:
        console.print("interrupted: the report is of the seeds so far")
    if not results:
        return 1
    print_report(summary(results, load), console)
    bad = [str(result.schedule.seed) for result in results if not result.is_good]
    if bad:
        console.print(f"logs in {folder}; again: python -m tests.chaos --seeds {','.join(bad)}", highlight=False)
    return 1 if bad else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopped as by Ctrl-C, the servers with it
    sys.exit(main())
