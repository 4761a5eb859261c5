"""Where the workers' traces go: to a collector, by OTLP over HTTP. Imported only where they are asked for: it needs OpenTelemetry's SDK."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

from deploy.settings import Settings
from streams import metrics
from streams.tracing import Tracing

_ANSWER_S = 5


@contextmanager
def tracing(settings: Settings, name: str) -> Iterator[Tracing]:
    """The traces of the worker `name`. Left, it sends what it still has."""
    who = {"service.name": "rflow-worker", "service.version": version("rflow"), "service.instance.id": name}
    sampler = ParentBasedTraceIdRatio(settings.trace_ratio)
    provider = TracerProvider(sampler=sampler, resource=Resource.create(who), shutdown_on_exit=False)
    exporter = OTLPSpanExporter(f"{settings.otlp_endpoint.rstrip('/')}/v1/traces", timeout=_ANSWER_S)
    provider.add_span_processor(BatchSpanProcessor(_Counted(exporter)))
    try:
        yield Tracing(provider.get_tracer("rflow", version("rflow")), settings.topic_prefix)
    finally:
        provider.shutdown()


class _Counted(SpanExporter):
    """Counts what was taken and what was not."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        metrics.SPANS.labels("sent" if result is SpanExportResult.SUCCESS else "lost").inc(len(spans))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)
