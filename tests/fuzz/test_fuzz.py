"""A short run of the fuzzer, and Hypothesis over the same target; `make fuzz` is the long one."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutate import SEEDS, Mutator
from tests.fuzz.shard import SEPARATOR, judge

RANDOMS = st.integers(0, 2**32).map(random.Random)


@settings(max_examples=300, deadline=None)
@given(RANDOMS)
def test_sequences_that_collide_bent_and_broken_leave_the_shard_sound(chance: random.Random) -> None:
    mutator = Mutator(chance)
    data = mutator.input()
    for _ in range(4):
        judge(data)
        data = mutator.mutated(data, 16_384)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=64) | st.sampled_from(SEEDS), max_size=12).map(SEPARATOR.join))
@example(b"")
@example(SEPARATOR * 3)
def test_any_bytes_leave_the_shard_sound(data: bytes) -> None:
    judge(data)


def test_the_mutator_reaches_every_fate_of_a_record() -> None:
    mutator = Mutator(random.Random(1))
    fates: Counter[str] = Counter()
    for _ in range(1_000):
        fates += judge(mutator.input())
    assert {"applied", "duplicate", "tick", "letter", "forwarded", "repeated", "spend", "bad spend"} == set(fates)
    assert fates["applied"] > fates["letter"]
