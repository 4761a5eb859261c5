"""TLS and passwords in front of the embedded ClickHouse, which has neither: a proxy that ends the TLS and checks who asks.

The engine behind it does not know users. What a user may do is tried by putting the requests that `requests` keeps to an engine whose only
user has that user's rights (`tests.secured.limited_engine`).
"""

from __future__ import annotations

import base64
import http.client
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.secured.certificates import Authority

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "authorization", "host"}


class Asked(NamedTuple):
    """A request as it came in: by whom, to which path with its query, with which body."""

    user: str
    path: str
    body: bytes
    headers: dict[str, str]


class Gate:
    """Listens while it is entered. `users` are names with the passwords that let them in; `behind` is the engine's URL."""

    def __init__(self, authority: Authority) -> None:
        self.users: dict[str, set[str]] = {}
        self.behind = ""
        self.requests: list[Asked] = []
        self.refused: list[str] = []
        authority.sign("clickhouse")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.certificate("clickhouse"), authority.key("clickhouse"))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Gate:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def who(self, authorization: str) -> str | None:
        """The user whose password this is."""
        user, _, password = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        return user if password in self.users.get(user, ()) else None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        gate = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                self._pass_on()

            def do_POST(self) -> None:
                self._pass_on()

            def _pass_on(self) -> None:
                body = b"".join(self._body())
                told = self.headers.get("Authorization", "")
                user = gate.who(told) if told else None
                if user is None:
                    gate.refused.append(told)
                    self._answer(403, {"X-ClickHouse-Exception-Code": "516"}, b"Code: 516. DB::Exception: Authentication failed.\n")
                    return
                kept = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
                gate.requests.append(Asked(user, self.path, body, kept))
                connection = http.client.HTTPConnection(urlsplit(gate.behind).netloc, timeout=60)
                try:
                    connection.request(self.command, self.path, body, kept)
                    answer = connection.getresponse()
                    self._answer(answer.status, {n: v for n, v in answer.getheaders() if n.lower() not in _HOP}, answer.read())
                finally:
                    connection.close()

            def _body(self) -> Iterator[bytes]:
                if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                    yield self.rfile.read(int(self.headers.get("Content-Length") or 0))
                    return
                while size := int(self.rfile.readline().strip(), 16):
                    yield self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()

            def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' name
                """Not worth a line."""

        return Handler
