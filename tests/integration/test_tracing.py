"""A touchpoint's trace, from its producer's header to the transition that a subscriber reads, whoever is killed on the way."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from schemas.partition import partition_of
from sinks.bounded import BoundedReader
from streams.crash import CrashPoint
from streams.headers import read_headers
from tests.servers import wait_until
from tests.workers import Deployment, Written

AT = time.time_ns() // 1_000_000 - 60_000
PARENT = "aaaaaaaaaaaaaaaa"


class Collector:
    """Takes traces by OTLP over HTTP, as a collector does."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        taken = self.spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
                taken.extend(span for of in request.resource_spans for scope in of.scope_spans for span in scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def of(self, trace: str) -> dict[str, Span]:
        """The spans of a trace by name."""
        return {span.name: span for span in list(self.spans) if span.trace_id.hex() == trace}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    with closing(Collector()) as made:
        yield made


def like(n: int, trace: str) -> Written:
    """A like of a user of their own, with a sampled trace where one is given."""
    user = f"u{n}"
    value = orjson.dumps({"event_id": f"e{n}", "type": "like", "brand": "acme", "user_id": user, "occurred_at": AT + n})
    headers = [("traceparent", f"00-{trace}-{PARENT}-01".encode())] if trace else None
    return "touchpoints.interaction", partition_of(user, 4), user.encode(), value, headers


def contexts(deployment: Deployment) -> dict[str, list[str]]:
    """The trace contexts with which each user's transitions lie on the topic, repeats included; empty for one without."""
    found: dict[str, list[str]] = {}
    with closing(BoundedReader({"bootstrap.servers": deployment.bootstrap}, "contexts")) as reader:
        for partition in range(4):
            topic = deployment.topic("transitions")
            for part in reader.batches(topic, partition, *reader.bounds(topic, partition)):
                for message in part:
                    told = dict(read_headers(message)).get("traceparent") or b""
                    found.setdefault((message.key() or b"").decode(), []).append(told.decode())
    return found


def test_a_touchpoints_trace_goes_on_in_its_transition_and_is_the_same_when_it_is_told_again(
    tmp_path: Path, kafka: str, redis_url: str, topic_prefix: str, key_prefix: str, collector: Collector
) -> None:
    before, after = ({f"u{n}": f"{n + 1:032x}" for n in numbers} for numbers in (range(8), range(8, 16)))
    given = {"otlp_endpoint": collector.address, "trace_ratio": 1.0, "session_timeout": 3.0}
    with Deployment(tmp_path, kafka, redis_url, topic_prefix, key_prefix, **given) as deployment:
        deployment.create_topics()
        # Killed when Kafka may have it and the outbox still has it, too; the spans under way die with the worker.
        first = deployment.start(crash_point=f"{CrashPoint.PUBLISH_ACKNOWLEDGED.value}:1")
        deployment.produce([like(n, trace) for n, trace in enumerate(before.values())])
        assert first.wait() == -signal.SIGKILL
        second = deployment.start(group=f"{deployment.settings.group}2")
        deployment.until(lambda: len(second.running()) == 4, "all shards to be taken")
        ends = deployment.produce([*(like(n, trace) for n, trace in enumerate(after.values(), 8)), like(16, "")])
        deployment.until_applied(ends)
        wait_until(lambda: all(len(collector.of(trace)) == 2 for trace in after.values()), "traces", 30)
        assert second.stop() == 0, second.tail()

    told = contexts(deployment)
    assert told.pop("u16") == [""]
    assert told.keys() == before.keys() | after.keys()
    assert max(map(len, told.values())) > 1, "expected a transition to be told again"
    for user, trace in (before | after).items():
        (context,) = set(told[user])
        assert context.startswith(f"00-{trace}-")
        assert context.endswith("-01")
    for user, trace in after.items():
        found = collector.of(trace)
        taken, sent = found[f"process {topic_prefix}touchpoints.interaction"], found[f"send {topic_prefix}transitions"]
        assert taken.parent_span_id.hex() == PARENT
        assert sent.parent_span_id == taken.span_id
        assert sent.span_id.hex() == told[user][0].split("-")[2]
        (step,) = (span for span in collector.spans if span.span_id == taken.links[0].span_id)
        phases = {span.name: span for span in collector.spans if span.parent_span_id == step.span_id}
        assert step.name == "step"
        assert set(phases) == {"read", "fold", "write", "publish"}
        assert step.start_time_unix_nano <= phases["read"].start_time_unix_nano
        assert phases["read"].end_time_unix_nano == phases["fold"].start_time_unix_nano
        assert phases["publish"].end_time_unix_nano == step.end_time_unix_nano == sent.end_time_unix_nano


def test_a_collector_that_is_away_holds_nothing_up_and_what_it_missed_is_counted(
    tmp_path: Path, mock_broker: str, redis_url: str, topic_prefix: str, key_prefix: str
) -> None:
    given = {"otlp_endpoint": "http://127.0.0.1:9", "trace_ratio": 1.0, "topic_ids": False}
    with Deployment(tmp_path, mock_broker, redis_url, topic_prefix, key_prefix, **given) as deployment:
        deployment.create_topics()
        worker = deployment.start()
        deployment.until_applied(deployment.produce([like(n, f"{n + 1:032x}") for n in range(20)]))
        wait_until(lambda: worker.metric("rflow_spans_total", result="lost") > 0, "lost spans to be counted", 30)
        assert worker.metric("rflow_spans_total", result="sent") == 0
        assert worker.get("/healthz")[0] == 200
        assert worker.stop() == 0, worker.tail()
