"""Ports are free, below the ephemeral range, and remembered."""

from __future__ import annotations

import socket
from pathlib import Path

from deploy.stack.ports import FIRST, LAST, PortBook, free_port, is_free


def test_free_ports_differ_and_are_never_ephemeral() -> None:
    ports = [free_port() for _ in range(20)]
    assert len(set(ports)) == 20
    assert all(FIRST <= port <= LAST < 32768 for port in ports)


def test_a_port_somebody_listens_on_is_not_free() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        assert not is_free(port)
    assert is_free(port)


def test_a_port_is_remembered_while_it_is_free(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    port = PortBook(path).port("redis")
    assert PortBook(path).port("redis") == port
    assert PortBook(path).port("kafka") != port
    with socket.create_server(("127.0.0.1", port)):
        other = PortBook(path).port("redis")
    assert other != port
    assert PortBook(path).port("redis") == other
