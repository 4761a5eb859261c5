"""Who sent a request, when, and whether it was had before: headers of the Standard Webhooks specification 1.0.0.

Libraries in most languages write and check them. rflow signs what it tells webhooks, and checks what sources sign.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from pathlib import Path

TOLERANCE_SECONDS = 300
"""How far a request's timestamp may be from the clock of who checks it: what the specification's libraries take."""
SHORTEST_SECRET = 16


class SecretError(ValueError):
    """A file of a secret that cannot be used; the message never quotes it."""


def signed_headers(key: bytes, id_: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Of a request at `timestamp` (epoch seconds). `id_` is the same however often the same thing is told: the receiver's idempotency key.

    The signature is the HMAC-SHA256 of `id.timestamp.body` in Base64.
    """
    signature = base64.b64encode(_digest(key, id_.encode(), str(timestamp).encode(), body)).decode()
    return {"webhook-id": id_, "webhook-timestamp": str(timestamp), "webhook-signature": f"v1,{signature}", "idempotency-key": id_}


def is_signed(key: bytes, id_: bytes, timestamp: bytes, signatures: bytes, body: bytes) -> bool:
    """Whether one of the `signatures` of a request is that of `key`. Says nothing of whether `timestamp` is recent."""
    expected = b"v1," + base64.b64encode(_digest(key, id_, timestamp, body))
    return any(hmac.compare_digest(expected, one) for one in signatures.split())


def read_secret(path: Path) -> bytes:
    """The key in a file: Base64 after `whsec_`, else the text as it is, without blanks around it. Raises SecretError."""
    try:
        text = path.read_bytes().strip()
    except OSError as error:
        raise SecretError(f"expected a readable file, found {str(path)!r}: {error.strerror}") from None
    key = text
    if text.startswith(b"whsec_"):
        try:
            key = base64.b64decode(text.removeprefix(b"whsec_"), validate=True)
        except binascii.Error:
            raise SecretError(f"expected Base64 after whsec_ in {str(path)!r}") from None
    if len(key) < SHORTEST_SECRET:
        raise SecretError(f"expected a secret of at least {SHORTEST_SECRET} bytes in {str(path)!r}, found {len(key)}")
    return key


def _digest(key: bytes, id_: bytes, timestamp: bytes, body: bytes) -> bytes:
    return hmac.digest(key, b"%b.%b.%b" % (id_, timestamp, body), hashlib.sha256)
