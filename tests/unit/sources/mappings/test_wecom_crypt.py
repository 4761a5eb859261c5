"""WeCom's signature and encryption, there and back, and nothing that somebody else has made."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.mappings.wecom_crypt import CryptError, WeComCrypt

KEY = base64.b64encode(bytes(range(32))).decode().rstrip("=")
CRYPT = WeComCrypt("a token", KEY, "wwdemo000000000001")


@given(st.binary(max_size=300))
def test_what_is_sealed_is_opened_by_its_receiver_alone(message: bytes) -> None:
    sealed = CRYPT.sealed(message)
    signature = CRYPT.signature("1794355203", "nonce", sealed)
    assert CRYPT.opened(signature, "1794355203", "nonce", sealed) == message
    other = WeComCrypt("a token", KEY, "wwdemo000000000002")
    with pytest.raises(CryptError, match="for this receiver"):
        other.opened(signature, "1794355203", "nonce", sealed)


@pytest.mark.parametrize(
    ("signature", "timestamp", "nonce", "other"),
    [
        ("", "1", "n", False),
        ("0" * 40, "1", "n", False),
        (None, "2", "n", False),
        (None, "1", "m", False),
        (None, "1", "n", True),
        ("é", "1", "n", False),
    ],
)
def test_a_signature_that_does_not_fit_is_refused(signature: str | None, timestamp: str, nonce: str, other: bool) -> None:
    sealed = CRYPT.sealed(b"told")
    good = CRYPT.signature("1", "n", sealed)
    with pytest.raises(CryptError, match="msg_signature"):
        CRYPT.opened(good if signature is None else signature, timestamp, nonce, CRYPT.sealed(b"told") if other else sealed)


@given(st.text("ABCabc012+/=é", max_size=120))
def test_what_is_no_message_is_refused(encrypted: str) -> None:
    with pytest.raises(CryptError):
        CRYPT.opened(CRYPT.signature("1", "n", encrypted), "1", "n", encrypted)


def test_the_signature_is_sha1_over_the_sorted_parts() -> None:
    import hashlib

    assert CRYPT.signature("2", "1", "z") == hashlib.sha1(b"12a tokenz").hexdigest()


@pytest.mark.parametrize("key", ["", KEY[:-1], KEY + "A", "*" * 43])
def test_a_key_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(CryptError, match="43 characters"):
        WeComCrypt("a token", key, "x")
