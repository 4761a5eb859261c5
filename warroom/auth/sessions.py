"""Sessions: a signed cookie that names a user and the stamp of their account. Nothing is stored but what was signed out."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

import msgspec
from msgspec import Struct

from warroom.auth.accounts import Accounts, User

SESSION_MS = 12 * 3_600_000
_MOST_REVOKED = 10_000


class _Session(Struct, frozen=True, array_like=True):
    id: str
    user: str
    stamp: str
    expires_at: int


class Sessions:
    """Signs and reads the cookies of one process. Times are epoch milliseconds."""

    def __init__(self) -> None:
        self._revoked: dict[str, int] = {}

    def open(self, accounts: Accounts, user: User, now: int) -> str:
        """A cookie for a user who has signed in."""
        body = msgspec.json.encode(_Session(secrets.token_hex(8), user.name, user.stamp, now + SESSION_MS))
        return f"{_text(body)}.{_text(_sign(accounts, body))}"

    def user_of(self, accounts: Accounts, cookie: str, now: int) -> User | None:
        """Whose cookie it is; None if it is not ours, over, signed out, or of before the account was changed."""
        session = _read(accounts, cookie)
        if session is None or session.expires_at <= now or session.id in self._revoked:
            return None
        user = accounts.user(session.user)
        return user if user is not None and hmac.compare_digest(user.stamp, session.stamp) else None

    def close(self, accounts: Accounts, cookie: str, now: int) -> None:
        """Sign out: the cookie is worth nothing any more to this process."""
        session = _read(accounts, cookie)
        if session is None:
            return
        self._revoked = {id_: expires for id_, expires in self._revoked.items() if expires > now}
        while len(self._revoked) >= _MOST_REVOKED:
            del self._revoked[next(iter(self._revoked))]
        self._revoked[session.id] = session.expires_at


def _sign(accounts: Accounts, body: bytes) -> bytes:
    return hmac.digest(accounts.secret.encode(), b"session:" + body, hashlib.sha256)


def _read(accounts: Accounts, cookie: str) -> _Session | None:
    body, _, signature = cookie.partition(".")
    try:
        raw, signed = _bytes(body), _bytes(signature)
        if not hmac.compare_digest(signed, _sign(accounts, raw)):
            return None
        return msgspec.json.decode(raw, type=_Session)
    except (ValueError, msgspec.MsgspecError):
        return None


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
