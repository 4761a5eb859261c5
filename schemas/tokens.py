"""Bearer tokens of programs: random, so that a plain hash is all that has to be kept of one."""

from __future__ import annotations

import hashlib
import secrets

TOKEN_PREFIX = "rflow_"  # noqa: S105 - what tokens begin with, so that scanners for secrets find them


def new_token() -> str:
    """A token, to be shown once."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """What is kept of a token: its SHA-256 in hexadecimal."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
