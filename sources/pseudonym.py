"""User ids replaced by a keyed hash before they reach Kafka: who has the key can tell whose a record is, who has the records alone cannot.

The same id and key give the same pseudonym, wherever it is made: a producer of one's own may make it too. With another key all users
are new ones. Only `user_id` is replaced; ids of people in other fields are the producer's to leave out.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from schemas.framing import unframed

PREFIX = "p1_"
"""Says that an id is a pseudonym, and how it was made."""
UNREADABLE = "lines of no user that can be read"

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode


class Pseudonyms:
    """Makes them with one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, user_id: str) -> str:
        """`p1_` and the HMAC-SHA256 of an id, in Base64 as URLs have it, without padding: 46 characters."""
        digest = hmac.digest(self._key, user_id.encode(), hashlib.sha256)
        return PREFIX + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def line(self, line: bytes) -> bytes:
        """A record with its user's pseudonym, all else as it was; a record that names no user as it is. Raises ValueError for what is no
        JSON object."""
        try:
            fields = _fields(unframed(line))
            raw = fields.get("user_id")
            if raw is None:
                return line
            fields["user_id"] = msgspec.Raw(_encode(self.of(_read(bytes(raw)))))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ValueError("expected a JSON object in UTF-8") from None
        return _encode(fields)

    def lines(self, lines: Iterable[bytes], left_out: Counter[str]) -> Iterator[bytes]:
        """Lines with pseudonyms. What cannot be read could hold an id anywhere: it is left out, and counted."""
        for line in lines:
            try:
                made = self.line(line)
            except ValueError:
                left_out[UNREADABLE] += 1
            else:
                yield made


def _read(raw: bytes) -> str:
    return _text(raw) if raw.startswith(b'"') else raw.decode()
