"""The password for Redis as redis-py asks for it."""

from __future__ import annotations

from collections.abc import Callable

from redis.credentials import CredentialProvider


class Credentials(CredentialProvider):
    """User and password, asked for at every new connection."""

    def __init__(self, user: str, password: Callable[[], str]) -> None:
        self._user = user
        self._password = password

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """The user, unless it is the default one, and the password in force."""
        return (self._user, self._password()) if self._user else (self._password(),)
