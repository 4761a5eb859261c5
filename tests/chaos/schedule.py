"""A seed's schedule: which faults strike when. A pure function of the seed, so that each can be run again by its number.

Seeds are dealt in blocks. The first four seeds of a block are storms: between them every kind of fault strikes once, some five at a
time. The others deal a second pack of all kinds, one fault at a time, so that the recovery from each can be measured.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from tests.chaos.faults import Fault, Kind, lasts

STORMS = 4
_BURSTS = 2
_A_SEED = 3
_MORE = (Kind.WORKER_KILL,) * 3 + (Kind.WORKER_STOP,) * 2 + (Kind.WORKER_ROLL,) * 2
"""Cards that the pack of single faults holds more of: those whose recovery has a bound of its own."""
_PACK = len(Kind) + len(_MORE)
BLOCK = STORMS + -(-_PACK // _A_SEED)
"""Seeds in which every kind strikes at least twice: once in a storm, once alone."""
INPUTS = 3
_LIVE_EVERY = 6

Burst = tuple[Fault, ...]
"""Faults that strike together, in order of time."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What happens to one deployment. `is_live` runs the workers' live intake, whose transitions depend on when records arrive; all else
    is strict and must equal a run without faults. `input` chooses among the inputs of strict runs."""

    seed: int
    is_live: bool
    input: int
    bursts: tuple[Burst, ...]

    @property
    def faults(self) -> list[Fault]:
        """All faults, burst after burst."""
        return [fault for burst in self.bursts for fault in burst]

    def without(self, *families: str) -> Schedule:
        """The same without faults of some families; a burst may be left without any."""
        bursts = tuple(tuple(fault for fault in burst if fault.kind.family not in families) for burst in self.bursts)
        return replace(self, bursts=bursts)

    @property
    def is_storm(self) -> bool:
        """Whether several faults strike at once."""
        return any(len(burst) > 1 for burst in self.bursts)

    def __str__(self) -> str:
        head = f"seed {self.seed}: {'live' if self.is_live else f'strict, input {self.input}'}"
        return "\n".join([head, *(f"  {', '.join(map(str, burst))}" for burst in self.bursts)])


def schedule(seed: int) -> Schedule:
    """The schedule of a seed. Raises ValueError for one below 1."""
    if seed < 1:
        raise ValueError(f"expected a seed of 1 or more, found {seed}")
    block, place = divmod(seed - 1, BLOCK)
    alone = _alone(block)[max(0, place - STORMS) * _A_SEED :][:_A_SEED]
    kinds = _storm(block, place) if place < STORMS else [[kind] for kind in alone]
    random = Random(f"schedule {seed}")
    bursts = tuple(_burst(random, burst) for burst in kinds if burst)
    return Schedule(seed, place >= STORMS and seed % _LIVE_EVERY == 0, block % INPUTS, bursts)


def _storm(block: int, place: int) -> list[list[Kind]]:
    """Every family's kinds over the bursts of the block's storms: no burst has two of one family."""
    random = Random(f"storms {block}")
    dealt: list[list[Kind]] = [[] for _ in range(STORMS * _BURSTS)]
    for family in dict.fromkeys(kind.family for kind in Kind):
        kinds = [kind for kind in Kind if kind.family == family]
        for burst, kind in zip(random.sample(dealt, len(kinds)), kinds, strict=True):
            burst.append(kind)
    return dealt[place * _BURSTS :][:_BURSTS]


def _alone(block: int) -> list[Kind]:
    pack = [*Kind, *_MORE]
    Random(f"alone {block}").shuffle(pack)
    return pack


def _burst(random: Random, kinds: list[Kind]) -> Burst:
    found = []
    for kind in kinds:
        shortest, longest = lasts(kind)
        at = random.uniform(0, 2.0) if len(kinds) > 1 else random.uniform(0, 0.5)
        found.append(Fault(kind, round(at, 3), round(random.uniform(shortest, longest), 3), random.randrange(2), round(random.random(), 4)))
    return tuple(sorted(found, key=lambda fault: (fault.at, fault.kind)))
