"""Sessions: a signed cookie that names a user and the stamp of their account. Nothing is stored but what was signed out."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import TypeVar

import msgspec
from msgspec import Struct

from warroom.auth.accounts import Accounts, User
from warroom.auth.roles import Principal, Role

S = TypeVar("S", bound=Struct)

SESSION_MS = 12 * 3_600_000
_MOST_REVOKED = 10_000


class _Session(Struct, frozen=True, array_like=True):
    id: str
    user: str
    stamp: str
    expires_at: int


class _Guest(Struct, frozen=True, array_like=True):
    """Somebody whom a provider vouches for; `stamp` is that of its configuration."""

    id: str
    name: str
    role: Role
    brands: tuple[str, ...] | None
    stamp: str
    expires_at: int


class Sessions:
    """Signs and reads the cookies of one process. Times are epoch milliseconds."""

    def __init__(self) -> None:
        self._revoked: dict[str, int] = {}

    def open(self, accounts: Accounts, user: User, now: int) -> str:
        """A cookie for a user who has signed in."""
        return seal(accounts, "session", _Session(secrets.token_hex(8), user.name, user.stamp, now + SESSION_MS))

    def open_guest(self, accounts: Accounts, guest: Principal, stamp: str, now: int) -> str:
        """A cookie for somebody whom a provider vouches for."""
        return seal(accounts, "guest", _Guest(secrets.token_hex(8), guest.name, guest.role, guest.brands, stamp, now + SESSION_MS))

    def guest_of(self, accounts: Accounts, cookie: str, stamp: str, now: int) -> Principal | None:
        """Whose cookie it is; None if it is not a guest's, over, signed out, or of before the provider's configuration was changed."""
        guest = unseal(accounts, "guest", cookie, _Guest)
        if guest is None or guest.expires_at <= now or guest.id in self._revoked or not hmac.compare_digest(guest.stamp, stamp):
            return None
        return Principal(name=guest.name, role=guest.role, brands=guest.brands, by="session")

    def user_of(self, accounts: Accounts, cookie: str, now: int) -> User | None:
        """Whose cookie it is; None if it is not ours, over, signed out, or of before the account was changed."""
        session = unseal(accounts, "session", cookie, _Session)
        if session is None or session.expires_at <= now or session.id in self._revoked:
            return None
        user = accounts.user(session.user)
        return user if user is not None and hmac.compare_digest(user.stamp, session.stamp) else None

    def close(self, accounts: Accounts, cookie: str, now: int) -> None:
        """Sign out: the cookie is worth nothing any more to this process."""
        session = unseal(accounts, "session", cookie, _Session) or unseal(accounts, "guest", cookie, _Guest)
        if session is None:
            return
        self._revoked = {id_: expires for id_, expires in self._revoked.items() if expires > now}
        while len(self._revoked) >= _MOST_REVOKED:
            del self._revoked[next(iter(self._revoked))]
        self._revoked[session.id] = session.expires_at


def seal(accounts: Accounts, purpose: str, told: Struct) -> str:
    """A value as a cookie: readable, and signed for this purpose alone."""
    body = msgspec.json.encode(told)
    return f"{_text(body)}.{_text(_sign(accounts, purpose, body))}"


def unseal(accounts: Accounts, purpose: str, cookie: str, of: type[S]) -> S | None:
    """What `seal` has sealed for the purpose; None if it is not ours."""
    body, _, signature = cookie.partition(".")
    try:
        raw, signed = _bytes(body), _bytes(signature)
        if not hmac.compare_digest(signed, _sign(accounts, purpose, raw)):
            return None
        return msgspec.json.decode(raw, type=of)
    except (ValueError, msgspec.MsgspecError):
        return None


def _sign(accounts: Accounts, purpose: str, body: bytes) -> bytes:
    return hmac.digest(accounts.secret.encode(), f"{purpose}:".encode() + body, hashlib.sha256)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
