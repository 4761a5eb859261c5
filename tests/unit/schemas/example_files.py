"""The examples of `schemas/examples`, as test cases."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

import schemas
from schemas.topics import load_topics

SCHEMAS = Path(schemas.__file__).parent
TOPICS = load_topics()


@dataclass(frozen=True)
class Example:
    """One file: the bytes of a record, or of dead letters its headers. `reason` is what the name of an invalid one begins with."""

    topic: str
    path: Path

    @property
    def value(self) -> bytes:
        return self.path.read_bytes()

    @property
    def reason(self) -> str:
        return self.path.stem.partition("__")[0]

    @property
    def is_json(self) -> bool:
        return self.path.suffix == ".json"

    def __str__(self) -> str:
        return f"{self.topic}/{self.path.stem}"


def examples(topic: str, which: str) -> list[Example]:
    """The `valid` or `invalid` examples of a topic."""
    return [Example(topic, path) for path in sorted((SCHEMAS / "examples" / topic / which).iterdir())]


def schema_of(topic: str) -> dict[str, Any]:
    """The JSON Schema of a topic, as it stands in the folder."""
    schema: dict[str, Any] = json.loads((SCHEMAS / TOPICS[topic].schema).read_text(encoding="utf-8"))
    return schema


def fits_schema(topic: str, value: bytes) -> bool:
    """Whether the topic's JSON Schema lets the value through."""
    return bool(Draft202012Validator(schema_of(topic)).is_valid(json.loads(value)))
