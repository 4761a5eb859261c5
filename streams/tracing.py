"""Traces: a span of every step and its phases, and of a touchpoint's way from its producer's `traceparent` to its transition.

Names and attributes are OpenTelemetry's for messaging. Imported only where traces are asked for.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import msgspec
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Tracer
from opentelemetry.trace.propagation import set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from schemas.touchpoint import KINDS
from streams.fold import Record
from streams.headers import read_headers
from streams.outbox import TRACE_HEADER, Entry

PHASES = ("read", "fold", "write", "publish")
_CARRIED = (TRACE_HEADER, "tracestate")
_context = TraceContextTextMapPropagator()


_Place = tuple[str | None, int | None]
"""topic and offset of a touchpoint, as its transitions name their cause"""


class _Cause(msgspec.Struct):
    topic: str | None = None
    offset: int | None = None


class _Caused(msgspec.Struct):
    cause: _Cause


_caused = msgspec.json.Decoder(_Caused).decode


class StepTrace:
    """The spans of one step over `records` of a shard. `began`: when it began, in seconds of `time.perf_counter`.

    A step that is thrown away leaves no trace: the one that takes its records does.
    """

    def __init__(self, tracer: Tracer, prefix: str, shard: int, records: Sequence[Record], began: float) -> None:
        self._tracer = tracer
        self._prefix = prefix
        self._began = began
        self._offset_ns = time.time_ns() - round(time.perf_counter() * 1e9)
        self._records = len(records)
        self._shard = shard
        self._step = tracer.start_span("step", start_time=self._at(began), attributes={"rflow.shard": shard})
        self._touched: dict[_Place, Span] = dict(filter(None, map(self._touchpoint, records)))
        self._told: list[Span] = []

    def found(self, entry: Entry) -> None:
        """Gives the transitions that traced touchpoints have caused the context in which they go on, kept with the entry."""
        if not self._touched:
            return
        traces = {}
        for index, (_, value) in enumerate(entry.transitions):
            cause = _caused(value).cause
            touched = self._touched.get((cause.topic, cause.offset))
            if touched is not None:
                sent = self._message("send", "transitions", SpanKind.PRODUCER, set_span_in_context(touched), [])
                sent.set_attribute("messaging.message.id", f"{self._shard}:{entry.version}:{index}")
                self._told.append(sent)
                carrier: dict[str, str] = {}
                _context.inject(carrier, set_span_in_context(sent))
                traces[index] = carrier[TRACE_HEADER]
        entry.traces = traces or None

    def end(self, entry: Entry, times: Sequence[float]) -> None:
        """It has been handed to Kafka. `times`: when each of PHASES ended, in seconds of `time.perf_counter`."""
        parent = set_span_in_context(self._step)
        for name, begin, end in zip(PHASES, (self._began, *times), times, strict=False):
            self._tracer.start_span(name, parent, start_time=self._at(begin)).end(self._at(end))
        counts = {"version": entry.version, "records": self._records, "transitions": len(entry.transitions)}
        self._step.set_attributes({f"rflow.{name}": count for name, count in counts.items()})
        for span in (*self._told, *self._touched.values(), self._step):
            span.end(self._at(times[-1]))

    def _touchpoint(self, record: Record) -> tuple[_Place, Span] | None:
        """A span for a record that carries a trace."""
        _, offset, kind, _, message = record
        carrier = {name: (value or b"").decode("ascii", "replace") for name, value in read_headers(message) if name in _CARRIED}
        if TRACE_HEADER not in carrier:
            return None
        topic = KINDS[kind].topic
        span = self._message("process", topic, SpanKind.CONSUMER, _context.extract(carrier), [Link(self._step.get_span_context())])
        span.set_attribute("messaging.kafka.offset", offset)
        return (topic, offset), span

    def _message(self, operation: str, topic: str, kind: SpanKind, parent: Context, links: list[Link]) -> Span:
        attributes: Mapping[str, str] = {
            "messaging.system": "kafka",
            "messaging.operation.type": operation,
            "messaging.destination.name": self._prefix + topic,
            "messaging.destination.partition.id": str(self._shard),
        }
        at = self._at(self._began if kind is SpanKind.CONSUMER else time.perf_counter())
        return self._tracer.start_span(f"{operation} {self._prefix}{topic}", parent, kind, attributes, links, at)

    def _at(self, clock: float) -> int:
        """Epoch nanoseconds."""
        return self._offset_ns + round(clock * 1e9)


class Tracing:
    """Begins the trace of each step. `prefix` stands before the topics' names."""

    def __init__(self, tracer: Tracer, prefix: str) -> None:
        self._tracer = tracer
        self._prefix = prefix

    def step(self, shard: int, records: Sequence[Record], began: float) -> StepTrace:
        """A step over these records, which began then by `time.perf_counter`."""
        return StepTrace(self._tracer, self._prefix, shard, records, began)
