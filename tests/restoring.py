"""A Redis backed up and restored as deploy/BACKUP.md has it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import redis

from tests.servers import Server, wait_until

_OF_CLUSTER = "nodes.conf"


def back_up_redis(server: Server, to: Path) -> None:
    """BGSAVE, and copies of its file and of what a cluster's node knows of the others, in the folder `to`."""
    with redis.Redis.from_url(server.address) as client:
        before = client.lastsave()
        client.bgsave()
        wait_until(lambda: client.lastsave() > before, "Redis to have saved", 60)
    to.mkdir()
    for name in ("dump.rdb", _OF_CLUSTER):
        if (data_of(server) / name).exists():
            shutil.copy(data_of(server) / name, to)


def restore_redis(server: Server, backup: Path) -> None:
    """From nothing but the backup; the server has ended before."""
    ordinary = server.process.spec
    put_back(server, backup)
    server.process.spec = replace(ordinary, argv=(*ordinary.argv, "--appendonly", "no"))
    server.start()
    with redis.Redis.from_url(server.address) as client:
        keys = client.dbsize()
        assert keys
        client.config_set("appendonly", "yes")
        wait_until(lambda: not client.info("persistence")["aof_rewrite_in_progress"], "the append-only file", 60)
    server.kill()
    server.process.spec = ordinary
    server.start()
    with redis.Redis.from_url(server.address) as client:
        assert client.dbsize() == keys


def put_back(server: Server, backup: Path) -> None:
    """The files of the backup, and no others."""
    shutil.rmtree(data_of(server))
    shutil.copytree(backup, data_of(server))


def data_of(server: Server) -> Path:
    """The folder of a server's data."""
    argv = server.process.spec.argv
    return Path(argv[argv.index("--dir" if "--dir" in argv else "--data") + 1])
