"""What is generated from the types is what stands in the folder, and it is sound."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from jsonschema import Draft202012Validator

from schemas.deadletter import Reason
from schemas.generate import RECORDS, generated, ladder_schema
from schemas.json_schema import SchemaWriter, load_descriptions
from schemas.ladder import Ladder
from schemas.ladder_file import SHIPPED
from schemas.touchpoint import CATALOGUE, KINDS
from tests.unit.schemas.example_files import SCHEMAS, TOPICS, schema_of


@pytest.mark.parametrize("path", sorted(generated()))
def test_the_folder_holds_what_the_types_say(path: str) -> None:
    assert (SCHEMAS / path).read_text(encoding="utf-8") == generated()[path], "run `python -m schemas.generate`"


def test_the_folder_holds_no_schema_of_a_topic_that_is_gone() -> None:
    assert {f"json/{file.name}" for file in (SCHEMAS / "json").iterdir()} == {topic.schema for topic in TOPICS.values()}


@pytest.mark.parametrize("path", sorted(path for path in generated() if path.endswith(".json")))
def test_every_schema_is_one(path: str) -> None:
    schema = json.loads((SCHEMAS / path).read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    for reference in _references(schema):
        assert reference.startswith("#/$defs/")
        assert reference.removeprefix("#/$defs/") in schema["$defs"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_touchpoint_schema_lists_the_types_of_its_topic(kind: Any) -> None:
    (record,) = (d for name, d in schema_of(kind.topic)["$defs"].items() if name != "Tick")
    assert record["properties"]["type"]["enum"] == [type_ for type_, its_kind in CATALOGUE.items() if its_kind is kind]


def test_the_schema_of_dead_letters_lists_every_reason() -> None:
    assert schema_of("deadletters")["$defs"]["Reason"]["enum"] == list(Reason)


def test_every_field_is_described_and_nothing_else() -> None:
    writer = SchemaWriter()
    for record in (*RECORDS.values(), Ladder):
        writer.schema(record)
    fields = {name: set(d.get("properties", ())) for name, d in writer.definitions.items()}
    fields |= {name: {item["title"] for item in d["prefixItems"]} for name, d in writer.definitions.items() if "prefixItems" in d}
    everywhere = set().union(*fields.values())
    for name, described in load_descriptions().items():
        assert set(described) <= fields.get(name, everywhere), name


def test_a_field_without_a_description_is_an_error() -> None:
    class Undescribed(msgspec.Struct):
        field: int

    with pytest.raises(LookupError, match=r"expected a description of Undescribed\.field"):
        SchemaWriter().schema(Undescribed)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_ladder_fits_the_schema_of_ladders(name: str) -> None:
    ladder = yaml.safe_load((files("schemas") / f"{name}.yaml").read_text(encoding="utf-8"))
    Draft202012Validator(ladder_schema()).validate(ladder)


@pytest.mark.parametrize(
    "change",
    [{"version": 0}, {"layers": []}, {"turn": "4:00"}, {"colour": "red"}, {"evidence": {"a": {"topic": "order", "types": ["buy"]}}}],
)
def test_a_broken_ladder_does_not_fit_the_schema_of_ladders(change: dict[str, object]) -> None:
    ladder = yaml.safe_load((files("schemas") / "5r.yaml").read_text(encoding="utf-8")) | change
    assert not Draft202012Validator(ladder_schema()).is_valid(ladder)


def test_the_shipped_ladders_point_editors_at_their_schema() -> None:
    for name in SHIPPED:
        assert "$schema=ladder.schema.json" in Path(SCHEMAS / f"{name}.yaml").read_text(encoding="utf-8")


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)
