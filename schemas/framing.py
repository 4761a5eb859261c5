"""The frame that a schema registry's serializers put before a record's value."""

from __future__ import annotations

_MAGIC = 0
_FRAME_BYTES = 5


def unframed(value: bytes) -> bytes:
    """A record's value without the frame of Confluent's wire format: a zero byte and the schema's id in four bytes, big endian.

    JSON never begins with a zero byte, so that a value without a frame comes back as it is. What follows the frame is taken for JSON, as
    the serializer for JSON Schema writes it: Avro and Protobuf are none, and are refused as such. The id is not looked up.
    """
    return value[_FRAME_BYTES:] if value and value[0] == _MAGIC else value
