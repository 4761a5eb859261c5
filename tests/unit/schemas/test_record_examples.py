"""The examples of the other topics: valid ones survive a reading and writing, invalid ones are refused."""

from __future__ import annotations

import json

import msgspec
import pytest

from schemas.deadletter import DeadLetterHeaders
from schemas.generate import RECORDS
from schemas.touchpoint import KINDS
from tests.unit.schemas.example_files import Example, examples, fits_schema

TOPICS = [topic for topic in RECORDS if topic not in {kind.topic for kind in KINDS}]
VALID = [example for topic in TOPICS for example in examples(topic, "valid")]
INVALID = [example for topic in TOPICS for example in examples(topic, "invalid")]

BEYOND_SCHEMA = {
    "changed_at_no_such_day",
    "phases_overlap",
    "phase_outside_window",
    "window_backwards",
    "target_without_layers_and_parts",
    "target_with_layers_and_parts",
    "target_layer_twice",
    "root_of_a_channel",
    "part_not_narrower",
    "part_of_another_channel",
    "parts_cover_the_same",
    "plan_falls",
    "plan_ends_early",
    "plan_ends_below_one",
}
"""What JSON Schema cannot say: rules between the fields of a promotion."""


def read(example: Example) -> object:
    if example.topic == "deadletters":  # headers are texts
        return msgspec.convert(json.loads(example.value), DeadLetterHeaders, strict=False)
    return msgspec.json.decode(example.value, type=RECORDS[example.topic])


@pytest.mark.parametrize("example", VALID, ids=str)
def test_a_valid_example_fits_its_schema(example: Example) -> None:
    assert fits_schema(example.topic, example.value)


@pytest.mark.parametrize("example", [e for e in VALID if e.topic not in ("spend", "deadletters")], ids=str)
def test_a_valid_example_is_written_as_it_was_read(example: Example) -> None:
    assert json.loads(msgspec.json.encode(read(example))) == json.loads(example.value)


@pytest.mark.parametrize("example", examples("deadletters", "valid"), ids=str)
def test_the_headers_of_a_dead_letter_are_written_as_they_were_read(example: Example) -> None:
    headers = read(example)
    assert isinstance(headers, DeadLetterHeaders)
    told = {name: str(value) for name, value in msgspec.structs.asdict(headers).items() if value is not None}
    assert told == json.loads(example.value)


@pytest.mark.parametrize("example", examples("spend", "valid"), ids=str)
def test_spend_is_read_with_what_is_left_out_as_null(example: Example) -> None:
    written = json.loads(msgspec.json.encode(read(example)))
    assert {key: value for key, value in written.items() if value is not None} == json.loads(example.value)


@pytest.mark.parametrize("example", INVALID, ids=str)
def test_an_invalid_example_is_refused(example: Example) -> None:
    with pytest.raises(msgspec.ValidationError):
        read(example)


@pytest.mark.parametrize("example", INVALID, ids=str)
def test_the_schema_refuses_every_invalid_example_that_it_can_tell(example: Example) -> None:
    name = example.path.stem.partition("__")[2]
    assert fits_schema(example.topic, example.value) == (name in BEYOND_SCHEMA)


def test_every_topic_has_examples_of_both_kinds() -> None:
    for topic in RECORDS:
        assert examples(topic, "valid"), topic
        assert examples(topic, "invalid"), topic
