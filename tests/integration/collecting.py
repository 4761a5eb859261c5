"""A collector as a process, what is posted to it, and what then lies in Kafka."""

from __future__ import annotations

import base64
import itertools
import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from confluent_kafka import Message

from deploy.stack.ports import free_port
from schemas.signature import signed_headers
from schemas.tokens import hash_token
from schemas.topics import load_topics
from schemas.touchpoint import KINDS
from sources.mappings.wecom_crypt import WeComCrypt
from tests.servers import create_topics, wait_until
from tests.workers import Deployment, Worker

TOKEN = "rflow_of-the-mini-program"
SECRET = b"the secret of the shop's order system"
PARTITIONS = 3
SOURCES = f"""
sources:
  - source: mini-program
    brands: [acme, nova]
    channels: [wechat_mini_program, douyin]
    tokens: ["{hash_token(TOKEN)}"]
    rate: 1000000
    burst: 1000000
  - source: shop
    brands: [acme]
    secret_files: [shop.secret]
  - source: wecom
    brands: [acme]
    channels: [wecom]
    wecom: {{token_file: wecom.token, aes_key_file: wecom.key, receiver: wwdemo000000000001}}
  - source: ads
    brands: [acme]
    channels: [wechat_moments]
    tokens: ["{hash_token("rflow_of-the-ads")}"]
"""
CRYPT = WeComCrypt("a token", base64.b64encode(bytes(range(32))).decode().rstrip("="), "wwdemo000000000001")
_numbers = itertools.count()


def touchpoint(**given: Any) -> dict[str, Any]:
    """A touchpoint with an event id of its own."""
    return {
        "event_id": f"e{next(_numbers)}-{uuid.uuid4().hex[:8]}",
        "type": "mini_program_visit",
        "brand": "acme",
        "user_id": f"u{next(_numbers) % 50}",
        "occurred_at": int(time.time() * 1000),
        "channel": "wechat_mini_program",
        **given,
    }


class Site:
    """A collector in a folder: its file of sources, its process, and its topics."""

    def __init__(self, folder: Path, kafka: str, prefix: str, **given: Any) -> None:
        self.folder = folder
        self.port = free_port()
        self.deployment = Deployment(
            folder,
            kafka,
            "redis://127.0.0.1:1/0",
            prefix,
            "unused",
            partitions=PARTITIONS,
            collect_port=self.port,
            collect_sources=str(folder / "sources.yaml"),
            log_format="json",
            **given,
        )
        self.write(SOURCES)
        (folder / "shop.secret").write_bytes(SECRET + b"\n")
        (folder / "wecom.token").write_text("a token\n")
        (folder / "wecom.key").write_text(base64.b64encode(bytes(range(32))).decode().rstrip("="))
        self.process: Worker | None = None

    def write(self, text: str) -> None:
        """Puts a file of sources in the place of the one before."""
        beside = self.folder / "sources.new"
        beside.write_text(text)
        beside.replace(self.folder / "sources.yaml")

    def start(self, until: str = "/readyz") -> Worker:
        """Starts the process and waits until this path of its health server answers 200."""
        process = Worker(self.deployment.environment(), self.folder / "log", module=("deploy", "collect"))
        self.process = process
        wait_until(lambda: not process.is_running or process.get(until)[0] == 200, "the collector", 180)
        assert process.is_running, process.tail()
        return process

    def client(self, **headers: str) -> httpx.Client:
        """A client with the mini program's token; `headers` go with each request."""
        given = {"authorization": f"Bearer {TOKEN}", **{name.replace("_", "-"): value for name, value in headers.items()}}
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=given, timeout=30, trust_env=False)

    def read(self) -> dict[str, list[Message]]:
        """All records of the input topics, by event id."""
        found: dict[str, list[Message]] = {}
        for kind in KINDS:
            for message in self.deployment.read(kind.topic):
                found.setdefault(event_id(message), []).append(message)
        return found


@contextmanager
def site(folder: Path, kafka: str, prefix: str, **given: Any) -> Iterator[Site]:
    """A collector whose topics are there; its process is killed in the end."""
    made = Site(folder, kafka, prefix, **given)
    create_topics(kafka, [prefix + kind.topic for kind in KINDS], PARTITIONS, load_topics()["touchpoints.order"].config())
    try:
        yield made
    finally:
        if made.process is not None and made.process.is_running:
            made.process.kill()


def event_id(message: Message) -> str:
    """Of a record in Kafka."""
    value = message.value()
    assert isinstance(value, bytes)
    return str(msgspec.json.decode(value)["event_id"])


def signed(body: bytes, *, at: float | None = None, id_: str | None = None, key: bytes = SECRET) -> dict[str, str]:
    """The headers of a request that the shop has signed."""
    id_ = id_ or uuid.uuid4().hex
    return {"content-type": "application/json", **signed_headers(key, id_, int(time.time() if at is None else at), body)}


def accepted(answer: httpx.Response) -> set[str]:
    """The event ids that an answer acknowledges."""
    if answer.status_code not in (200, 207, 503) or answer.headers["content-type"] != "application/json":
        return set()
    return {result["event_id"] for result in json.loads(answer.content)["results"] if result["status"] == "accepted"}
