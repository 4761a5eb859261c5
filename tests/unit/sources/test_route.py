from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.partition import partition_of
from schemas.touchpoint import CATALOGUE, MAX_BYTES, Kind
from sources.route import Route, partition, route
from tests.unit.sources.touchpoints import tick, touchpoint


@pytest.mark.parametrize(("type_", "kind"), CATALOGUE.items())
def test_every_type_goes_to_its_kind(type_: str, kind: Kind) -> None:
    assert route(touchpoint(5, "会员", type_)) == Route(kind, "会员".encode(), 5)


def test_text_times_are_read() -> None:
    assert route(touchpoint("1970-01-01T08:00:01+08:00")).occurred_at == 1000
    assert route(touchpoint("1970-01-01T08:00:01")).occurred_at is None


def test_an_unknown_type_goes_where_exposures_go_with_its_user() -> None:
    assert route(touchpoint(5, "u1", "telepathy")) == Route(Kind.EXPOSURE, b"u1", 5)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xef\xbb\xbf{}",
        b"[]",
        b"null",
        b'{"type":"purchase","user_id":"u1"',
        b'{"type":"purchase","user_id":"\xff"}',
        b'{"type":"purchase","user_id":"u1","occurred_at":1e999}',
        b'{"a":' * 100_000,
        b'{"type":7,"user_id":7,"occurred_at":[]}',
        b'{"user_id":""}',
        b'{"user_id":"' + b"u" * 129 + b'"}',
        b"x" * (MAX_BYTES + 1),
    ],
    ids=lambda line: repr(line[:40]),
)
def test_what_is_unreadable_goes_where_exposures_go_without_a_key(line: bytes) -> None:
    assert route(line) == Route(Kind.EXPOSURE, None, None)


def test_a_tick_is_told_from_other_lines() -> None:
    assert route(tick(7)) == Route(Kind.EXPOSURE, None, 7, tick=True)


@given(st.binary(max_size=300))
def test_any_bytes_have_a_route_and_a_partition(line: bytes) -> None:
    found = route(line)
    assert 0 <= partition(line, found.key, 5) < 5
    assert partition(line, found.key, 5) == partition(line, found.key, 5)


@given(st.text(min_size=1, max_size=128).filter(lambda text: text.isprintable()))
def test_a_users_partition_is_murmur2_of_the_id(user: str) -> None:
    line = touchpoint(1, user)
    assert partition(line, route(line).key, 12) == partition_of(user, 12)
