"""HTTP connections to ClickHouse over which a reply whose head was cut off is an error, and whose password may change.

Python's http.client takes the end of the connection for the end of the head. Where the head ends before it says how long the body is, the
reply would read as one without rows: as if a block that is stored were not.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from clickhouse_connect.driver.common import coerce_bool
from clickhouse_connect.driver.httputil import check_env_proxy, get_pool_manager
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.exceptions import ProtocolError

_TLS = ("ca_cert", "client_cert", "client_cert_key")
_PORTS = {"http": 8123, "https": 8443}


@cache
def pool_of(url: str, told: tuple[tuple[str, str], ...] = (), user: str = "", password: Callable[[], str] | None = None) -> PoolManager:
    """The connections to a server, with what its URL and `told` say of TLS and the environment of proxies, as clickhouse-connect reads
    them. With a `password` every request carries the one in force."""
    address = urlsplit(url)
    given = dict(parse_qsl(address.query)) | dict(told)
    options: dict[str, Any] = {name: given[name] for name in _TLS if name in given}
    if "server_host_name" in given:
        options["server_hostname"] = options["assert_hostname"] = given["server_host_name"]
    verify = given.get("verify", "true").lower()
    proxy = check_env_proxy(address.scheme, address.hostname or "", address.port or _PORTS[address.scheme])
    pool: PoolManager = get_pool_manager(verify=verify == "proxy" or coerce_bool(verify), http_proxy=proxy, **options)
    login = {"login": (user, password)}
    pool.pool_classes_by_scheme = {"http": type("_Http", (_Http,), login), "https": type("_Https", (_Https,), login)}
    return pool


class _Http(HTTPConnectionPool):
    login: tuple[str, Callable[[], str] | None] = ("", None)

    def urlopen(self, *args: Any, **options: Any) -> BaseHTTPResponse:
        return _whole(super().urlopen(*args, **_with_login(options, *self.login)))


class _Https(HTTPSConnectionPool):
    login: tuple[str, Callable[[], str] | None] = ("", None)

    def urlopen(self, *args: Any, **options: Any) -> BaseHTTPResponse:
        return _whole(super().urlopen(*args, **_with_login(options, *self.login)))


def _with_login(options: dict[str, Any], user: str, password: Callable[[], str] | None) -> dict[str, Any]:
    if password is None:
        return options
    secret = b64encode(f"{user or 'default'}:{password()}".encode()).decode()
    return {**options, "headers": {**(options.get("headers") or {}), "Authorization": f"Basic {secret}"}}


def _whole(reply: BaseHTTPResponse) -> BaseHTTPResponse:
    """The reply. Raises ProtocolError if its head does not say where the body ends."""
    chunked = reply.headers.get("transfer-encoding", "").lower() == "chunked"
    if not chunked and not reply.headers.get("content-length", "").isdigit():
        reply.close()
        raise ProtocolError("the reply was cut off within its head")
    return reply
