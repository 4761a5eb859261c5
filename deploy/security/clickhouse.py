"""What is wrong with the options for ClickHouse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from deploy.security.secret import missing_files
from sinks.config import OPTIONS

FILES = ("ca_cert", "client_cert", "client_cert_key")


def mistakes(url: str, options: Mapping[str, Any], *, has_password: bool) -> list[str]:
    """A line for each mistake, none with a secret."""
    found = [f"clickhouse.{name}: expected one of {', '.join(OPTIONS)}" for name in options if name not in OPTIONS]
    found += missing_files("clickhouse", FILES, options)
    address = urlsplit(url)
    if address.scheme != "https" and options:
        found.append(f"clickhouse.{next(iter(options))}: expected clickhouse_url to begin with https://, found {address.scheme}://")
    if has_password and address.username:
        found.append("clickhouse_password: expected user and password in one place, found them in clickhouse_url too")
    return found
