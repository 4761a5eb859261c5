"""User ids as viewers see them: the same user has the same mask, and a mask leads back to nobody without the secret."""

from __future__ import annotations

import hashlib

MASK_PREFIX = "~"


class Mask:
    """Masks with a key derived from the accounts' secret."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(b"mask:" + secret.encode()).digest()

    def __call__(self, user_id: str) -> str:
        return MASK_PREFIX + hashlib.blake2b(user_id.encode("utf-8", "surrogatepass"), key=self._key, digest_size=9).hexdigest()
