"""What the collector's parts tell of themselves, kept for tests to look at."""

from __future__ import annotations


class ToldTally:
    """As sources.collector.tally.Tally."""

    def __init__(self) -> None:
        self.refused_files = 0
        self.outcomes: list[tuple[str, str, int]] = []
        self.kafka_told: list[bool] = []

    def records(self, source: str, outcome: str, count: int) -> None:
        self.outcomes.append((source, outcome, count))

    def request(self, endpoint: str, status: int, seconds: float) -> None: ...

    def in_flight(self, records: int, size: int) -> None: ...

    def kafka(self, answers: bool) -> None:
        self.kafka_told.append(answers)

    def sources_refused(self) -> None:
        self.refused_files += 1
