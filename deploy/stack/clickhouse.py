"""The embedded ClickHouse: a small loopback HTTP server over chDB, for a machine without a ClickHouse server.

    python -m deploy.stack.clickhouse --data DIR --port P [--host 127.0.0.1] [--pid-file F] [--memory-mib N]

It asks for no password. It runs until SIGTERM: then it finishes what runs, closes the engine and exits with 0. What was answered
is on the disk, so kill -9 loses nothing of it.
"""

from __future__ import annotations

import argparse
import fcntl
import ipaddress
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import uvicorn

from deploy.stack.clickhouse_engine import Engine, Limits
from deploy.stack.clickhouse_errors import QueryError
from deploy.stack.clickhouse_http import application

log = logging.getLogger("rflow.clickhouse")

_LOCK = "lock"
_STOPS = (signal.SIGTERM, signal.SIGINT)
_PATTERN = frozenset("?*{}")
_STATEMENTS_AT_ONCE = 16
_GRACE_SECONDS = 4
_KEEP_ALIVE_SECONDS = 3600
"""Longer than clients keep idle connections: one that is closed just as a client sends costs that client its request."""


class StartError(Exception):
    """The endpoint cannot start; the text says why and what to do."""


class _Server(uvicorn.Server):
    """uvicorn without its handling of signals, which would end the process before the engine is closed."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the endpoint until it is told to stop. Exit status 0 after SIGTERM or SIGINT, 1 with one line on stderr if it cannot start."""
    options = _arguments(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        with _held(options.data) as folder, _listening(options.host, options.port) as listener, _pid_file(options.pid_file):
            clean = _serve(folder, listener, Limits(memory_bytes=options.memory_mib << 20))
    except StartError as error:
        sys.exit(f"clickhouse endpoint: {error}")
    sys.stdout.flush()
    sys.stderr.flush()
    if not clean:
        os._exit(0)  # a statement would not end, and its thread would keep the process: what was answered is stored all the same
    sys.exit(0)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.stack.clickhouse", description="ClickHouse's HTTP interface over chDB.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data, created if missing")
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one and logs it")
    parser.add_argument("--host", default="127.0.0.1", help="anything but a loopback address opens the data to the network")
    parser.add_argument("--pid-file", type=Path, help="holds the process id while the endpoint runs")
    parser.add_argument("--memory-mib", type=int, default=2048, help="what the engine may allocate (default 2048)")
    return parser.parse_args(argv)


def _serve(folder: Path, listener: socket.socket, limits: Limits) -> bool:
    """Serve until a signal. False if a statement is still running."""
    os.environ["TZ"] = "UTC"  # the engine's time zone: that of a server, not that of whoever started it
    time.tzset()
    host, port = listener.getsockname()[:2]
    loopback = ipaddress.ip_address(host).is_loopback
    for number in _STOPS:
        signal.signal(number, lambda *_: sys.exit(0))  # while the engine opens; later it is closed first
    try:
        engine = Engine(folder, limits)
    except QueryError as error:
        raise StartError(f"the engine does not open {folder}: {error}") from error
    threads = ThreadPoolExecutor(_STATEMENTS_AT_ONCE, thread_name_prefix="statement")
    server = _Server(
        uvicorn.Config(
            application(engine, threads, loopback=loopback),
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            http="h11",
            h11_max_incomplete_event_size=1 << 20,  # a statement may stand in the address
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    )
    for number in _STOPS:
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    if not loopback:
        log.warning("bound to %s: whoever reaches it can read and change the data, no password is asked for", host)
    if engine.tokens_taken_back:
        log.info("took back %d tokens of inserts that a kill had cut off: they can be sent again", engine.tokens_taken_back)
    log.info("ClickHouse %s (chDB) on http://%s:%s, data in %s", engine.version, host, port, folder)
    server.run(sockets=[listener])
    log.info("stopping")
    clean = engine.close(grace_seconds=1.0)
    threads.shutdown(wait=clean, cancel_futures=True)
    log.info("stopped" if clean else "stopped with a statement that would not end")
    return clean


@contextmanager
def _held(data: Path) -> Iterator[Path]:
    """Hold the folder for this process alone; the system lets go of it however the process ends."""
    if found := _PATTERN & set(str(data.absolute())):
        raise StartError(f"{data} has {' '.join(sorted(found))} in its path, which the engine takes for a pattern: name another folder")
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = (data / _LOCK).open("a+")
    except OSError as error:
        raise StartError(f"{data} cannot be written: {error}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise StartError(f"{data} is in use by process {lock.read().strip() or '?'}: stop it, or name another folder") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield data.resolve()


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Take the port before the engine is opened, so that a taken one is told at once."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise StartError(f"{host}:{port} cannot be bound: {error}") from error
    with listener:
        yield listener


@contextmanager
def _pid_file(path: Path | None) -> Iterator[None]:
    if path is None:
        yield
        return
    path = path.absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{os.getpid()}\n")
    except OSError as error:
        raise StartError(f"{path} cannot be written: {error}") from error
    try:
        yield
    finally:
        with suppress(OSError):
            if path.read_text().strip() == str(os.getpid()):  # a successor may have written its own by now
                path.unlink()


if __name__ == "__main__":
    main()
