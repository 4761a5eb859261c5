"""Hosts on one machine: network namespaces on a bridge, inside a namespace of their own that no packet leaves.

Whoever makes them runs in `unshare --net` (`inside`), so that nothing is left of them when that process ends. Addresses are of the block
that is kept for documentation (192.0.2.0/24, RFC 5737): no network routes it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

NETWORK = "192.0.2"
HERE = f"{NETWORK}.1"
"""The address of whoever makes the hosts."""
_BRIDGE = "hosts"


def inside(*command: str) -> list[str]:
    """A command line that runs `command` in a network namespace of its own, in which it may make hosts."""
    mapped = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *mapped, "--net", *command]


def lacking() -> str | None:
    """Why hosts cannot be made on this machine; None if they can."""
    for program in ("unshare", "nsenter", "ip"):
        if shutil.which(program) is None:
            return f"{program} is not on the PATH (Debian's packages: util-linux, iproute2)"
    tried = subprocess.run(inside("ip", "link", "add", "tried", "type", "bridge"), capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else f"network namespaces are not allowed here: {tried.stderr.strip()}"


def _ip(*arguments: str, at: Sequence[str] = ()) -> None:
    subprocess.run([*at, "ip", *arguments], check=True, capture_output=True, text=True)


@dataclass
class Host:
    """A namespace with one address. `keeper` is the process that keeps it."""

    name: str
    address: str
    keeper: subprocess.Popen[bytes]

    @property
    def enter(self) -> tuple[str, ...]:
        """What a command line begins with to run there; the process keeps the id with which it is started."""
        return ("nsenter", f"--net=/proc/{self.keeper.pid}/ns/net")

    def start(self, *command: str, log: Path, folder: Path | None = None, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Runs a server there."""
        with log.open("ab") as file:
            return subprocess.Popen(
                [*self.enter, *command], cwd=folder, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )

    def cut_off(self) -> None:
        """From now on no packet comes or goes, and nobody is told: its cable ends in the air."""
        _ip("link", "set", f"to-{self.name}", "nomaster")

    def connect(self) -> None:
        """Joins it to the others, for the first time or again."""
        _ip("link", "set", f"to-{self.name}", "master", _BRIDGE)


@dataclass
class Hosts:
    """All hosts, and what runs on them; left, it is all ended."""

    _hosts: list[Host] = field(default_factory=list)

    def __enter__(self) -> Self:
        _ip("link", "set", "lo", "up")
        _ip("link", "add", _BRIDGE, "type", "bridge")
        _ip("address", "add", f"{HERE}/24", "dev", _BRIDGE)
        _ip("link", "set", _BRIDGE, "up")
        return self

    def __exit__(self, *_: object) -> None:
        for host in self._hosts:
            host.keeper.kill()
            host.keeper.wait()

    def add(self, name: str, number: int) -> Host:
        """A host at 192.0.2.`number`. Names have ten letters at most."""
        keeper = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        host = Host(name, f"{NETWORK}.{number}", keeper)
        self._hosts.append(host)
        _until_apart(keeper.pid)
        _ip("link", "add", f"to-{name}", "type", "veth", "peer", "name", "cable", "netns", str(keeper.pid))
        _ip("link", "set", f"to-{name}", "up")
        host.connect()
        _ip("link", "set", "lo", "up", at=host.enter)
        _ip("address", "add", f"{host.address}/24", "dev", "cable", at=host.enter)
        _ip("link", "set", "cable", "up", at=host.enter)
        return host


def _until_apart(pid: int) -> None:
    """Until a process that was started with unshare has left this namespace."""
    mine, its = Path("/proc/self/ns/net"), Path(f"/proc/{pid}/ns/net")
    while its.readlink() == mine.readlink():
        time.sleep(0.005)
