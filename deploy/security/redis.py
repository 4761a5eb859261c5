"""How rflow logs in to Redis, in redis-py's options; and what is wrong with those given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from deploy.security.secret import missing_files

FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


def login_options(user: str, password: Callable[[], str] | None) -> dict[str, Any]:
    """What is added to redis-py's options; nothing without a password."""
    if password is None:
        return {}
    from deploy.security.redis_credentials import Credentials  # settings are read by those too that have nothing to do with Redis

    return {"credential_provider": Credentials(user, password)}


def mistakes(url: str, options: Mapping[str, Any], *, has_password: bool) -> list[str]:
    """What is wrong with an address and options; a line for each, none with a secret."""
    found = missing_files("redis", FILES, options)
    address = urlsplit(url)
    if address.scheme != "rediss" and (tls := sorted(name for name in options if name.startswith("ssl_"))):
        found.append(f"redis.{tls[0]}: expected redis_url to begin with rediss://, found {address.scheme}://")
    twice = address.username or address.password or "password" in options or "username" in options
    if has_password and twice:
        found.append("redis_password: expected user and password in one place, found them in redis_url or [redis] too")
    return found
