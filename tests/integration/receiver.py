"""A webhook's receiver over real HTTP: it checks what it is sent, and misbehaves where it is told to."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Judge = Callable[[dict[str, Any], int], int]
"""The status to answer to a transition that is told for the n-th time; 0 cuts the connection, -1 says nothing for long."""


class Receiver:
    """What was taken, in order; `concurrent` is how many requests were open at most, `same_user` how many of one user."""

    def __init__(self, key: bytes, judge: Judge, port: int = 0) -> None:
        self.taken: list[tuple[str, str, int]] = []
        self.faults: list[str] = []
        self.concurrent = self.same_user = 0
        self._key = key
        self._judge = judge
        self._seen: Counter[str] = Counter()
        self._open: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self.port = port

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Listens, at the same port as before."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Refuses connections from now on."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def hear(self, headers: Any, body: bytes) -> int:
        """Status of a request."""
        told = json.loads(body)
        user, id_ = told["user_id"], headers["webhook-id"]
        with self._lock:
            if self._server is None:  # a connection that was kept open
                return 0
            if not self._is_signed(headers, body) or headers["idempotency-key"] != id_ or not id_.endswith(f":{told['id']}"):
                self.faults.append(f"{dict(headers)} {body!r}")
            self._seen[id_] += 1
            self._open[user] += 1
            self.same_user = max(self.same_user, self._open[user])
            self.concurrent = max(self.concurrent, self._open.total())
            status = self._judge(told, self._seen[id_])
        time.sleep(0.002)
        with self._lock:
            self._open[user] -= 1  # who is left without an answer gives up, and may ask again
            if status == 200:
                self.taken.append((id_, user, told["seq"]))
        if status == -1:
            time.sleep(1.0)
        return status

    def _is_signed(self, headers: Any, body: bytes) -> bool:
        at = headers["webhook-timestamp"]
        told = b"%s.%s.%s" % (headers["webhook-id"].encode(), at.encode(), body)
        good = base64.b64encode(hmac.new(self._key, told, hashlib.sha256).digest()).decode()
        return abs(time.time() - int(at)) < 60 and hmac.compare_digest(headers["webhook-signature"], f"v1,{good}")


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            body = self.rfile.read(length)
            if len(body) < length:  # from a client that was killed
                self.close_connection = True
                return
            status = receiver.hear(self.headers, body)
            if status <= 0:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(status)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def handle(self) -> None:
            with suppress(ConnectionError):  # a client that was killed
                super().handle()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class' name
            """Nothing."""

    return Handler
