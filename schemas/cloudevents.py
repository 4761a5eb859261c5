"""The headers of a record that rflow writes: CloudEvents 1.0, Kafka protocol binding, binary mode."""

from __future__ import annotations


def cloudevent(source: str, name: str, type_: str, time: str) -> list[tuple[str, bytes]]:
    """The headers of a JSON record: `name` tells it from all others of its source and type, `time` (RFC 3339) is when it was found."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", name.encode()),
        ("ce_source", source.encode()),
        ("ce_type", type_.encode()),
        ("ce_time", time.encode()),
        ("content-type", b"application/json"),
    ]
