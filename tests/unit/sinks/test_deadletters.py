"""The dead letters' desk without its I/O: filters, repeats, where a letter stands, and what the processor would say now."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest

from schemas.deadletter import DeadLetterHeaders, Reason
from schemas.ladder_file import load_ladder
from schemas.times import DAY_MS, from_rfc3339, to_rfc3339
from schemas.validate import FUTURE_MS, Validator
from sinks.deadletters import (
    BadLetter,
    DeadLetter,
    FirstSeen,
    Purge,
    State,
    Wanted,
    judge,
    parse_id,
    read_letter,
    state_of,
)
from streams.outbox import Entry, encode_entry, letter_of, outputs
from streams.replayed import MOST_ATTEMPTS, REPLAY_MS, replay_mark

NOW = from_rfc3339("2026-11-22T00:00:00Z")
VALIDATOR = Validator(load_ladder("5r"), lambda: NOW)
ORDER = {"event_id": "e1", "type": "purchase", "brand": "acme", "user_id": "ann", "occurred_at": NOW, "order_id": "o1", "amount": 5}


def letter(*, at: int = NOW, value: bytes | None = b"{", partition: int = 3, offset: int = 17, **told: Any) -> DeadLetter:
    headers = {
        "topic": "touchpoints.order",
        "partition": partition,
        "offset": 991,
        "reason": Reason.INVALID_JSON,
        "detail": "d",
        "first_seen": to_rfc3339(at),
    }
    return DeadLetter(partition=partition, offset=offset, at=at, key=b"k", value=value, headers=DeadLetterHeaders(**{**headers, **told}))


class Written:
    """A record of `deadletters` as the publisher writes it."""

    def __init__(self, headers: list[tuple[str, Any]]) -> None:
        self._headers = headers

    def key(self) -> bytes | None:
        return b"\xff"

    def value(self) -> bytes | None:
        return None

    def partition(self) -> int:
        return 3

    def offset(self) -> int:
        return 17

    def headers(self) -> list[tuple[str, Any]]:
        return self._headers


def published(told: DeadLetterHeaders) -> list[tuple[str, Any]]:
    entry = Entry(3, 9, NOW, [], [], [letter_of(b"\xff", None, told)], [])
    assert encode_entry(entry)
    (output,) = [output for output in outputs(entry) if output.topic == "deadletters"]
    return list(output.headers)


def test_a_letter_is_read_as_it_was_published() -> None:
    told = letter(attempts=4, replay_of="touchpoints.order:3:5", detail="说明").headers
    found = read_letter(Written(published(told)))
    assert found.headers == told
    assert (found.id, found.at, found.key, found.value) == ("3:17", NOW, b"\xff", None)
    assert found.place == "touchpoints.order:3:5"
    assert letter().place == "touchpoints.order:3:991"


@pytest.mark.parametrize(
    ("name", "value"),
    [("reason", b"boredom"), ("offset", b"many"), ("offset", None), ("topic", None), ("first_seen", b"once"), ("ce_time", b"x")],
)
def test_what_is_no_letter_is_named_with_its_place(name: str, value: bytes | None) -> None:
    headers = [(n, value if n == name else v) for n, v in published(letter().headers)]
    with pytest.raises(BadLetter, match=r"^3:17: expected a dead letter's headers"):
        read_letter(Written(headers))


def test_the_next_replay_counts_one_try_more_and_is_always_a_mark() -> None:
    assert letter(attempts=2).mark().attempt == 3
    most = letter(attempts=10**12).mark()
    assert most.attempt == MOST_ATTEMPTS
    assert replay_mark(most.headers()) == most


def test_repeats_are_dropped_log_by_log() -> None:
    first = FirstSeen()
    logs = [(5, "order"), (6, "order"), (5, "order"), (6, "order"), (7, "order"), (1, "exposure"), (1, "exposure")]
    letters = [msgspec.structs.replace(ONE.headers, offset=offset, topic=f"touchpoints.{topic}") for offset, topic in logs]
    taken = [first.is_new(msgspec.structs.replace(ONE, headers=headers)) for headers in letters]
    assert taken == [True, True, False, False, True, True, False]
    assert first.is_new(letter(partition=2))


ONE = letter(value=orjson.dumps(ORDER))
FITS: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"ids": frozenset({(3, 17)})}, True),
    ({"ids": frozenset({(17, 3)})}, False),
    ({"reasons": frozenset({Reason.INVALID_JSON, Reason.EMPTY})}, True),
    ({"reasons": frozenset({Reason.EMPTY})}, False),
    ({"topics": frozenset({"touchpoints.order"})}, True),
    ({"topics": frozenset({"touchpoints.exposure"})}, False),
    ({"brand": "acme"}, True),
    ({"brand": "other"}, False),
    ({"since": NOW}, True),
    ({"since": NOW + 1}, False),
    ({"until": NOW}, False),
    ({"until": NOW + 1}, True),
    ({"brand": "acme", "until": NOW}, False),
]


@pytest.mark.parametrize(("given", "fits"), FITS)
def test_filters(given: dict[str, Any], fits: bool) -> None:
    assert Wanted(**given).fits(ONE) is fits


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"[1]", b'{"brand": 7}', b"[" * 100_000])
def test_a_brand_that_cannot_be_read_is_no_brand(value: bytes | None) -> None:
    assert letter(value=value).named()[1] is None
    assert not Wanted(brand="acme").fits(letter(value=value))


def test_a_purge_comes_back_as_it_was_stored_and_covers_only_what_was_there() -> None:
    purge = Purge(at=NOW, wanted=Wanted(reasons=frozenset({Reason.EMPTY}), ids=frozenset({(3, 17)})), ends=(0, 0, 0, 18))
    assert msgspec.json.decode(msgspec.json.encode(purge), type=Purge) == purge
    everything = Purge(at=NOW, wanted=Wanted(), ends=(0, 0, 0, 18))
    assert everything.covers(letter())
    assert not everything.covers(letter(offset=18))
    assert not everything.covers(letter(partition=4))


def test_where_a_letter_stands() -> None:
    one = letter()
    purge = Purge(at=NOW, wanted=Wanted(), ends=(9, 9, 9, 99))
    assert state_of(one, {}, {}, []) is State.OPEN
    assert state_of(one, {}, {}, [purge]) is State.PURGED
    assert state_of(one, {}, {one.place: (3, 18)}, [purge]) is State.REFUSED_AGAIN
    assert state_of(letter(offset=18, replay_of=one.place), {}, {one.place: (3, 18)}, []) is State.OPEN
    assert state_of(one, {one.place: 1}, {one.place: (3, 18)}, [purge]) is State.REPLAYED


@pytest.mark.parametrize("text", ["", "3", "3:", ":4", "a:b", "-1:4", "1:2:3", "1:" + "9" * 30, "١:٢"])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="PARTITION:OFFSET"):
        parse_id(text)


def judged(value: bytes | None, now: int = NOW, **told: Any) -> tuple[str | None, str]:
    verdict = judge(letter(value=value, **told), VALIDATOR, now)
    return (verdict.topic if verdict.is_taken else None), verdict.why


def test_what_would_be_taken_now() -> None:
    assert judged(orjson.dumps(ORDER)) == ("touchpoints.order", "")
    assert judged(orjson.dumps({**ORDER, "occurred_at": NOW + FUTURE_MS}), reason=Reason.FUTURE)[0] == "touchpoints.order"


def test_a_record_on_the_wrong_topic_belongs_on_that_of_its_type() -> None:
    assert judged(orjson.dumps(ORDER), topic="touchpoints.exposure", reason=Reason.WRONG_TOPIC) == ("touchpoints.order", "")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"{", "invalid_json"),
        (None, "empty"),
        (orjson.dumps({**ORDER, "type": "telepathy"}), "unknown_type"),
        (orjson.dumps({**ORDER, "amount": -1}), "invalid_field"),
        (orjson.dumps({**ORDER, "currency": "XTS"}), "wrong_currency"),
        (orjson.dumps({**ORDER, "occurred_at": NOW + FUTURE_MS + 1}), "future"),
        (b'{"type": "tick", "occurred_at": 1}', "a tick"),
    ],
)
def test_what_would_be_refused_again_and_why(value: bytes | None, why: str) -> None:
    topic, found = judged(value)
    assert topic is None
    assert found.startswith(why)
    assert not judge(letter(value=value), VALIDATOR, NOW).final


def test_what_nothing_can_send() -> None:
    good = orjson.dumps(ORDER)
    cut = letter(value=good, cut_from_bytes=5_000_000, sha256="0" * 64)
    assert judge(cut, VALIDATOR, NOW).final
    assert judge(cut, VALIDATOR, NOW, value=good).is_taken
    assert judge(letter(value=good), VALIDATOR, NOW + REPLAY_MS).is_taken
    assert judge(letter(value=good), VALIDATOR, NOW + REPLAY_MS + DAY_MS, value=good).final
    assert judge(letter(value=good, topic="spend"), VALIDATOR, NOW).final
