"""The subscriber's rule makes repeated outbox entries disappear, also across restarts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.subscriber import SubscriberRule

Record = tuple[int, int, int]


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[Record], list[Record]]:
    """What two partitions should carry, and what they do carry: after a crash a publisher repeats from any earlier step on."""
    wanted: list[Record] = []
    carried: list[Record] = []
    for partition in (0, 1):
        sizes = draw(st.lists(st.integers(0, 3), max_size=6))
        entries = [[(partition, version + 1, index) for index in range(size)] for version, size in enumerate(sizes)]
        wanted += [record for entry in entries for record in entry]
        reached = 0
        for _ in range(draw(st.integers(0, 3))):  # a crash inside or after entry `end`; what it cut off is told again
            start, end = draw(st.integers(0, reached)), draw(st.integers(reached, len(entries)))
            kept = draw(st.integers(0, 3))
            carried += [record for i, entry in enumerate(entries[start:end], start + 1) for record in entry[: kept if i == end else None]]
            if end > start:
                reached = max(reached, end if kept >= len(entries[end - 1]) else end - 1)
        carried += [record for entry in entries[draw(st.integers(0, reached)) :] for record in entry]
    return wanted, carried


@given(logs(), st.integers(0, 40))
def test_each_record_is_taken_once_and_in_order(told: tuple[list[Record], list[Record]], restart_at: int) -> None:
    wanted, carried = told
    rule = SubscriberRule()
    taken = []
    for i, record in enumerate(carried):
        if i == restart_at:
            rule = SubscriberRule(rule.position)
        if rule.is_new(*record):
            taken.append(record)
    for partition in (0, 1):
        assert [r for r in taken if r[0] == partition] == [r for r in wanted if r[0] == partition]


def test_the_rule_does_not_change_the_position_it_was_given() -> None:
    position = {0: (1, 0)}
    assert SubscriberRule(position).is_new(0, 2, 0)
    assert position == {0: (1, 0)}
