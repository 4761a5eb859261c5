"""From the lines of a request to what became of each: judged as the processor judges, sent where it reads, and waited for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from schemas.deadletter import InvalidRecord
from schemas.touchpoint import Tick
from schemas.validate import Validator
from sources.collector.delivery import Delivery, Routed
from sources.collector.problem import Problem, away, too_many
from sources.collector.results import BRAND, CHANNEL, NOT_ACKNOWLEDGED, TICK, UNMAPPED, Result, Status, invalid, refused
from sources.collector.sources_file import Source
from sources.collector.tally import Tally
from sources.pseudonym import Pseudonyms
from sources.route import partition, route

_AGAIN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a request may hold, `body` bytes and `records`, and all together until they are answered, `in_flight_bytes` and
    `in_flight_records`. `read_seconds` is what a body may take to arrive."""

    body: int = 1_048_576
    records: int = 5_000
    in_flight_bytes: int = 67_108_864
    in_flight_records: int = 20_000
    read_seconds: float = 10.0


class Collector:
    """Takes records of sources. For one event loop; what it holds is bounded by `bounds`. With `pseudonyms` users are told under theirs."""

    def __init__(
        self,
        delivery: Delivery,
        validator: Validator,
        tally: Tally,
        partitions: int,
        bounds: Bounds,
        pseudonyms: Pseudonyms | None = None,
    ) -> None:
        self.bounds = bounds
        self.held_bytes = 0
        self._delivery = delivery
        self._validator = validator
        self._tally = tally
        self._partitions = partitions
        self._pseudonyms = pseudonyms
        self._held = 0

    def hold(self, size: int) -> None:
        """So many bytes more (or fewer) are held. Raises Problem where that is too much."""
        if size > 0 and self.held_bytes + size > self.bounds.in_flight_bytes:
            raise too_many(1.0, "more is on its way to Kafka than this collector may hold")
        self.held_bytes += size

    async def take(self, source: Source, lines: Sequence[bytes], trace: bytes | None) -> list[Result]:
        """What became of each line, when all of it is known. Raises Problem where none of them has been looked at."""
        count = len(lines)
        self._admit(source, count)
        self._held += count
        try:
            results = await self._take(source, lines, trace)
        finally:
            self._held -= count
        for outcome, found in Counter(result.reason or result.status.value for result in results).items():
            self._tally.records(source.name, outcome, found)
        return results

    def pass_over(self, source: Source, count: int) -> None:
        """Counts what a source told that is no touchpoint."""
        if count:
            self._tally.records(source.name, UNMAPPED, count)

    def tell(self) -> None:
        """Tells how much is held."""
        self._tally.in_flight(self._held, self.held_bytes)

    def _admit(self, source: Source, count: int) -> None:
        if count > self.bounds.records:
            raise Problem(413, f"expected at most {self.bounds.records} records in a request, found {count}")
        if self._delivery.away:
            self._tally.records(source.name, "kafka_away", count)
            raise away(_AGAIN_SECONDS, "Kafka does not acknowledge records: none of these was taken")
        if self._held + count > self.bounds.in_flight_records:
            self._tally.records(source.name, "pressure", count)
            raise too_many(1.0, "more records are on their way to Kafka than this collector may hold: none of these was taken")
        wait = source.bucket.take(count, time.monotonic())
        if wait:
            self._tally.records(source.name, "rate", count)
            raise too_many(wait, f"source {source.name} may send {source.bucket.rate:g} records a second: none of these was taken")

    async def _take(self, source: Source, lines: Sequence[bytes], trace: bytes | None) -> list[Result]:
        results: list[Result] = []
        sent: list[Judged] = []
        for index, line in enumerate(lines):
            found = self._judge(source, index, line)
            if isinstance(found, Result):
                results.append(found)
            else:
                sent.append(found)
        if sent:
            failures = await self._send([one.record for one in sent], trace)
            results += [_result(one, failures.get(place)) for place, one in enumerate(sent)]
            results.sort(key=lambda result: result.index)
        return results

    def _judge(self, source: Source, index: int, line: bytes) -> Result | Judged:
        kind, key, _, is_tick = route(line)
        try:
            found = self._validator.validate(kind, line)
        except InvalidRecord as error:
            return invalid(index, line, error)
        if is_tick or isinstance(found, Tick):
            return refused(index, line, TICK, "a tick says that all producers have reached a time, which no source can know")
        if found.brand not in source.brands:
            return refused(index, line, BRAND, f"expected one of {_listed(source.brands)}, found {found.brand!r}")
        if source.channels and found.channel not in source.channels:
            return refused(index, line, CHANNEL, f"expected one of {_listed(source.channels)}, found {found.channel!r}")
        if self._pseudonyms is not None:
            line = self._pseudonyms.line(line)
            key = route(line).key
        return Judged(index, found.event_id, Routed(kind, partition(line, key, self._partitions), key, line))

    async def _send(self, records: list[Routed], trace: bytes | None) -> dict[int, str]:
        sending = self._delivery.send(records, [("traceparent", trace)] if trace else None)
        await sending.done
        return sending.failures


class Judged(NamedTuple):
    """A record that may be sent, and its place in the request."""

    place: int
    event_id: str
    record: Routed


def _result(one: Judged, failure: str | None) -> Result:
    if failure is None:
        return Result(index=one.place, status=Status.ACCEPTED, event_id=one.event_id)
    return Result(index=one.place, status=Status.UNAVAILABLE, event_id=one.event_id, reason=NOT_ACKNOWLEDGED, detail=failure)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
