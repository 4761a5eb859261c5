"""The headers of input records, and the mark that a forwarded one carries: where it lay before."""

from __future__ import annotations

from collections.abc import Iterable
from operator import methodcaller
from typing import Any

from streams.outbox import FORWARDED_HEADER

Mark = tuple[int, int]
"""(sender's shard, offset it had there): forwards of one sender and topic come in the order of their offsets"""


_ask = methodcaller("headers")


def read_headers(message: Any) -> list[tuple[str, bytes | None]]:
    """A record's headers; none where a name is not UTF-8, which Kafka lets pass.

    Of such a name confluent-kafka makes tuples with a hole in them, and who looks into one ends with the process. It does raise an error
    beside them, which the interpreter sees in a call by `methodcaller`, not in a plain one once that is hot; asked again it raises none.
    """
    try:
        return _ask(message) or []
    except (SystemError, UnicodeDecodeError):
        message.set_headers([])
        return []


def mark_of(headers: Iterable[tuple[str, bytes | None]], partitions: int) -> Mark | None:
    """The mark among a record's headers; None if there is none, or none that one of so many shards can have written."""
    told = next((value for name, value in headers if name == FORWARDED_HEADER), None)
    try:
        sender, offset = (int(part) for part in (told or b"").split(b":"))
    except ValueError:
        return None
    return (sender, offset) if 0 <= sender < partitions else None
