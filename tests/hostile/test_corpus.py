"""The hostile records, each by itself and all of them together, without a server."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from schemas.deadletter import InvalidRecord, Reason
from sources.route import route
from tests.fuzz.shard import NOW, VALIDATOR, Incoming, Shard
from tests.hostile.corpus import Case, cases

CASES = cases(NOW)
MOST_CPU_S = 0.5
"""For one record, on a busy machine; a touchpoint takes some microseconds."""


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_hostile_record_is_refused_for_its_reason_and_an_odd_one_taken(case: Case) -> None:
    began = time.process_time()
    try:
        VALIDATOR.validate(case.kind, case.value)
        reason = None
    except InvalidRecord as invalid:
        reason = invalid.reason
    assert reason == case.reason
    route(case.value or b"")
    assert time.process_time() - began < MOST_CPU_S


def test_every_reason_that_a_value_can_give_has_its_cases() -> None:
    assert {case.reason for case in CASES} == {*Reason, None} - {Reason.MISROUTED}


@pytest.mark.parametrize("cut", [1, 7, 10_000])
def test_all_of_them_together_leave_the_shard_sound(cut: int) -> None:
    shard = Shard()
    shard.take(Incoming(case.kind, case.value, ends_step=i % cut == 0) for i, case in enumerate(CASES))
    expected = Counter(case.reason is None for case in CASES)
    outcomes = shard.outcomes
    assert outcomes["letter"] == expected[False]
    assert outcomes["applied"] + outcomes["duplicate"] + outcomes["tick"] + outcomes["forwarded"] == expected[True]
    assert outcomes["duplicate"] == 1
    assert outcomes["tick"] == 3
