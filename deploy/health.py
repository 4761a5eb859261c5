"""/metrics, /healthz and /readyz of a process, on a thread of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


class Report(Struct, frozen=True):
    """How a process is: `healthy` false asks for an operator, `ready` false for patience."""

    healthy: bool
    ready: bool
    detail: dict[str, Any]


class HealthServer:
    """Serves the metrics and what `report` says. `port` is the one in use."""

    def __init__(self, host: str, port: int, report: Callable[[], Report]) -> None:
        self._server = ThreadingHTTPServer((host, port), _handler(report))
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    def __enter__(self) -> HealthServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(report: Callable[[], Report]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest())
                return
            if self.path not in ("/healthz", "/readyz"):
                self._answer(404, "text/plain; charset=utf-8", b"expected /metrics, /healthz or /readyz\n")
                return
            said = report()
            good = said.healthy if self.path == "/healthz" else said.ready
            body = orjson.dumps({"healthy": said.healthy, "ready": said.ready, "detail": said.detail})
            self._answer(200 if good else 503, "application/json", body)

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class' name
            """A scrape is not worth a line."""

    return Handler
