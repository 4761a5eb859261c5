"""Every case of every decision, as a table."""

from __future__ import annotations

import pytest

from sinks.decision import (
    SINGLE,
    Agreement,
    Log,
    Mark,
    Opening,
    Settling,
    Step,
    Stream,
    Verdict,
    agreement,
    judge,
    log_state,
    opening,
    settling,
    step_state,
)
from streams.forgotten import Forgotten

NONE = Mark()
WHOLE = Mark(offset=9, version=5, index=2, whole=True)
PART = Mark(offset=9, version=5, index=2, whole=False)


@pytest.mark.parametrize(
    ("seen", "version", "index", "verdict"),
    [
        (NONE, 0, 0, Verdict.NEW),
        (NONE, 1, 0, Verdict.NEW),
        (NONE, 2, 0, Verdict.GAP),
        (NONE, 1, 1, Verdict.GAP),
        (WHOLE, 5, 2, Verdict.REPEATED),
        (WHOLE, 5, 0, Verdict.REPEATED),
        (WHOLE, 4, 9, Verdict.REPEATED),
        (WHOLE, 0, 0, Verdict.REPEATED),
        (WHOLE, 5, 3, Verdict.GAP),
        (WHOLE, 6, 0, Verdict.NEW),
        (WHOLE, 6, 1, Verdict.GAP),
        (WHOLE, 7, 0, Verdict.GAP),
        (PART, 5, 2, Verdict.REPEATED),
        (PART, 5, 3, Verdict.NEW),
        (PART, 5, 4, Verdict.GAP),
        (PART, 6, 0, Verdict.GAP),
        (PART, 7, 0, Verdict.GAP),
    ],
)
def test_every_step_has_a_rollup_and_every_rollup_its_parts(seen: Mark, version: int, index: int, verdict: Verdict) -> None:
    assert judge(Stream.ROLLUPS, seen, version, index) is verdict


@pytest.mark.parametrize("stream", [Stream.ROLLUPS, Stream.TRANSITIONS])
@pytest.mark.parametrize(
    ("seen", "version", "index", "verdict"),
    [
        (WHOLE, 6, 0, Verdict.FORGOTTEN),
        (WHOLE, 9, 3, Verdict.FORGOTTEN),
        (WHOLE, 8, 0, Verdict.FORGOTTEN),
        (WHOLE, 10, 0, Verdict.NEW),
        (WHOLE, 10, 1, Verdict.GAP),
        (WHOLE, 5, 2, Verdict.REPEATED),
        (Mark(9, 10, 0), 7, 0, Verdict.FORGOTTEN),
        (Mark(9, 10, 0), 11, 0, Verdict.NEW),
    ],
)
def test_forgotten_steps_are_passed_over_and_leave_no_gap(stream: Stream, seen: Mark, version: int, index: int, verdict: Verdict) -> None:
    assert judge(stream, seen, version, index, [Forgotten(5, 9)]) is verdict


@pytest.mark.parametrize(
    ("seen", "version", "forgotten", "verdict"),
    [
        (Mark(9, 4, 0), 10, Forgotten(5, 9), Verdict.GAP),
        (Mark(9, 4, 0), 5, Forgotten(5, 9), Verdict.NEW),
        (PART, 10, Forgotten(5, 9), Verdict.GAP),
        (WHOLE, 11, Forgotten(5, 9), Verdict.GAP),
        (NONE, 4, Forgotten(0, 3), Verdict.NEW),
        (NONE, 5, Forgotten(0, 3), Verdict.GAP),
    ],
)
def test_what_is_missing_beside_forgotten_steps_is_a_gap(seen: Mark, version: int, forgotten: Forgotten, verdict: Verdict) -> None:
    assert judge(Stream.ROLLUPS, seen, version, 0, [forgotten]) is verdict


@pytest.mark.parametrize("stream", SINGLE)
def test_records_that_belong_to_no_step_are_never_forgotten(stream: Stream) -> None:
    assert judge(stream, NONE, 7, 0, [Forgotten(5, 9)]) is Verdict.NEW


@pytest.mark.parametrize(
    ("seen", "version", "index", "verdict"),
    [
        (NONE, 0, 0, Verdict.NEW),
        (NONE, 7, 0, Verdict.NEW),
        (NONE, 7, 1, Verdict.GAP),
        (WHOLE, 5, 2, Verdict.REPEATED),
        (WHOLE, 4, 9, Verdict.REPEATED),
        (WHOLE, 5, 3, Verdict.NEW),
        (WHOLE, 5, 4, Verdict.GAP),
        (WHOLE, 6, 0, Verdict.NEW),
        (WHOLE, 60, 0, Verdict.NEW),
        (WHOLE, 6, 1, Verdict.GAP),
    ],
)
def test_a_step_need_not_have_transitions_but_lacks_none_of_those_it_has(seen: Mark, version: int, index: int, verdict: Verdict) -> None:
    assert judge(Stream.TRANSITIONS, seen, version, index) is verdict


@pytest.mark.parametrize("stream", SINGLE)
@pytest.mark.parametrize("seen", [NONE, WHOLE, PART])
def test_a_record_that_stands_for_itself_is_told_by_its_offset_alone(stream: Stream, seen: Mark) -> None:
    assert judge(stream, seen, 0, 0) is Verdict.NEW


@pytest.mark.parametrize(
    ("expected", "found", "passed", "state"),
    [
        (0, 0, False, Step.WHOLE),
        (3, 3, False, Step.WHOLE),
        (3, 3, True, Step.WHOLE),
        (3, 2, False, Step.WAITING),
        (3, 0, False, Step.WAITING),
        (3, 2, True, Step.LOST),
        (3, 0, True, Step.LOST),
        (3, 4, False, Step.LOST),
        (0, 1, False, Step.LOST),
    ],
)
def test_a_step_is_whole_with_its_transitions(expected: int, found: int, passed: bool, state: Step) -> None:
    assert step_state(expected, found, passed=passed) is state


@pytest.mark.parametrize(
    ("wanted", "begins", "ends", "state"),
    [
        (0, 0, 0, Log.FITS),
        (0, 0, 5, Log.FITS),
        (5, 0, 5, Log.FITS),
        (5, 5, 5, Log.FITS),
        (4, 5, 9, Log.GAP),
        (0, 5, 9, Log.GAP),
        (6, 0, 5, Log.STALE),
        (1, 0, 0, Log.STALE),
    ],
)
def test_log_state(wanted: int, begins: int, ends: int, state: Log) -> None:
    assert log_state(wanted, begins, ends) is state


@pytest.mark.parametrize(
    ("last", "done", "expected"),
    [
        (0, False, Opening.FRESH),
        (0, True, Opening.FRESH),
        (7, True, Opening.DONE),
        (7, False, Opening.DOUBTFUL),
    ],
)
def test_opening(last: int, done: bool, expected: Opening) -> None:
    assert opening(last, done) is expected


@pytest.mark.parametrize(
    ("last", "done", "author", "expected"),
    [
        (7, False, "me", Agreement.OURS),
        (7, False, "other", Agreement.THEIRS),
        (7, True, "me", Agreement.OVERTAKEN),
        (7, True, "other", Agreement.OVERTAKEN),
        (7, True, None, Agreement.OVERTAKEN),
        (7, False, None, Agreement.LOST),
        (6, True, "me", Agreement.LOST),
        (6, True, "other", Agreement.LOST),
        (0, False, None, Agreement.LOST),
        (8, False, "me", Agreement.OVERTAKEN),
        (8, False, "other", Agreement.OVERTAKEN),
        (8, True, "other", Agreement.OVERTAKEN),
    ],
)
def test_agreement_on_block_7(last: int, done: bool, author: str | None, expected: Agreement) -> None:
    assert agreement(7, "me", last, done, author) is expected


@pytest.mark.parametrize(
    ("highest", "expected"), [(0, Settling.MISSING), (6, Settling.MISSING), (7, Settling.STORED), (8, Settling.STORED)]
)
def test_settling_of_block_7(highest: int, expected: Settling) -> None:
    assert settling(7, highest) is expected
