"""Writes one record with a header whose name is not UTF-8, as producers in other languages can: a process of its own, since aiokafka
does so only without its C extensions. The value comes through standard input."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import Any


def send(bootstrap: str, topic: str, partition: int, value: bytes) -> None:
    """Write the record; its offset is the next of its log."""
    command = [sys.executable, "-m", "tests.hostile.unreadable_header", bootstrap, topic, str(partition)]
    subprocess.run(command, input=value, check=True, env={**os.environ, "AIOKAFKA_NO_EXTENSIONS": "1"}, timeout=60)


class _Name(str):
    """A name that encodes to bytes which are no text."""

    __slots__ = ()

    def encode(self, *_: Any) -> bytes:
        return b"trace\xff\xfe\xed\xa0\x80"


async def _main(bootstrap: str, topic: str, partition: str) -> None:
    from aiokafka import AIOKafkaProducer

    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.send_and_wait(topic, sys.stdin.buffer.read(), partition=int(partition), headers=[(_Name("trace"), b"1")])


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
