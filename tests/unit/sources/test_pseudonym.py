"""Pseudonyms: the same for the same id and key, no other for any spelling of it, and nothing else of a record changed."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.ladder_file import load_ladder
from schemas.validate import Validator
from sources.pseudonym import UNREADABLE, Pseudonyms
from sources.route import route

PSEUDONYMS = Pseudonyms(b"a key of some length")
ANN = {
    "event_id": "e",
    "type": "like",
    "brand": "acme",
    "user_id": "ann",
    "occurred_at": 1_794_355_203_120,
    "attributes": {"n": 12345678901234567890.5},
}


def test_a_pseudonym_is_the_hmac_of_the_id_and_nobody_elses() -> None:
    # printf %s ann | openssl dgst -sha256 -hmac 'a key of some length' -binary | basenc --base64url
    assert PSEUDONYMS.of("ann") == "p1_CbeBtzMr6KzzjHI7tpBiB1eBW-mjqpkM-YR4sd925YY"
    assert PSEUDONYMS.of("ann") not in (Pseudonyms(b"another key").of("ann"), PSEUDONYMS.of("Ann"))
    assert len(PSEUDONYMS.of("ann")) == len(PSEUDONYMS.of("x" * 128)) == 46


@settings(max_examples=30)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=128))
def test_a_valid_record_stays_valid_and_all_else_in_it_the_same(user_id: str) -> None:
    told = {**ANN, "user_id": user_id}
    spellings = [json.dumps(told).encode(), json.dumps(told, ensure_ascii=False, indent=1).encode()]
    lines = {PSEUDONYMS.line(spelling) for spelling in spellings}
    for line in lines:
        assert json.loads(line) == {**told, "user_id": PSEUDONYMS.of(user_id)}
        Validator(load_ladder("5r"), lambda: 0, check_future=False).validate(route(line).kind, line)


def test_what_names_no_user_stays_and_what_cannot_be_read_is_left_out_and_counted() -> None:
    tick, left_out = b'{"type": "tick", "occurred_at": 1}', Counter[str]()
    lines = [tick, b"ann,bought,1", b'{"user_id":"ann"', b'["ann"]', b'{"user_id": 7}']
    assert list(PSEUDONYMS.lines(lines, left_out)) == [tick, json.dumps({"user_id": PSEUDONYMS.of("7")}, separators=(",", ":")).encode()]
    assert left_out == {UNREADABLE: 3}


def test_the_last_of_two_keys_counts_and_the_first_is_gone() -> None:
    assert b"bob" not in PSEUDONYMS.line(b'{"user_id":"bob","user_id":"ann"}')
    with pytest.raises(ValueError, match="expected a JSON object"):
        PSEUDONYMS.line(b"")
