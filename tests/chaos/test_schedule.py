"""A schedule is its seed's alone, and a block of seeds leaves no kind of fault out."""

from __future__ import annotations

import argparse
from collections import Counter

import pytest

from tests.chaos.__main__ import seeds_of
from tests.chaos.faults import Kind, lasts
from tests.chaos.schedule import BLOCK, STORMS, schedule

SEEDS = range(1, 5 * BLOCK + 1)


def test_a_seed_has_one_schedule() -> None:
    assert [schedule(seed) for seed in SEEDS] == [schedule(seed) for seed in SEEDS]
    assert str(schedule(3)) == str(schedule(3))
    assert len({schedule(seed).bursts for seed in SEEDS}) == len(SEEDS)


@pytest.mark.parametrize("block", range(5))
def test_the_storms_of_a_block_strike_with_every_kind_once(block: int) -> None:
    begin = block * BLOCK + 1
    storms = [schedule(seed) for seed in range(begin, begin + STORMS)]
    assert Counter(fault.kind for storm in storms for fault in storm.faults) == Counter(Kind)
    assert all(storm.is_storm and not storm.is_live for storm in storms)


@pytest.mark.parametrize("block", range(5))
def test_the_other_seeds_of_a_block_strike_with_every_kind_alone(block: int) -> None:
    begin = block * BLOCK + 1
    calm = [schedule(seed) for seed in range(begin + STORMS, begin + BLOCK)]
    assert {fault.kind for one in calm for fault in one.faults} == set(Kind)
    assert all(one.bursts and not one.is_storm for one in calm)


def test_a_burst_strikes_nobody_twice_at_once_and_in_order_of_time() -> None:
    for seed in SEEDS:
        for burst in schedule(seed).bursts:
            assert len({fault.kind.family for fault in burst}) == len(burst)
            assert [fault.at for fault in burst] == sorted(fault.at for fault in burst)


def test_faults_last_as_long_as_their_kind_may() -> None:
    for fault in (fault for seed in SEEDS for fault in schedule(seed).faults):
        shortest, longest = lasts(fault.kind)
        assert shortest <= fault.lasts <= longest
        assert 0 <= fault.share <= 1


def test_strict_and_live_seeds_are_both_there_and_all_inputs() -> None:
    schedules = [schedule(seed) for seed in SEEDS]
    assert {one.is_live for one in schedules} == {True, False}
    assert {one.input for one in schedules if not one.is_live} == {0, 1, 2}


def test_families_can_be_left_out_and_all_else_stays() -> None:
    for seed in SEEDS:
        whole, part = schedule(seed), schedule(seed).without("worker", "sink")
        assert part.faults == [fault for fault in whole.faults if fault.kind.family not in ("worker", "sink")]
        assert len(part.bursts) == len(whole.bursts)


def test_there_is_no_seed_below_one() -> None:
    with pytest.raises(ValueError, match="1 or more, found 0"):
        schedule(0)


def test_seeds_are_named_one_by_one_or_from_to() -> None:
    assert seeds_of("1-3,7") == [1, 2, 3, 7]
    assert seeds_of("12") == [12]
    for text in ("", "0", "a", "1-", "3-x", "1,,2"):
        with pytest.raises(argparse.ArgumentTypeError):
            seeds_of(text)
