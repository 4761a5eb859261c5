"""The collector's producer on a real Kafka that is not as it should be: it is told, and what is in doubt is not acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from confluent_kafka.admin import AdminClient

from schemas.touchpoint import KINDS, Kind
from sources.collector.delivery import Delivery, Routed
from tests.servers import create_topics
from tests.told_tally import ToldTally

PARTITIONS = 2


@asynccontextmanager
async def delivery(kafka: str, prefix: str, tally: ToldTally, partitions: int = PARTITIONS) -> AsyncIterator[Delivery]:
    """A delivery that has been opened, and is closed in the end."""
    made = Delivery({"bootstrap.servers": kafka}, tally, prefix=prefix, partitions=partitions, timeout=10, stall=3, records=1_000)
    made.open()
    try:
        yield made
    finally:
        await made.close()


async def until(holds: Callable[[], object], what: str, seconds: float = 40.0) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not holds():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"waited {seconds:g} s in vain for {what}") from None


async def failures(made: Delivery, count: int) -> dict[int, str]:
    sending = made.send([Routed(Kind.ORDER, 0, b"u", b"%d" % number) for number in range(count)], None)
    await asyncio.wait_for(sending.done, 60)
    return sending.failures


async def test_topics_that_are_not_as_expected_are_told_and_nothing_is_taken_until_they_are(kafka: str, topic_prefix: str) -> None:
    async with delivery(kafka, topic_prefix, ToldTally()) as right, delivery(kafka, topic_prefix, ToldTally(), PARTITIONS + 1) as wrong:
        await until(lambda: "touchpoints.exposure" in right.trouble and "touchpoints.exposure" in wrong.trouble, "the topics to be missed")
        assert (right.ready, right.away) == (False, True)
        names = [topic_prefix + kind.topic for kind in KINDS]
        await asyncio.to_thread(create_topics, kafka, names, PARTITIONS)
        await until(lambda: right.ready, "the topics to be seen")
        assert (right.trouble, right.away) == ("", False)
        await until(lambda: wrong.trouble == f"{names[0]}: expected 3 partitions, found 2", "the number to be seen")
        assert (wrong.ready, wrong.away) == (False, True)
        assert await failures(right, 3) == {}


async def test_a_producer_that_cannot_be_believed_is_replaced_and_what_it_had_is_not_acknowledged(kafka: str, topic_prefix: str) -> None:
    tally, names = ToldTally(), [topic_prefix + kind.topic for kind in KINDS]
    await asyncio.to_thread(create_topics, kafka, names, PARTITIONS)
    async with delivery(kafka, topic_prefix, tally) as made:
        await until(lambda: made.ready, "the topics to be seen")
        assert await failures(made, 20) == {}
        # The same topic made anew: its offsets begin again, so that acknowledgements lie where they cannot.
        admin = AdminClient({"bootstrap.servers": kafka})
        for gone in admin.delete_topics([names[-1]], operation_timeout=30).values():
            await asyncio.to_thread(gone.result)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(create_topics, kafka, [names[-1]], PARTITIONS)
        doubted = await failures(made, 5)
        assert len(doubted) == 5, doubted
        await until(lambda: made.in_flight == 0, "the old producer to be given up")
        assert await failures(made, 20) == {}
