"""The accounts: one JSON file of users and tokens, hashes only. Written whole or not at all, read again when it changes."""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import Annotated

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from msgspec import Meta, Struct

from schemas.tokens import hash_token
from warroom.auth.roles import Role

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._@-]{1,64}$")]
SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 1024

_hasher = PasswordHasher()  # argon2id with the parameters of RFC 9106's low-memory profile


class AccountsError(Exception):
    """The accounts cannot be used or changed so; the message says what was expected."""


class User(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Someone who signs in. `password` is an argon2id hash; `brands` None: all."""

    name: Name
    role: Role
    password: str
    brands: tuple[str, ...] | None = None

    @property
    def stamp(self) -> str:
        """Changes with password, role and brands; a session with another stamp is over."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:24]


class Token(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A program's key: its SHA-256, for a token is random and needs no slow hash. `expires_at` in epoch milliseconds, None: never."""

    name: Name
    role: Role
    sha256: str
    brands: tuple[str, ...] | None = None
    expires_at: int | None = None


class Accounts(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All accounts, and the secret that sessions are signed and user ids are masked with."""

    secret: Annotated[str, Meta(min_length=32)]
    users: tuple[User, ...] = ()
    tokens: tuple[Token, ...] = ()

    def __post_init__(self) -> None:
        for what, names in (("user", [u.name for u in self.users]), ("token", [t.name for t in self.tokens])):
            if len(set(names)) < len(names):
                raise ValueError(f"expected every {what} once, found {', '.join(sorted(names))}")

    def user(self, name: str) -> User | None:
        """A user by name."""
        return next((user for user in self.users if user.name == name), None)

    def token(self, presented: str) -> Token | None:
        """The token that is presented, whether expired or not."""
        found = hash_token(presented)
        return next((token for token in self.tokens if secrets.compare_digest(token.sha256, found)), None)

    def with_user(self, user: User) -> Accounts:
        """With this user, in the place of one of the same name."""
        return msgspec.structs.replace(self, users=(*(u for u in self.users if u.name != user.name), user))

    def with_token(self, token: Token) -> Accounts:
        """With this token, in the place of one of the same name."""
        return msgspec.structs.replace(self, tokens=(*(t for t in self.tokens if t.name != token.name), token))

    def without_user(self, name: str) -> Accounts:
        """Without this user. Raises AccountsError if there is none."""
        if self.user(name) is None:
            raise AccountsError(f"expected one of the users {_listed(u.name for u in self.users)}, found {name!r}")
        return msgspec.structs.replace(self, users=tuple(u for u in self.users if u.name != name))

    def without_token(self, name: str) -> Accounts:
        """Without this token. Raises AccountsError if there is none."""
        if name not in {t.name for t in self.tokens}:
            raise AccountsError(f"expected one of the tokens {_listed(t.name for t in self.tokens)}, found {name!r}")
        return msgspec.structs.replace(self, tokens=tuple(t for t in self.tokens if t.name != name))


class AccountsFile:
    """The file. Safe for several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._accounts: Accounts | None = None
        self._lock = threading.Lock()

    def read(self) -> Accounts:
        """The accounts as they are now. Raises AccountsError."""
        with self._lock:
            try:
                stat = self.path.stat()
                seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
                if self._accounts is None or seen != self._seen:
                    self._accounts, self._seen = decode_accounts(self.path.read_bytes(), str(self.path)), seen
            except OSError as error:
                raise AccountsError(
                    f"{self.path}: expected a file of accounts (rflow warroom user add makes one): {error.strerror}"
                ) from None
            return self._accounts

    def write(self, accounts: Accounts) -> None:
        """Replace the file, readable by its owner alone. Raises AccountsError for what could not be read again."""
        content = msgspec.json.format(msgspec.json.encode(accounts)) + b"\n"
        decode_accounts(content, str(self.path))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")  # made with mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self.path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def new_accounts() -> Accounts:
    """Nobody yet, and a secret."""
    return Accounts(secret=secrets.token_hex(32))


def decode_accounts(content: bytes, where: str) -> Accounts:
    """Accounts from JSON. Raises AccountsError, which quotes nothing of the content."""
    try:
        return msgspec.json.decode(content, type=Accounts)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AccountsError(f"{where}: expected accounts as rflow warroom user add writes them: {error}") from None


def hash_password(password: str) -> str:
    """An argon2id hash. Raises AccountsError for a password that is too short or too long."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise AccountsError(f"expected a password of {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters, found {len(password)}")
    return _hasher.hash(password)


@cache
def _nobodys() -> str:
    """A hash that no password has; made when it is first needed, for it takes as long as every hash."""
    return _hasher.hash(secrets.token_hex(16))


def password_fits(user: User | None, password: str) -> bool:
    """Whether the password is the user's; takes as long for a user that is not there. Slow on purpose."""
    try:
        _hasher.verify(user.password if user else _nobodys(), password)
    except (VerificationError, InvalidHashError):
        return False
    return user is not None


def _listed(names: object) -> str:
    return ", ".join(sorted(names)) or "(none)"  # type: ignore[call-overload]
