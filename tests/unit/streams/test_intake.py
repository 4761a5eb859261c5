"""The intake's merge, held against the design's own words: a plain k-way merge of the logs' heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.deadletter import InvalidRecord, Reason
from schemas.touchpoint import KINDS, STRUCTS, Kind, Tick, Touchpoint
from streams.fold import Record
from streams.intake import HEAVY_BYTES, LONGEST_HOLD_S, MOST_BYTES, SHORT_WAIT_S, Intake
from tests.golden.fold_engine import StillMessage

TOPICS = range(len(KINDS))
many = settings(max_examples=300, deadline=None)


@dataclass(frozen=True)
class Item:
    """One record of a log: a touchpoint, a tick, or an invalid one (`at` then counts for nothing)."""

    what: str
    at: int


Place = tuple[int, int]
"""(topic, offset)"""


def read(kind: Kind, value: bytes | None) -> Touchpoint | Tick:
    what, at = (value or b"").decode().rstrip("x").split()
    if what == "bad":
        raise InvalidRecord(Reason.EMPTY, "bad")
    if what == "tick":
        return Tick(occurred_at=int(at))
    own: dict[str, Any] = {"relation_id": "r"} if kind is Kind.MEMBERSHIP else {"order_id": "o", "amount": 1} if kind is Kind.ORDER else {}
    return STRUCTS[kind](event_id="e", type="t", brand="b", user_id="u", occurred_at=int(at), **own)


def message(offset: int, item: Item, size: int = 0) -> StillMessage:
    return StillMessage(offset, f"{item.what} {item.at} ".encode().ljust(size, b"x"))


def fetched(log: Sequence[Item], begin: int, end: int) -> list[StillMessage]:
    return [message(offset, log[offset]) for offset in range(begin, min(end, len(log)))]


def new_intake(*, strict: bool = True) -> Intake:
    return Intake([-1] * len(KINDS), [-1] * len(KINDS), strict=strict)


def places(records: Sequence[Record]) -> list[Place]:
    return [(topic, offset) for _, offset, topic, _, _ in records]


def drain(intake: Intake, most: int, now: float = 0.0) -> list[Place]:
    """All that may be taken now, `most` at a time."""
    found: list[Place] = []
    while taken := intake.take(most, now):
        assert len(taken) <= most
        found += places(taken)
    return found


class Reference:
    """§5 word by word: the earliest head, by time and topic order, is taken once every other log has a head in its buffer or has reached
    that time (shown a tick at it, or a record later than it); an invalid record is taken at the time its log has reached."""

    def __init__(self, logs: Sequence[Sequence[Item]]) -> None:
        self.logs = logs
        self.heads = [0] * len(logs)
        self.ends = [0] * len(logs)

    def drain(self) -> list[Place]:
        found: list[Place] = []
        while True:
            heads = [(self._time(topic), topic) for topic in TOPICS if self._has_head(topic)]
            if not heads:
                return found
            at, topic = min(heads)
            if not all(self._has_head(other) or self._reached(other) >= at for other in TOPICS if other != topic):
                return found
            found.append((topic, self.heads[topic]))
            self.heads[topic] += 1

    def _has_head(self, topic: int) -> bool:
        return self.heads[topic] < self.ends[topic]

    def _time(self, topic: int) -> int:
        item = self.logs[topic][self.heads[topic]]
        before = [one.at for one in self.logs[topic][: self.heads[topic]] if one.what != "bad"]
        return max(before, default=0) if item.what == "bad" else item.at

    def _reached(self, topic: int) -> int:
        shown = self.logs[topic][: self.ends[topic]]
        return max((one.at - (one.what != "tick") for one in shown if one.what != "bad"), default=-1)


items = st.builds(Item, st.sampled_from(("touch", "touch", "touch", "tick", "bad")), st.integers(0, 12))
any_logs = st.lists(st.lists(items, max_size=10), min_size=4, max_size=4)
without_ticks = any_logs.map(lambda logs: [[item for item in log if item.what != "tick"] for log in logs])
"""What comes after a tick at its time or earlier belies the tick: such logs have no order to hold them to."""


def in_order(log: list[Item]) -> list[Item]:
    return sorted(log, key=lambda item: item.at)


logs_in_order = any_logs.map(lambda logs: [in_order(log) for log in logs])
arrivals = st.lists(st.tuples(st.sampled_from(TOPICS), st.integers(1, 4)), max_size=40)


@many
@given(logs_in_order, arrivals, st.integers(1, 5))
def test_logs_in_order_are_merged_as_the_design_says_fetch_by_fetch(
    logs: list[list[Item]], fetches: list[tuple[int, int]], most: int
) -> None:
    intake, reference = new_intake(), Reference(logs)
    for topic, count in fetches:
        begin = reference.ends[topic]
        intake.logs[topic].add(fetched(logs[topic], begin, begin + count), read)
        reference.ends[topic] = min(begin + count, len(logs[topic]))
        assert drain(intake, most) == reference.drain()


@many
@given(without_ticks, arrivals, st.integers(1, 5))
def test_whatever_the_fetches_the_whole_is_sorted_by_the_time_each_log_has_reached(
    logs: list[list[Item]], fetches: list[tuple[int, int]], most: int
) -> None:
    """Logs that end with a tick at the end of time never block, and fetches that overlap tell nothing twice."""
    for log in logs:
        log.append(Item("tick", 99))
    expected = []
    for topic, log in enumerate(logs):
        highest = 0
        for offset, item in enumerate(log):
            highest = highest if item.what == "bad" else max(highest, item.at)
            expected.append(((highest, topic), (topic, offset)))
    intake, ends, taken = new_intake(), [0] * 4, []
    for topic, count in [*fetches, *((topic, 99) for topic in TOPICS)]:
        again = max(0, ends[topic] - 2)
        ends[topic] += count
        intake.logs[topic].add(fetched(logs[topic], again, ends[topic]), read)
        taken += drain(intake, most)
    assert taken == [place for _, place in sorted(expected)]
    assert intake.is_empty
    assert not intake.is_held


@many
@given(any_logs, arrivals)
def test_nothing_is_taken_before_the_other_logs_could_still_bring_something_earlier(
    logs: list[list[Item]], fetches: list[tuple[int, int]]
) -> None:
    intake, ends = new_intake(), [0] * 4
    for topic, count in fetches:
        intake.logs[topic].add(fetched(logs[topic], ends[topic], ends[topic] + count), read)
        ends[topic] = min(ends[topic] + count, len(logs[topic]))
        for order, _, own, _, _ in intake.take(99, 0.0):
            at = order // len(KINDS)
            for other in set(TOPICS) - {own}:
                shown = logs[other][: ends[other]]
                # A broken record stands where its log has come to.
                assert shown
                assert max((item.at for item in shown if item.what != "bad"), default=0) >= at


@many
@given(logs_in_order, st.integers(0, 30))
def test_a_successor_goes_on_in_the_same_order(logs: list[list[Item]], applied: int) -> None:
    for log in logs:
        log.append(Item("tick", 99))
        log[:] = [item for item in log if item.what != "bad"]
    whole = new_intake()
    for topic, log in enumerate(logs):
        whole.logs[topic].add(fetched(log, 0, 99), read)
    expected = drain(whole, 99)

    first = new_intake()
    for topic, log in enumerate(logs):
        first.logs[topic].add(fetched(log, 0, 99), read)
    taken = first.take(applied, 0.0) if applied else []
    offsets, reached = [-1] * 4, [-1] * 4
    for _, offset, topic, item, _ in taken:
        assert not isinstance(item, InvalidRecord)
        assert isinstance(item.occurred_at, int)
        offsets[topic] = offset
        reached[topic] = max(reached[topic], item.occurred_at - (not isinstance(item, Tick)))
    heir = Intake(offsets, reached, strict=True)
    for topic, log in enumerate(logs):
        heir.logs[topic].add(fetched(log, 0, 99), read)
    assert places(taken) + drain(heir, 7) == expected


@many
@given(any_logs, st.integers(1, 5))
def test_live_and_caught_up_takes_all_that_is_there_after_a_short_wait(logs: list[list[Item]], most: int) -> None:
    intake = new_intake(strict=False)
    for topic, log in enumerate(logs):
        intake.logs[topic].add(fetched(log, 0, 99), read)
        intake.logs[topic].caught_up = True
    taken = drain(intake, most, 0.0)
    for turn in range(1, 99):  # each head that is held anew waits anew
        taken += drain(intake, most, turn * SHORT_WAIT_S * 1.01)
    assert sorted(taken) == [(topic, offset) for topic, log in enumerate(logs) for offset in range(len(log))]
    assert intake.forced == 0


def test_live_waits_a_short_while_for_an_idle_log_that_is_caught_up() -> None:
    intake = new_intake(strict=False)
    for log in intake.logs:
        log.caught_up = True
    intake.logs[3].add(fetched([Item("touch", 5)], 0, 1), read)
    assert intake.take(9, 100.0) == []
    assert intake.is_held
    hint = intake.wait_hint(100.0)
    assert hint == pytest.approx(SHORT_WAIT_S)
    assert intake.take(9, 100.0 + SHORT_WAIT_S / 2) == []
    assert len(intake.take(9, 100.0 + SHORT_WAIT_S * 1.01)) == 1
    assert intake.forced == 0
    assert intake.is_caught_up


def test_live_an_exposure_that_comes_within_the_wait_goes_first() -> None:
    intake = new_intake(strict=False)
    for log in intake.logs:
        log.caught_up = True
    intake.logs[3].add(fetched([Item("touch", 5)], 0, 1), read)
    assert intake.take(9, 0.0) == []
    intake.logs[0].add(fetched([Item("touch", 4)], 0, 1), read)
    assert intake.take(9, SHORT_WAIT_S / 2) == []
    assert drain(intake, 9, SHORT_WAIT_S) == [(0, 0), (3, 0)]


@pytest.mark.parametrize(("caught_up", "bound"), [(True, SHORT_WAIT_S), (False, LONGEST_HOLD_S)])
def test_live_a_log_that_drips_older_records_holds_nobody_longer_than_an_idle_one(caught_up: bool, bound: float) -> None:
    """Exposures whose producer's clock is a minute slow, one a millisecond, and an order."""
    intake = new_intake(strict=False)
    for log in intake.logs:
        log.caught_up = caught_up
    intake.logs[3].add(fetched([Item("touch", 60_000)], 0, 1), read)
    for millisecond in range(10_000):
        intake.logs[0].add([message(millisecond, Item("touch", millisecond))], read)
        if (3, 0) in drain(intake, 10_000, millisecond / 1000):
            break
    assert bound <= millisecond / 1000 <= bound + 0.002
    assert intake.forced == (not caught_up)


def test_live_waits_longer_for_a_log_that_is_behind_but_not_for_ever_and_counts_it() -> None:
    intake = new_intake(strict=False)
    for log in intake.logs[1:]:
        log.caught_up = True
    intake.logs[3].add(fetched([Item("touch", 5)], 0, 1), read)
    assert intake.take(9, 0.0) == []
    assert intake.take(9, LONGEST_HOLD_S - 0.01) == []
    assert intake.wait_hint(LONGEST_HOLD_S - 0.5) == pytest.approx(0.5)
    assert intake.forced == 0
    assert len(intake.take(9, LONGEST_HOLD_S)) == 1
    assert intake.forced == 1


def test_strict_waits_for_news_alone() -> None:
    intake = new_intake()
    intake.logs[3].add(fetched([Item("touch", 5)], 0, 1), read)
    for log in intake.logs:
        log.caught_up = True
    assert intake.take(9, 0.0) == []
    assert intake.take(9, 1e9) == []
    assert intake.wait_hint(1e9) is None
    assert intake.forced == 0


def test_at_equal_times_topics_go_in_order_and_ticks_with_their_own_log() -> None:
    intake = new_intake()
    for topic in reversed(TOPICS):
        intake.logs[topic].add(fetched([Item("touch", 7), Item("tick", 7)], 0, 2), read)
    assert places(intake.take(9, 0.0)) == [(topic, offset) for topic in TOPICS for offset in (0, 1)]


def test_a_step_is_cut_where_its_records_grow_heavy_and_the_log_is_light_again_when_they_are_gone() -> None:
    intake = new_intake()
    log = [*[Item("touch", 1)] * 40, Item("touch", 2)]
    size = 1_000_000
    intake.logs[1].add([message(offset, item, size) for offset, item in enumerate(log)], read)
    for topic in (0, 2, 3):
        intake.logs[topic].add([message(0, Item("tick", 9))], read)
    assert intake.logs[1].heavy == 41 * size
    weights = []
    while taken := intake.take(4_000, 0.0):
        weights.append(sum(len(record[4].value() or b"") for record in taken))
    intake.logs[1].add([message(len(log), Item("tick", 9))], read)
    drain(intake, 4_000)
    assert max(weights) <= MOST_BYTES
    assert all(weight > MOST_BYTES - 2 * size for weight in weights[:-1])
    assert intake.logs[1].heavy == 0
    assert intake.is_empty


def test_one_record_heavier_than_a_step_is_taken_alone() -> None:
    intake = new_intake()
    sizes = [MOST_BYTES + 1, HEAVY_BYTES, MOST_BYTES + 1]
    intake.logs[0].add([message(offset, Item("touch", offset), size) for offset, size in enumerate(sizes)], read)
    for topic in (1, 2, 3):
        intake.logs[topic].add([message(0, Item("tick", 9))], read)
    steps = [places(intake.take(99, 0.0)) for _ in range(3)]
    assert steps[0] == [(0, 0)]
    assert steps[1] == [(0, 1)]
    assert steps[2][0] == (0, 2)
    assert all(a < b for a, b in pairwise(steps[:2]))
