"""The AsyncAPI document is sound and agrees with the topics. (That it is up to date, `test_generated` says.)"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from schemas.topics import DEFAULT_PARTITIONS, Topic
from tests.unit.schemas.example_files import SCHEMAS, TOPICS

DOCUMENT: dict[str, Any] = yaml.safe_load((SCHEMAS / "asyncapi.yaml").read_text(encoding="utf-8"))
EVERY = pytest.mark.parametrize("topic", TOPICS.values(), ids=lambda topic: topic.topic)


def resolved(reference: str) -> Any:
    node: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        node = node[step]
    return node


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def message_of(topic: Topic) -> Any:
    channel = DOCUMENT["channels"][topic.topic]
    (message,) = channel["messages"].values()
    return resolved(message["$ref"])


def test_it_is_an_asyncapi_3_document_of_all_topics() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert set(DOCUMENT["info"]) >= {"title", "version"}
    assert set(DOCUMENT["channels"]) == set(TOPICS)


def test_every_reference_leads_somewhere() -> None:
    found = list(references(DOCUMENT))
    assert found
    for reference in found:
        if reference.startswith("#/"):
            assert resolved(reference)
        else:
            assert (SCHEMAS / reference).is_file()


@EVERY
def test_a_channel_has_the_settings_of_its_topic(topic: Topic) -> None:
    channel = DOCUMENT["channels"][topic.topic]
    kafka = channel["bindings"]["kafka"]
    assert channel["address"] == kafka["topic"] == topic.topic
    assert kafka["partitions"] == DEFAULT_PARTITIONS
    assert kafka["topicConfiguration"] == {
        "cleanup.policy": [topic.cleanup_policy],
        "retention.ms": topic.retention_ms,
        "max.message.bytes": topic.max_message_bytes,
    }


@EVERY
def test_rflow_receives_what_comes_in_and_sends_what_goes_out(topic: Topic) -> None:
    channel = f"#/channels/{topic.topic}"
    operations = [operation for operation in DOCUMENT["operations"].values() if operation["channel"]["$ref"] == channel]
    expected = {"in": {"receive"}, "out": {"send"}, "control": {"receive", "send"}}[topic.direction]
    assert {operation["action"] for operation in operations} == expected
    for operation in operations:
        # An operation's messages are those of its channel, named through the channel.
        assert [message["$ref"] for message in operation["messages"]] == [f"{channel}/messages/{topic.topic}"]


@EVERY
def test_a_message_has_its_schema_key_and_headers(topic: Topic) -> None:
    message = message_of(topic)
    if topic.topic == "deadletters":
        assert {"$ref": f"./{topic.schema}"} in message["headers"]["allOf"]
    else:
        assert message["payload"] == {"$ref": f"./{topic.schema}"}
    assert ("key" in message["bindings"]["kafka"]) == (topic.key != "none")
    assert ("headers" in message) == (topic.direction != "in")
    if topic.ce_type is not None:
        assert {"$ref": "#/components/schemas/CloudEvent"} in message["headers"]["allOf"]
        assert {"properties": {"ce_type": {"const": topic.ce_type}}} in message["headers"]["allOf"]
