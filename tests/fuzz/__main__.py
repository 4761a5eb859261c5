"""The long run: `python -m tests.fuzz --seconds 3600`, or `make fuzz SECONDS=3600`.

With `atheris` installed (the extra `fuzz`) the search is guided by the branches that an input takes; else inputs are drawn blindly by
the same mutator. What fails is kept in a file beside its traceback, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

INSTRUMENTED = ["schemas", "sources", "streams", "sinks"]
LONGEST = 16_384
"""Bytes of one input: the large hostile records are cases of the corpus, not seeds."""
_POOL = 500
_TELL_S = 10.0


class Tally:
    """Counts what has been judged, and tells it now and then."""

    def __init__(self, seconds: float, most: int | None) -> None:
        self.inputs = 0
        self.records: Counter[str] = Counter()
        self._most = most
        self._began = self._told = time.monotonic()
        self._until = self._began + seconds

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._until or (self._most is not None and self.inputs >= self._most)

    def add(self, outcomes: Counter[str]) -> None:
        """One more input."""
        self.inputs += 1
        self.records.update(outcomes)
        if self.inputs % 256 == 0 and time.monotonic() - self._told >= _TELL_S:
            self.tell()

    def tell(self) -> None:
        """One line: inputs, records, and what became of these."""
        self._told = time.monotonic()
        became = ", ".join(f"{name} {n:,}" for name, n in self.records.most_common())
        seconds = self._told - self._began
        print(f"{seconds:7.0f} s  {self.inputs:,} inputs  {self.records.total():,} records: {became}", flush=True)


def keep(folder: Path, data: bytes) -> Path:
    """Write an input that failed to a file of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"input-{hashlib.sha256(data).hexdigest()[:12]}.bin"
    path.write_bytes(data)
    return path


def judged(judge: Callable[[bytes], Counter[str]], data: bytes, tally: Tally, folder: Path) -> bool:
    """Judge one input; False if it failed, which is told."""
    try:
        tally.add(judge(data))
    except Exception:
        traceback.print_exc()
        print(f"failed: {keep(folder, data)}", file=sys.stderr, flush=True)
        return False
    return True


def blind(target: str, seed: int, tally: Tally, folder: Path) -> int:
    """Inputs drawn at random, half of them changed from earlier ones."""
    from tests.fuzz import shard
    from tests.fuzz.mutate import SEEDS, Mutator

    judge = getattr(shard, target)
    chance = random.Random(seed)
    mutator = Mutator(chance)
    new = mutator.input if target == "judge" else mutator.part
    pool = list(SEEDS)
    while not tally.is_over:
        data = new() if chance.random() < 0.5 else mutator.mutated(chance.choice(pool), LONGEST)
        if not judged(judge, data, tally, folder):
            return 1
        if len(pool) < _POOL:
            pool.append(data)
        else:
            pool[int(chance.random() * _POOL)] = data
    tally.tell()
    return 0


def guided(target: str, seed: int, tally: Tally, folder: Path) -> None:
    """Inputs that atheris finds worth trying. Does not return: its engine lives as long as the process."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz import shard
        from tests.fuzz.mutate import SEEDS, Mutator

    judge, separator = getattr(shard, target), shard.SEPARATOR

    def one(data: bytes) -> None:
        failed = not judged(judge, data, tally, folder)
        if failed or tally.is_over:
            tally.tell()
            os._exit(failed)

    def mutate(data: bytes, most: int, seed: int) -> Any:
        chance = random.Random(seed)
        if chance.random() < 0.3:
            return atheris.Mutate(data, most)
        mutator = Mutator(chance)
        changed = mutator.input()[:most] if chance.random() < 0.1 else mutator.mutated(data, most)
        return changed if target == "judge" else changed.split(separator)[0]

    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for data in SEEDS:
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    options = [f"-max_len={LONGEST}", f"-seed={seed}", "-timeout=20", "-verbosity=0", f"-artifact_prefix={folder}/"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], one, custom_mutator=mutate)
    atheris.Fuzz()


def main() -> int:
    """0 if every input was judged sound."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--inputs", type=int, default=None, help="stop after so many")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--decode", action="store_true", help="no further than decoding, one record an input: thirty times as many")
    parser.add_argument("--blind", action="store_true", help="without atheris, though it is installed")
    parser.add_argument("--folder", type=Path, default=Path(".fuzz"), help="where what fails is kept")
    parser.add_argument("--again", type=Path, help="judge this one input")
    told = parser.parse_args()
    tally, target = Tally(told.seconds, told.inputs), "decode" if told.decode else "judge"
    if told.again is not None:
        from tests.fuzz import shard

        return 0 if judged(getattr(shard, target), told.again.read_bytes(), tally, told.folder) else 1
    if importlib.util.find_spec("atheris") is None or told.blind:
        return blind(target, told.seed, tally, told.folder)
    guided(target, told.seed, tally, told.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
