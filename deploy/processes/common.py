"""What every long-running process has: a health server that also tells what it is, and where it listens."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from importlib.metadata import version

from deploy.health import HealthServer, Report
from deploy.settings import Settings
from streams import metrics

GRACE_SECONDS = 5.0
"""for what is under way when a process is told to stop"""


def told(settings: Settings, process: str, report: Callable[[], Report]) -> HealthServer:
    """The health server of a process, which also tells what it is."""
    metrics.PROCESS.labels(process, version("rflow")).set(1)
    metrics.PARTITIONS.set(settings.partitions)
    return HealthServer(settings.http_host, settings.http_port, report)


def on_stop(stop: Callable[[], object]) -> None:
    """Calls `stop` when the process is told to stop, by SIGTERM or Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())


def listen(what: str, host: str, port: int, setting: str) -> socket.socket:
    """A socket at which `what` is served. Raises OSError, which names the setting, if the port is taken."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise OSError(f"{what} cannot be served at {host}:{port}: {error.strerror}; set {setting}") from error
    return listener
