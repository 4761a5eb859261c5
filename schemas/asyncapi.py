"""The AsyncAPI 3.0 document of rflow's topics, as plain values: what is read, what is written, with Kafka's own settings."""

from __future__ import annotations

from typing import Any

from schemas.topics import DEFAULT_PARTITIONS, Topic

Document = dict[str, Any]

_BINDING = "0.5.0"
_KEYS: dict[str, Document | None] = {
    "none": None,
    "as received": {"description": "The key of the record as it came, byte for byte."},
}
_ACTIONS = {"in": ("receive",), "out": ("send",), "control": ("receive", "send")}


def asyncapi(topics: dict[str, Topic]) -> Document:
    """The document for a deployment with the default number of partitions."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "rflow",
            "version": "1.0.0",
            "description": "Marketing touchpoints in; layer transitions, rollups, alerts and dead letters out.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "The Kafka cluster of the deployment.",
                "variables": {"bootstrap": {"default": "localhost:9092", "description": "Host and port of a broker."}},
            }
        },
        "channels": {topic.topic: _channel(topic) for topic in topics.values()},
        "operations": {
            _name(action, topic): _operation(action, topic) for topic in topics.values() for action in _ACTIONS[topic.direction]
        },
        "components": {
            "messages": {topic.topic: _message(topic) for topic in topics.values()},
            "schemas": {"CloudEvent": _CLOUDEVENT},
        },
    }


def _channel(topic: Topic) -> Document:
    settings: Document = {
        "cleanup.policy": [topic.cleanup_policy],
        "retention.ms": topic.retention_ms,
        "max.message.bytes": topic.max_message_bytes,
    }
    return {
        "address": topic.topic,
        "description": topic.description.strip(),
        "messages": {topic.topic: {"$ref": f"#/components/messages/{topic.topic}"}},
        "bindings": {
            "kafka": {
                "topic": topic.topic,
                "partitions": DEFAULT_PARTITIONS,
                "topicConfiguration": settings,
                "bindingVersion": _BINDING,
            }
        },
    }


def _operation(action: str, topic: Topic) -> Document:
    channel = f"#/channels/{topic.topic}"
    return {"action": action, "channel": {"$ref": channel}, "messages": [{"$ref": f"{channel}/messages/{topic.topic}"}]}


def _message(topic: Topic) -> Document:
    letters = topic.topic == "deadletters"
    message: Document = {"name": topic.ce_type or topic.topic, "title": topic.topic}
    if letters:
        message |= {"contentType": "application/octet-stream", "payload": {"description": "The value of the record as it came."}}
    else:
        message |= {"contentType": "application/json", "payload": {"$ref": f"./{topic.schema}"}}
    if topic.ce_type is not None:
        parts: list[Document] = [{"$ref": "#/components/schemas/CloudEvent"}, {"properties": {"ce_type": {"const": topic.ce_type}}}]
        message["headers"] = {"type": "object", "allOf": parts + ([{"$ref": f"./{topic.schema}"}] if letters else [])}
    key = _KEYS.get(topic.key, {"type": "string", "description": f"The record's {topic.key}."})
    return message | {"bindings": {"kafka": ({"key": key} if key else {}) | {"bindingVersion": _BINDING}}}


def _name(action: str, topic: Topic) -> str:
    return action + "".join(word.capitalize() for word in topic.topic.split("."))


_CLOUDEVENT: Document = {
    "description": "The headers of CloudEvents 1.0 in binary mode, each a UTF-8 text.",
    "type": "object",
    "required": ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time"],
    "properties": {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "description": "Names the event within its source and type."},
        "ce_source": {"type": "string", "description": "The part of rflow that wrote it.", "examples": ["/rflow/transitions/3"]},
        "ce_type": {"type": "string", "description": "What the record is, with its version."},
        "ce_time": {"type": "string", "format": "date-time", "description": "When it was found."},
        "content-type": {"type": "string", "description": "The media type of the value."},
        "traceparent": {"type": "string", "description": "W3C Trace Context, of transitions that a traced touchpoint has caused."},
    },
}
