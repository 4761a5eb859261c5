"""Doubles of the services that alerts go to: real HTTP and SMTP servers on loopback that check signatures and enforce limits."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

SECRET = "SECf00"
Answer = tuple[int, Any]


class Double:
    """A service: `taken` holds what it has accepted, `limit` messages within a minute. `broken` makes it answer with that status."""

    def __init__(self, judge: Callable[[Double, str, dict[str, str], bytes], Answer], limit: int = 20) -> None:
        self.taken: list[Any] = []
        self.asked = 0
        self.limit = limit
        self.broken: int | None = None
        self.url = ""
        self._judge = judge
        self._times: list[float] = []

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        self.asked += 1
        if self.broken is not None:
            return self.broken, {}
        return self._judge(self, path, headers, body)

    def is_over_limit(self) -> bool:
        now = time.monotonic()
        self._times = [at for at in self._times if now - at < 60] + [now]
        return len(self._times) > self.limit


def wecom(double: Double, path: str, _headers: dict[str, str], body: bytes) -> Answer:
    if parse_qs(urlsplit(path).query).get("key") != ["k-1"]:
        return 200, {"errcode": 93000, "errmsg": "invalid webhook url"}
    if double.is_over_limit():
        return 200, {"errcode": 45009, "errmsg": "api freq out of limit"}
    content = json.loads(body)["markdown"]["content"]
    if len(content.encode()) > 4096:
        return 200, {"errcode": 40058, "errmsg": "markdown.content exceed max length 4096"}
    double.taken.append(content)
    return 200, {"errcode": 0, "errmsg": "ok"}


def dingtalk(double: Double, path: str, _headers: dict[str, str], body: bytes) -> Answer:
    asked = parse_qs(urlsplit(path).query)
    at = asked["timestamp"][0]
    expected = base64.b64encode(hmac.new(SECRET.encode(), f"{at}\n{SECRET}".encode(), hashlib.sha256).digest()).decode()
    if asked["sign"] != [expected] or abs(int(at) / 1000 - time.time()) > 3600:
        return 200, {"errcode": 310000, "errmsg": "sign not match"}
    if double.is_over_limit():
        return 200, {"errcode": 130101, "errmsg": "send too fast, exceed 20 times per minute"}
    double.taken.append(json.loads(body)["markdown"]["text"])
    return 200, {"errcode": 0, "errmsg": "ok"}


def feishu(double: Double, _path: str, _headers: dict[str, str], body: bytes) -> Answer:
    told = json.loads(body)
    key = f"{told['timestamp']}\n{SECRET}".encode()
    expected = base64.b64encode(hmac.new(key, b"", hashlib.sha256).digest()).decode()
    if told["sign"] != expected or abs(int(told["timestamp"]) - time.time()) > 3600:
        return 200, {"code": 19021, "msg": "sign match fail or timestamp is not within one hour from current time"}
    if double.is_over_limit():
        return 200, {"code": 11232, "msg": "frequency limited"}
    double.taken.append(told["content"]["text"])
    return 200, {"code": 0, "msg": "success"}


def alertmanager(double: Double, path: str, _headers: dict[str, str], body: bytes) -> Answer:
    if path != "/api/v2/alerts" or any(not one["labels"].get("alertname") for one in json.loads(body)):
        return 400, {"code": 601}
    double.taken += json.loads(body)
    return 200, {}


def webhook(double: Double, _path: str, headers: dict[str, str], body: bytes) -> Answer:
    expected = hmac.new(SECRET.encode(), headers["x-rflow-timestamp"].encode() + b"." + body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, headers["x-rflow-signature"]):
        return 401, {}
    double.taken.append((headers["x-rflow-id"], [json.loads(line) for line in body.splitlines()]))
    return 204, None


@contextmanager
def served(double: Double, path: str = "") -> Iterator[Double]:
    """The double at `double.url`, while it is needed."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, told = double.answer(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            raw = b"" if told is None else json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    double.url = f"http://127.0.0.1:{server.server_address[1]}{path}"
    try:
        yield double
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def mail_server(refuse: bool = False) -> Iterator[tuple[str, list[str]]]:
    """An SMTP server: its address, and the messages it has taken. `refuse` turns every recipient away."""
    taken: list[str] = []

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 double\r\n")
            while line := self.rfile.readline():
                word = line.strip().upper().split(b" ")[0]
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    lines: list[bytes] = []
                    while (part := self.rfile.readline()) not in (b".\r\n", b""):
                        lines.append(part)
                    taken.append(b"".join(lines).decode())
                    self.wfile.write(b"250 taken\r\n")
                elif word == b"QUIT":
                    self.wfile.write(b"221 bye\r\n")
                    return
                else:
                    self.wfile.write(b"550 nobody\r\n" if refuse and word == b"RCPT" else b"250 ok\r\n")

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"smtp://127.0.0.1:{server.server_address[1]}", taken
    finally:
        server.shutdown()
        server.server_close()
