"""What the collector tells of itself, as metrics."""

from __future__ import annotations

from functools import cache

from prometheus_client import Counter, Histogram

from streams import metrics


class MetricsTally:
    """Counts into `streams.metrics`."""

    def __init__(self) -> None:
        metrics.COLLECT_KAFKA_UP.set(0)

    def records(self, source: str, outcome: str, count: int) -> None:
        """As sources.collector.tally.Tally."""
        metrics.COLLECT_RECORDS.labels(source, outcome).inc(count)

    def request(self, endpoint: str, status: int, seconds: float) -> None:
        """As sources.collector.tally.Tally."""
        requests, took = _of(endpoint, status)
        requests.inc()
        took.observe(seconds)

    def in_flight(self, records: int, size: int) -> None:
        """As sources.collector.tally.Tally."""
        metrics.COLLECT_IN_FLIGHT.set(records)
        metrics.COLLECT_HELD_BYTES.set(size)

    def kafka(self, answers: bool) -> None:
        """As sources.collector.tally.Tally."""
        metrics.COLLECT_KAFKA_UP.set(answers)

    def sources_refused(self) -> None:
        """As sources.collector.tally.Tally."""
        metrics.COLLECT_SOURCES_REFUSED.inc()


@cache
def _of(endpoint: str, status: int) -> tuple[Counter, Histogram]:
    return metrics.COLLECT_REQUESTS.labels(endpoint, str(status)), metrics.COLLECT_SECONDS.labels(endpoint)
