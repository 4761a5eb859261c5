"""HTTP connections to ClickHouse over which a reply whose head was cut off is an error.

Python's http.client takes the end of the connection for the end of the head. Where the head ends before it says how long the body is, the
reply would read as one without rows: as if a block that is stored were not.
"""

from __future__ import annotations

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
def pool_of(url: str) -> PoolManager:
    """The connections to a server, with what its URL says of TLS and the environment of proxies, as clickhouse-connect reads both."""
    address = urlsplit(url)
    given = dict(parse_qsl(address.query))
    options: dict[str, Any] = {name: given[name] for name in _TLS if name in given}
    if "server_host_name" in given:
        options["server_hostname"] = options["assert_hostname"] = given["server_host_name"]
    verify = given.get("verify", "true").lower()
    proxy = check_env_proxy(address.scheme, address.hostname or "", address.port or _PORTS[address.scheme])
    pool: PoolManager = get_pool_manager(verify=verify == "proxy" or coerce_bool(verify), http_proxy=proxy, **options)
    pool.pool_classes_by_scheme = {"http": _Http, "https": _Https}
    return pool


class _Http(HTTPConnectionPool):
    def urlopen(self, *args: Any, **options: Any) -> BaseHTTPResponse:
        return _whole(super().urlopen(*args, **options))


class _Https(HTTPSConnectionPool):
    def urlopen(self, *args: Any, **options: Any) -> BaseHTTPResponse:
        return _whole(super().urlopen(*args, **options))


def _whole(reply: BaseHTTPResponse) -> BaseHTTPResponse:
    """The reply. Raises ProtocolError if its head does not say where the body ends."""
    chunked = reply.headers.get("transfer-encoding", "").lower() == "chunked"
    if not chunked and not reply.headers.get("content-length", "").isdigit():
        reply.close()
        raise ProtocolError("the reply was cut off within its head")
    return reply
