"""Writes what follows from the types: the JSON Schemas and the AsyncAPI document. `python -m schemas.generate`, after any change."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from schemas.alert import Alert
from schemas.asyncapi import asyncapi
from schemas.deadletter import DeadLetterHeaders
from schemas.json_schema import DIALECT, Schema, SchemaWriter
from schemas.ladder import Ladder
from schemas.promotion import Promotion
from schemas.rollup import Rollup
from schemas.spend import Spend
from schemas.topics import Topic, load_topics
from schemas.touchpoint import CATALOGUE, KINDS, MAX_BYTES, STRUCTS, Tick
from schemas.transition import Transition

HERE = Path(__file__).parent

RECORDS: dict[str, type] = {
    **{kind.topic: STRUCTS[kind] for kind in KINDS},
    "spend": Spend,
    "transitions": Transition,
    "rollups": Rollup,
    "alerts": Alert,
    "deadletters": DeadLetterHeaders,
    "promotions": Promotion,
}
"""The record each topic carries; of dead letters, that of the headers."""

_EXAMPLES = 3
_TOUCHPOINT_TOPICS = {kind.topic: kind for kind in KINDS}


def generated() -> dict[str, str]:
    """Every generated file: its path within this folder, and its text."""
    topics = load_topics()
    texts = {topic.schema: _json(topic_schema(topic)) for topic in topics.values()}
    texts["ladder.schema.json"] = _json(ladder_schema())
    document = yaml.safe_dump(asyncapi(topics), sort_keys=False, allow_unicode=True, width=120)
    texts["asyncapi.yaml"] = "# Written by `python -m schemas.generate` from topics/*.yaml and the types.\n" + document
    return texts


def topic_schema(topic: Topic) -> Schema:
    """The JSON Schema of what a topic carries."""
    head = {
        "$schema": DIALECT,
        "$id": f"urn:rflow:{topic.topic}:v{topic.version}",
        "title": topic.topic,
        "description": topic.description.strip(),
    }
    writer = SchemaWriter()
    record = RECORDS[topic.topic]
    writer.schema(record)
    if topic.topic in _TOUCHPOINT_TOPICS:
        body = _touchpoint_or_tick(writer, topic.topic)
        head["description"] += f" At most {MAX_BYTES:,} bytes."
    else:
        body = {key: value for key, value in writer.definitions.pop(record.__name__).items() if key != "description"}
    if record is DeadLetterHeaders:
        body["properties"] = {name: _as_text(field) for name, field in body["properties"].items()}
    definitions = {"$defs": dict(sorted(writer.definitions.items()))} if writer.definitions else {}
    return head | body | definitions | {"examples": _examples(topic.topic)}


def ladder_schema() -> Schema:
    """The JSON Schema of a ladder file."""
    writer = SchemaWriter()
    writer.schema(Ladder)
    body = writer.definitions.pop(Ladder.__name__)
    body["properties"]["layers"]["minItems"] = 2
    writer.definitions["Evidence"]["properties"]["types"]["anyOf"][0]["items"] = {"enum": list(CATALOGUE)}
    definitions = dict(sorted(writer.definitions.items()))
    return {"$schema": DIALECT, "$id": "urn:rflow:ladder:v1", "title": "ladder"} | body | {"$defs": definitions}


def _touchpoint_or_tick(writer: SchemaWriter, topic: str) -> Schema:
    kind = _TOUCHPOINT_TOPICS[topic]
    record = STRUCTS[kind].__name__
    said = writer.definitions[record]["properties"]["type"]["description"]
    types = [type_ for type_, its_kind in CATALOGUE.items() if its_kind is kind]
    writer.definitions[record]["properties"]["type"] = {"description": said, "enum": types}
    return {"oneOf": [{"$ref": f"#/$defs/{record}"}, writer.schema(Tick)]}


def _as_text(field: Schema) -> Schema:
    """Headers travel as texts: a number as its digits, and what is null not at all."""
    field = dict(field)
    value: Schema
    (value,) = [option for option in field.pop("anyOf", [{}]) if option.get("type") != "null"]
    field.pop("default", None)
    if "integer" in (value.get("type"), field.get("type")):
        return field | {"type": "string", "pattern": "^[0-9]+$"}
    return field | value


def _examples(topic: str) -> list[object]:
    files = sorted((HERE / "examples" / topic / "valid").glob("*.json"))
    return [json.loads(file.read_text(encoding="utf-8")) for file in files[:_EXAMPLES]]


def _json(schema: Schema) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Writes every generated file."""
    for path, text in generated().items():
        (HERE / path).parent.mkdir(exist_ok=True)
        (HERE / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
