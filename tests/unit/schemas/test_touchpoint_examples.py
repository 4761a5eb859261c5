"""The examples of the touchpoint topics mean what they are named after, to the processor's judge and to the JSON Schema alike."""

from __future__ import annotations

import json

import pytest

from schemas.deadletter import InvalidRecord, Reason
from schemas.ladder_file import load_ladder
from schemas.touchpoint import CATALOGUE, KINDS, MAX_BYTES, Kind, Tick, Touchpoint
from schemas.validate import FUTURE_MS, Validator
from tests.unit.schemas.example_files import SCHEMAS, Example, examples, fits_schema

NOW = 1_794_380_000_000

VALID = [(kind, example) for kind in KINDS for example in examples(kind.topic, "valid")]
INVALID = [(kind, example) for kind in KINDS for example in examples(kind.topic, "invalid")]

BEYOND_SCHEMA = {
    "amount_a_whole_fraction",
    "occurred_at_a_whole_fraction",
    "occurred_at_no_such_day",
    "attributes_a_number_out_of_range",
}
"""What JSON Schema cannot say, besides the wall clock and the brand's currency."""


@pytest.fixture
def validator() -> Validator:
    return Validator(load_ladder("5r"), lambda: NOW)


def reason_of(validator: Validator, kind: Kind, value: bytes | None) -> Reason:
    with pytest.raises(InvalidRecord) as caught:
        validator.validate(kind, value)
    return caught.value.reason


@pytest.mark.parametrize(("kind", "example"), VALID, ids=str)
def test_a_valid_example_is_taken_by_processor_and_schema(validator: Validator, kind: Kind, example: Example) -> None:
    record = validator.validate(kind, example.value)
    assert isinstance(record.occurred_at, int)
    assert isinstance(record, Tick) == example.path.stem.startswith("tick")
    assert fits_schema(kind.topic, example.value)


@pytest.mark.parametrize(("kind", "example"), INVALID, ids=str)
def test_an_invalid_example_gets_the_reason_it_is_named_after(validator: Validator, kind: Kind, example: Example) -> None:
    assert reason_of(validator, kind, example.value) == example.reason


@pytest.mark.parametrize(("kind", "example"), [case for case in INVALID if case[1].is_json], ids=str)
def test_the_schema_refuses_every_invalid_example_that_it_can_tell(kind: Kind, example: Example) -> None:
    name = example.path.stem.partition("__")[2]
    beyond = example.reason in (Reason.FUTURE, Reason.WRONG_CURRENCY) or name in BEYOND_SCHEMA
    assert fits_schema(kind.topic, example.value) == beyond


@pytest.mark.parametrize("example", [example for _, example in INVALID if not example.is_json], ids=str)
def test_what_is_kept_as_bin_is_no_json(example: Example) -> None:
    assert example.reason in (Reason.EMPTY, Reason.INVALID_JSON)


def test_every_type_of_the_catalogue_has_a_valid_example(validator: Validator) -> None:
    shown = [validator.validate(kind, example.value) for kind, example in VALID]
    assert {record.type for record in shown if isinstance(record, Touchpoint)} == set(CATALOGUE)


def test_every_reason_has_an_invalid_example_but_those_told_here_and_by_routing() -> None:
    assert {example.reason for _, example in INVALID} == set(Reason) - {Reason.TOO_LARGE, Reason.MISROUTED}


def test_sixty_four_kib_are_taken_and_a_byte_more_is_not(validator: Validator) -> None:
    value = (SCHEMAS / "examples" / Kind.EXPOSURE.topic / "valid" / "content_view.json").read_bytes()
    assert validator.validate(Kind.EXPOSURE, value.ljust(MAX_BYTES))
    assert reason_of(validator, Kind.EXPOSURE, value.ljust(MAX_BYTES + 1)) == Reason.TOO_LARGE


def test_no_value_is_empty(validator: Validator) -> None:
    assert reason_of(validator, Kind.ORDER, None) == Reason.EMPTY


def test_the_last_of_a_key_given_twice_counts(validator: Validator) -> None:
    value = (SCHEMAS / "examples" / Kind.EXPOSURE.topic / "valid" / "key_twice_last_counts.json").read_bytes()
    record = validator.validate(Kind.EXPOSURE, value)
    assert isinstance(record, Touchpoint)
    assert record.user_id == "u000123"


def test_five_minutes_ahead_are_taken_and_a_millisecond_more_is_not(validator: Validator) -> None:
    def tick(at: int) -> bytes:
        return json.dumps({"type": "tick", "occurred_at": at}).encode()

    assert validator.validate(Kind.ORDER, tick(NOW + FUTURE_MS)) == Tick(occurred_at=NOW + FUTURE_MS)
    assert reason_of(validator, Kind.ORDER, tick(NOW + FUTURE_MS + 1)) == Reason.FUTURE
