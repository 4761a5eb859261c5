"""Marks of replayed dead letters: what is one, whose account it is on, and that the fold takes each letter once."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.deadletter import InvalidRecord, Reason
from schemas.ladder_file import load_ladder
from schemas.touchpoint import KINDS, Interaction, Kind
from streams.fold import Fold
from streams.labels import Labels
from streams.ladder import Rules
from streams.meta import Meta
from streams.outbox import FORWARDED_HEADER, Letter
from streams.replayed import ATTEMPT_HEADER, FIRST_SEEN_HEADER, REPLAYED_HEADER, ReplayMark, own_place, place_of, replay_mark
from tests.golden.fold_engine import NOW, StillMessage

RULES = Rules(load_ladder("5r"))
LIKES = KINDS.index(Kind.INTERACTION)
MARK = ReplayMark(place_of("touchpoints.interaction", 0, 7), 2, "2026-11-20T00:00:00.000Z")
Headers = list[tuple[str, bytes]]


def test_a_mark_comes_back_as_it_was_sent_beside_other_headers() -> None:
    assert replay_mark([("trace", b"1"), *MARK.headers(), ("x", None)]) == MARK
    assert own_place(MARK.headers(), 0) == MARK.place


@pytest.mark.parametrize("headers", [None, [], [("trace", b"1")], [(REPLAYED_HEADER, b"touchpoints.order:0:1")]])
def test_other_records_are_no_replays(headers: Headers | None) -> None:
    assert replay_mark(headers) is None
    assert own_place(headers, 0) is None


HOSTILE: list[tuple[str, Any]] = [
    (REPLAYED_HEADER, None),
    (REPLAYED_HEADER, b""),
    (REPLAYED_HEADER, b"\xff\xfe"),
    (REPLAYED_HEADER, b"touchpoints.order:0"),
    (REPLAYED_HEADER, b"touchpoints.order:-1:7"),
    (REPLAYED_HEADER, b"touchpoints.order:0:07"),
    (REPLAYED_HEADER, b"touchpoints.order:0:7\n"),
    (REPLAYED_HEADER, b"touchpointsXorder:0:7"),
    (REPLAYED_HEADER, b"deadletters:0:7"),
    (REPLAYED_HEADER, b"touchpoints.order:0:" + b"9" * 19),
    (REPLAYED_HEADER, b"touchpoints.order:0:" + b"9" * 1_000_000),
    (REPLAYED_HEADER, "touchpoints.order:٠:٧".encode()),
    (ATTEMPT_HEADER, b"two"),
    (ATTEMPT_HEADER, b"0"),
    (ATTEMPT_HEADER, b"-3"),
    (ATTEMPT_HEADER, b"1e9"),
    (ATTEMPT_HEADER, b"9" * 100_000),
    (FIRST_SEEN_HEADER, b"yesterday"),
    (FIRST_SEEN_HEADER, b"2026-11-20T00:00:00"),
    (FIRST_SEEN_HEADER, b"9999-12-31T23:59:59" + b"0" * 1_000_000),
]


@pytest.mark.parametrize(("name", "value"), HOSTILE, ids=lambda part: repr(part)[:30])
def test_what_rflow_cannot_have_written_is_no_mark_and_the_record_is_taken_like_any_other(name: str, value: Any) -> None:
    headers: Any = [*((n, v) for n, v in MARK.headers() if n != name), (name, value)]
    assert replay_mark(headers) is None
    fold = fold_of([(1, headers), (2, headers)])
    assert sum(fold.counts.applied().values()) == 2
    assert not fold.replays


def test_a_letter_replayed_twice_is_taken_once_and_the_other_is_a_duplicate() -> None:
    fold = fold_of([(1, MARK.headers()), (2, MARK.headers()), (3, None)])
    assert list(fold.replays) == [MARK.place]
    assert sum(fold.counts.applied().values()) == 2
    assert fold.counts.duplicates.total() == 1
    assert fold.counts.replays == {"taken": 1, "repeated": 1}


def test_what_the_shard_has_taken_before_is_a_duplicate_however_far_back() -> None:
    fold = fold_of([(1, MARK.headers())], replayed=frozenset({MARK.place}))
    assert fold.counts.duplicates.total() == 1
    assert not fold.replays
    assert not fold.finish()[0]


def test_a_replay_that_was_forwarded_or_belongs_to_another_shard_is_on_no_account_here() -> None:
    forwarded = [*MARK.headers(), (FORWARDED_HEADER, b"0:3:0")]
    assert own_place(forwarded, 0) is None
    assert own_place(MARK.headers(), 1) is None


def letter_of_refused(headers: Headers | None) -> Letter:
    fold = empty_fold(frozenset())
    fold.take((1, 9, LIKES, InvalidRecord(Reason.INVALID_FIELD, "expected more"), StillMessage(9, b"{}", headers)), "")
    (letter,) = fold.finish()[1].letters
    return letter


def test_a_replay_refused_again_tells_of_its_tries_and_when_it_was_first_seen() -> None:
    told = letter_of_refused(MARK.headers()).headers
    assert (told.attempts, told.first_seen, told.replay_of) == (2, MARK.first_seen, MARK.place)
    assert (told.partition, told.offset) == (0, 9)


def test_a_first_refusal_and_one_after_forwarding_are_on_their_own() -> None:
    first = letter_of_refused(None).headers
    assert (first.attempts, first.replay_of) == (1, None)
    forwarded = letter_of_refused([*MARK.headers(), (FORWARDED_HEADER, b"0:3:0")]).headers
    assert (forwarded.attempts, forwarded.first_seen, forwarded.replay_of) == (2, MARK.first_seen, None)


def empty_fold(replayed: frozenset[str]) -> Fold:
    keys: dict[str, bytes | None] = {"acme:ann": None}
    return Fold(RULES, Labels([]), Meta(), keys, shard=0, partitions=1, now=NOW, replayed=replayed)


def fold_of(records: list[tuple[int, Any]], replayed: frozenset[str] = frozenset()) -> Fold:
    """Likes of one user, each its own event, so that only the mark tells of a repeat."""
    fold = empty_fold(replayed)
    for offset, headers in records:
        like = Interaction(event_id=f"e{offset}", type="like", brand="acme", user_id="ann", occurred_at=NOW - 1_000 + offset)
        fold.take((offset, offset, LIKES, like, StillMessage(offset, b"{}", headers)), "acme:ann")
    return fold
