"""What operators do to a deployment while faults strike: they replace every process by another release's, or add partitions."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from random import Random

from tests.chaos.crew import Crew
from tests.chaos.inputs import Feeder
from tests.chaos.strike import stop, until_at_work
from tests.workers import ROOT

_PATIENCE_S = 90.0
_LONGEST_TRY_S = 4.0
_MOST_KILLS = 3


class Operation(StrEnum):
    """What goes on beside the faults. Faults of rflow's own processes do not strike meanwhile: the operation does as much to them."""

    UPGRADE = "upgrade"
    """sink and workers are replaced one by one by another release's, and in the second burst the workers by the former's again"""
    PARTITIONS = "partitions"
    """twice the partitions, by `rflow reshard`, which is killed on the way and run again"""


class Upgrade:
    """Replaces everybody, one by one, with surge: the successor is at work before the next is stopped. The crew begins with the `former`
    release; the second passing puts its workers back, but not its sink, which may not know the tables by then."""

    def __init__(self, crew: Crew, former: Path) -> None:
        self._crew = crew
        self._former = former
        crew.roots = {"sink": former, "worker": former}

    def carry_out(self) -> None:
        roots = self._crew.roots
        if roots["sink"] != ROOT:
            self._replace("sink", ROOT)
        self._replace("worker", self._former if roots["worker"] == ROOT else ROOT)

    def _replace(self, role: str, root: Path) -> None:
        crew = self._crew
        crew.roots[role] = root
        for _ in range(crew.size(role)):
            joined = crew.join(role)
            until_at_work(joined)
            old = crew.take(role, 0)
            assert joined.is_running, joined.tail()
            assert old.is_running, old.tail()
            stop(old)


class MorePartitions:
    """The procedure of deploy/RUNBOOK_PARTITIONS.md, the first time it is carried out; later it does nothing."""

    def __init__(self, crew: Crew, feeder: Feeder, seed: int) -> None:
        self._crew = crew
        self._feeder = feeder
        self._random = Random(f"partitions {seed}")
        self._done = False
        self.kills = 0

    def carry_out(self) -> None:
        if self._done:
            return
        crew, deployment = self._crew, self._crew.deployment
        crew.dismiss(kill=self._random.random() < 0.5)
        after = 2 * deployment.settings.partitions
        until = time.monotonic() + 2 * _PATIENCE_S
        while not self._dealt(after):  # it refuses, too, until Kafka has forgotten workers that were killed
            assert time.monotonic() < until, "rflow reshard: " + "; ".join(file.read_text()[-300:] for file in crew.folder.glob("reshard*"))
            time.sleep(0.2)
        deployment.settings = deployment.settings.model_copy(update={"partitions": after})
        self._feeder.partitions = after
        crew.call_in()
        self._done = True

    def _dealt(self, after: int) -> bool:
        """Runs it once; whether it came to its end. Some times it is killed somewhere."""
        process = self._crew.reshard(after)
        if self.kills < _MOST_KILLS and self._random.random() < 0.7:
            until = time.monotonic() + self._random.uniform(0.5, _LONGEST_TRY_S)
            while process.is_running and time.monotonic() < until:
                time.sleep(0.02)
            if process.is_running:
                process.kill()
                self.kills += 1
                return False
        return process.wait(_PATIENCE_S) == 0
