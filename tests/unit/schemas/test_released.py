"""Who was built on a release goes on working: today's records fit its schemas, its examples are taken today, and nothing was changed
but by adding."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from schemas.deadletter import DeadLetterHeaders
from schemas.generate import RECORDS
from schemas.ladder_file import load_ladder
from schemas.topics import load_topics
from schemas.touchpoint import KINDS
from schemas.validate import Validator
from tests.released import keep
from tests.unit.schemas.example_files import examples, schema_of

RELEASED = sorted(path for path in Path(keep.__file__).parent.glob("v*_*") if path.is_dir())
TOPICS = load_topics()
WRITTEN = [name for name, topic in TOPICS.items() if topic.compatibility in ("forward", "full")]
"""What rflow writes and others read: readers of an earlier release must stay right."""
READ = [name for name, topic in TOPICS.items() if topic.compatibility in ("backward", "full")]
"""What others write and rflow reads: writers of an earlier release must stay right."""

Schema = dict[str, Any]


def released_schema(release: Path, topic: str) -> Schema:
    schema: Schema = json.loads((release / "json" / f"{topic}.json").read_text(encoding="utf-8"))
    return schema


def cases(topics: list[str]) -> list[Any]:
    found = [(release, topic) for release in RELEASED for topic in topics if (release / "json" / f"{topic}.json").exists()]
    return [pytest.param(release, topic, id=f"{release.name} {topic}") for release, topic in found]


def without_enumerations(node: Any) -> Any:
    """A schema as a reader keeps to it who passes over enumeration values it does not know."""
    if isinstance(node, dict):
        return {key: without_enumerations(value) for key, value in node.items() if not (key == "enum" and isinstance(value, list))}
    return [without_enumerations(item) for item in node] if isinstance(node, list) else node


def test_there_is_a_release_to_be_held_against() -> None:
    assert RELEASED
    for release in RELEASED:
        assert {path.stem for path in (release / "json").iterdir()} <= set(TOPICS), "a topic of a release stays as long as its v1 does"


@pytest.mark.parametrize(("release", "topic"), cases(WRITTEN))
def test_todays_records_fit_the_schema_of_a_release(release: Path, topic: str) -> None:
    reader = Draft202012Validator(without_enumerations(released_schema(release, topic)))
    for example in examples(topic, "valid"):
        reader.validate(json.loads(example.value))


@pytest.mark.parametrize(("release", "topic"), cases(READ))
def test_the_records_of_a_release_are_taken_today(release: Path, topic: str) -> None:
    take = reader_of(topic)
    today = Draft202012Validator(schema_of(topic))
    for path in sorted((release / "examples" / topic).iterdir()):
        take(path.read_bytes())
        today.validate(json.loads(path.read_bytes()))


def reader_of(topic: str) -> Callable[[bytes], object]:
    kinds = {kind.topic: kind for kind in KINDS}
    if topic in kinds:
        validator = Validator(load_ladder("5r"), lambda: 0, check_future=False)
        return lambda value: validator.validate(kinds[topic], value)
    if topic == "deadletters":
        return lambda value: msgspec.convert(json.loads(value), DeadLetterHeaders, strict=False)
    return msgspec.json.Decoder(RECORDS[topic]).decode


@pytest.mark.parametrize(("release", "topic"), cases(list(TOPICS)))
def test_fields_were_only_ever_added(release: Path, topic: str) -> None:
    compatibility = TOPICS[topic].compatibility
    changed = changes(released_schema(release, topic), schema_of(topic))
    for what, kinds in changed:
        assert compatibility not in kinds, f"{topic} since {release.name}: {what}"


def changes(old: Schema, new: Schema) -> Iterator[tuple[str, set[str]]]:
    """What became of each record between two schemas, and the kinds of compatibility that it breaks."""
    both = {"backward", "forward", "full"}
    for name, before in records(old).items():
        after = records(new).get(name)
        if after is None:
            yield f"{name} is gone", both
            continue
        for field, schema in before["properties"].items():
            if field not in after["properties"]:
                yield f"{name}.{field} is gone", both
            elif kept(schema) != kept(after["properties"][field]):
                yield f"{name}.{field} is another", both
        for field in set(after["required"]) - set(before["required"]):
            yield f"{name}.{field} is required and was not", {"backward", "full"}
        for field in set(before["required"]) - set(after["required"]):
            yield f"{name}.{field} was always there and may be missing", {"forward", "full"}


def records(schema: Schema) -> dict[str, Schema]:
    """The records of a schema by name, its own included."""
    found = {"": schema, **schema.get("$defs", {})}
    for record in found.values():
        if "prefixItems" in record:  # of an array its items, by their place
            titles = [item["title"] for item in record["prefixItems"]]
            record["properties"] = {
                title: {**item, "place": i} for i, (title, item) in enumerate(zip(titles, record["prefixItems"], strict=True))
            }
            record["required"] = titles[: record["minItems"]]
    return {name: record for name, record in found.items() if "properties" in record}


def kept(schema: Schema) -> Any:
    """What of a field must not change: not its description, nor which enumeration values there are, for more may come."""
    return without_enumerations({key: value for key, value in schema.items() if key not in ("description", "examples", "title")})


BASE: Schema = {"properties": {"a": {"type": "string"}, "b": {"enum": ["x"]}}, "required": ["a"]}


@pytest.mark.parametrize(
    ("properties", "required", "found"),
    [
        ({}, ["a"], []),
        ({"c": {"type": "integer"}, "b": {"enum": ["x", "y"]}, "a": {"type": "string", "description": "words"}}, ["a"], []),
        ({"a": {"type": "integer"}}, ["a"], [("a is another", {"backward", "forward", "full"})]),
        ({"a": None}, ["a"], [("a is gone", {"backward", "forward", "full"})]),
        ({}, ["a", "b"], [("b is required and was not", {"backward", "full"})]),
        ({}, [], [("a was always there and may be missing", {"forward", "full"})]),
    ],
)
def test_a_change_is_seen_for_what_it_breaks(properties: Schema, required: list[str], found: list[tuple[str, set[str]]]) -> None:
    merged = {name: schema for name, schema in {**BASE["properties"], **properties}.items() if schema is not None}
    told = list(changes(BASE, {"properties": merged, "required": required}))
    assert [(re.sub(r"^\.", "", what), kinds) for what, kinds in told] == found
