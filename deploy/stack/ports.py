"""Loopback ports for the stack's servers."""

from __future__ import annotations

import json
import random
import socket
from contextlib import closing
from pathlib import Path

from deploy.stack.files import write_whole

FIRST, LAST = 20_000, 29_999
"""Below every common ephemeral range (Linux 32768, BSD 49152). A client that retries a port inside that range while its server is
down can be given that very port as its own, connect to itself, and keep the server from coming back."""

_handed_out: set[int] = set()


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do: TIME_WAIT is no hindrance
        try:
            sock.bind(("127.0.0.1", port))
            sock.listen(1)
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port nobody listens on and this process has not handed out before.

    Drawn at random, so that two stacks starting at once hardly ever draw the same one.
    """
    for _ in range(1000):
        port = random.randint(FIRST, LAST)
        if port not in _handed_out and is_free(port):
            _handed_out.add(port)
            return port
    raise OSError(f"no free port between {FIRST} and {LAST}")


class PortBook:
    """The ports a data folder used last time, so that a restart keeps its addresses wherever they are still free."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ports: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}

    def port(self, name: str) -> int:
        """The remembered port of `name` if it is free, else another, remembered from now on."""
        port = self._ports.get(name)
        if port is None or not is_free(port):
            port = self._ports[name] = free_port()
            write_whole(self._path, json.dumps(self._ports))
        return port
