"""How WeCom signs and encrypts callbacks: SHA-1 over sorted parts, AES-256-CBC whose first bytes are random.

The scheme is WeCom's (加解密方案说明); SHA-1 and the way it is keyed are not ours to choose.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

_BLOCK = 32
_RANDOM, _LENGTH = 16, 4
KEY_CHARACTERS = 43
"""Of an EncodingAESKey: 32 bytes in Base64 without its last `=`."""


class CryptError(ValueError):
    """A callback that is not WeCom's, or not for this receiver; the message says no more than which check failed."""


class WeComCrypt:
    """What an application's Token and EncodingAESKey open. `receiver`, which messages end in, is its CorpID, a third party's SuiteID."""

    def __init__(self, token: str, aes_key: str, receiver: str) -> None:
        self._token = token
        self._receiver = receiver.encode()
        try:
            self._key = base64.b64decode(f"{aes_key}=", validate=True)
        except (binascii.Error, ValueError):
            self._key = b""
        if len(aes_key) != KEY_CHARACTERS or len(self._key) != _BLOCK:
            raise CryptError(f"expected an EncodingAESKey of {KEY_CHARACTERS} characters")

    def opened(self, signature: str, timestamp: str, nonce: str, encrypted: str) -> bytes:
        """The message in `encrypted`. Raises CryptError."""
        if not hmac.compare_digest(self.signature(timestamp, nonce, encrypted).encode(), signature.encode()):
            raise CryptError("expected the msg_signature of this application's Token")
        return self._decrypted(encrypted)

    def signature(self, timestamp: str, nonce: str, encrypted: str) -> str:
        """The `msg_signature`."""
        told = "".join(sorted((self._token, timestamp, nonce, encrypted)))
        return hashlib.sha1(told.encode(), usedforsecurity=False).hexdigest()

    def sealed(self, message: bytes) -> str:
        """As WeCom encrypts a message."""
        whole = secrets.token_bytes(_RANDOM) + len(message).to_bytes(_LENGTH, "big") + message + self._receiver
        filling = _BLOCK - len(whole) % _BLOCK
        encryptor = self._cipher().encryptor()
        return base64.b64encode(encryptor.update(whole + bytes([filling]) * filling) + encryptor.finalize()).decode()

    def _decrypted(self, encrypted: str) -> bytes:
        try:
            content = base64.b64decode(encrypted, validate=True)
            decryptor = self._cipher().decryptor()
            whole = decryptor.update(content) + decryptor.finalize()
        except (binascii.Error, ValueError):
            raise CryptError("expected whole blocks in Base64") from None
        filling = whole[-1] if whole else 0
        if not 1 <= filling <= _BLOCK:
            raise CryptError("expected the padding of PKCS#7")
        begin = _RANDOM + _LENGTH
        end = begin + int.from_bytes(whole[_RANDOM:begin], "big")
        if whole[end:-filling] != self._receiver:
            raise CryptError("expected a message for this receiver")
        return whole[begin:end]

    def _cipher(self) -> Cipher[CBC]:
        return Cipher(AES(self._key), CBC(self._key[:16]))
