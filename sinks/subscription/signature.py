"""The headers that tell a receiver who sent a request, when, and whether it has had it before.

They are those of the Standard Webhooks specification 1.0.0, whose libraries check them in most languages.
"""

from __future__ import annotations

import base64
import hashlib
import hmac


def signed_headers(key: bytes, id_: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Of a request at `timestamp` (epoch seconds). `id_` is the same however often the same thing is told: the receiver's idempotency key.

    The signature is the HMAC-SHA256 of `id.timestamp.body` in Base64.
    """
    told = b"%s.%d.%s" % (id_.encode(), timestamp, body)
    signature = base64.b64encode(hmac.new(key, told, hashlib.sha256).digest()).decode()
    return {"webhook-id": id_, "webhook-timestamp": str(timestamp), "webhook-signature": f"v1,{signature}", "idempotency-key": id_}
