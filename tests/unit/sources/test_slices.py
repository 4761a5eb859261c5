from __future__ import annotations

from collections import deque
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from schemas.deadletter import InvalidRecord
from schemas.touchpoint import Kind
from sources.route import partition, route
from sources.slices import Record, Slice, SlicePolicy, Slicer
from tests.unit.sources.touchpoints import NOW, VALIDATOR, tick, touchpoint

TYPES = ("ad_exposure", "like", "purchase")
valid = st.builds(
    lambda at, user, type_: touchpoint(at, f"u{user}", type_, order_id="o1", amount=1),
    st.integers(1, 8),
    st.integers(0, 9),
    st.sampled_from(TYPES),
)
invalid = st.sampled_from(
    [b"{", b'{"type":"like"}', touchpoint(NOW * 2), touchpoint(5, "u1", "telepathy"), b'{"type":"tick"}', tick(NOW * 2)]
)
ticks = st.integers(1, 9).map(tick)
policies = st.builds(
    SlicePolicy, records=st.integers(1, 6), bytes=st.sampled_from([300, 10_000]), limit_bytes=st.sampled_from([600, 20_000])
)
UNLIMITED = SlicePolicy(records=3)


def time_of(line: bytes) -> int | None:
    """The time of a valid line."""
    try:
        at = VALIDATOR.validate(route(line).kind, line).occurred_at
    except InvalidRecord:
        return None
    assert isinstance(at, int)
    return at


def is_tick(line: bytes) -> bool:
    return route(line).tick and time_of(line) is not None


def cut(lines: list[bytes], policy: SlicePolicy, partitions: int = 3) -> tuple[list[Slice], Slicer]:
    slicer = Slicer(VALIDATOR, partitions, policy)
    return list(slicer.slices(lines)), slicer


@given(st.lists(st.one_of(valid, invalid, ticks), max_size=60), policies)
def test_slices_hold_every_line_but_the_ticks_once_in_order_on_its_partition(lines: list[bytes], policy: SlicePolicy) -> None:
    slices, slicer = cut(lines, policy)
    sent = [record for piece in slices for record in piece.records]
    kept = [line for line in lines if not is_tick(line)]
    assert sent == [Record(route(line).kind, partition(line, route(line).key, 3), route(line).key, line) for line in kept]
    assert slicer.counts.events == len(kept)
    assert slicer.counts.ticks == len(lines) - len(kept)
    assert sum(slicer.counts.invalid.values()) == sum(time_of(line) is None for line in lines)


@given(st.lists(st.one_of(valid, invalid, ticks), max_size=60), policies)
def test_a_slices_time_is_the_highest_of_all_valid_lines_so_far(lines: list[bytes], policy: SlicePolicy) -> None:
    slices, _ = cut(lines, policy)
    rest, highest = deque(lines), 0
    for piece in slices:
        # A slice that ends before a tick was ended by it.
        took = [rest.popleft() for _ in piece.records] + ([rest.popleft()] if rest and is_tick(rest[0]) else [])
        highest = max([highest, *(time_of(line) or 0 for line in took)])
        assert piece.time == highest
    assert not rest


@given(st.lists(st.one_of(valid, invalid), max_size=80))
def test_a_slice_ends_where_the_time_changes_once_it_is_long_enough(lines: list[bytes]) -> None:
    slices, slicer = cut(lines, UNLIMITED)
    assert slicer.counts.cut_instants == 0
    for before, after in pairwise(slices):
        assert len(before.records) >= UNLIMITED.records
        last = [at for record in before.records if (at := time_of(record.value)) is not None]
        assert not last or time_of(after.records[0].value) not in (None, last[-1])


def shared_instants(slices: list[Slice]) -> set[int]:
    """The times that stand in more than one slice."""
    instants = [{at for record in piece.records if (at := time_of(record.value)) is not None} for piece in slices]
    return {at for i, piece in enumerate(instants) for other in instants[i + 1 :] for at in piece & other}


@given(st.lists(st.one_of(valid, invalid), max_size=80))
def test_in_a_file_in_order_a_slice_holds_all_records_of_its_instants(lines: list[bytes]) -> None:
    slices, _ = cut(sorted(lines, key=lambda line: time_of(line) or 0), UNLIMITED)
    assert not shared_instants(slices)


@given(st.lists(st.one_of(valid, invalid), max_size=60))
def test_no_partition_grows_beyond_the_limit_and_instants_cut_for_it_are_counted(lines: list[bytes]) -> None:
    policy = SlicePolicy(records=1000, bytes=1000, limit_bytes=1000)
    slices, slicer = cut(sorted(lines, key=lambda line: time_of(line) or 0), policy)
    for piece in slices:
        assert all(size <= policy.limit_bytes for size in piece.sizes) or len(piece.records) == 1
    assert len(shared_instants(slices)) <= slicer.counts.cut_instants


def test_a_tick_in_the_file_ends_its_slice_and_moves_the_time() -> None:
    slices, slicer = cut([touchpoint(5), tick(9), touchpoint(7), tick(6)], SlicePolicy())
    assert [(piece.time, len(piece.records)) for piece in slices] == [(9, 1), (9, 1)]
    assert (slicer.counts.ticks, slicer.counts.events, slicer.counts.time) == (2, 2, 9)


def test_a_broken_tick_is_a_record_like_any_broken_line() -> None:
    slices, slicer = cut([b'{"type":"tick"}', touchpoint(5)], SlicePolicy())
    assert [record.kind for record in slices[0].records] == [Kind.EXPOSURE, Kind.EXPOSURE]
    assert slicer.counts.invalid == {"invalid_field": 1}


def test_rubbish_alone_is_followed_by_the_beginning_of_time() -> None:
    slices, slicer = cut([b"{"] * 3, SlicePolicy(limit_bytes=1))
    assert [piece.time for piece in slices] == [0, 0, 0]
    assert slicer.counts.time is None
