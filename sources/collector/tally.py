"""What the collector tells of itself, to whoever keeps its metrics."""

from __future__ import annotations

from typing import Protocol


class Tally(Protocol):
    """Counts. Every call returns at once."""

    def records(self, source: str, outcome: str, count: int) -> None:
        """So many records of a source were `accepted`, or not for the reason given."""

    def request(self, endpoint: str, status: int, seconds: float) -> None:
        """A request was answered."""

    def in_flight(self, records: int, size: int) -> None:
        """Records handed to Kafka and not acknowledged, and the bytes of bodies held."""

    def kafka(self, answers: bool) -> None:
        """Whether Kafka acknowledges."""

    def sources_refused(self) -> None:
        """The file of sources had changed and could not be used."""
