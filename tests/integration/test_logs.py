"""Reading the input logs: nothing is fetched that nobody will take."""

from __future__ import annotations

import asyncio
from contextlib import closing

from confluent_kafka import Producer

from streams.logs import LogReader


async def test_a_fetch_begun_under_an_earlier_assignment_takes_nothing_of_the_next(mock_broker: str, topic_prefix: str) -> None:
    place, kafka = (f"{topic_prefix}log", 0), {"bootstrap.servers": mock_broker}
    producer = Producer(kafka)
    for n in range(3):
        producer.produce(place[0], str(n), partition=0)
    assert producer.flush(20) == 0
    with closing(LogReader(kafka)) as reader:
        reader.assign({})
        begun = asyncio.create_task(reader.fetch(20.0))
        await asyncio.sleep(0.02)
        # While shards are taken; what the fetch brought now would be dropped, and be missing in the batch after it.
        reader.assign({place: 0})
        await asyncio.sleep(1.0)
        assert begun.done()
        assert begun.result() == {}
        found: list[bytes | None] = []
        while len(found) < 3:
            fetched = (await reader.fetch(20.0))[place]
            assert fetched.begin == len(found)
            assert fetched.generation == 2
            found += [message.value() for message in fetched.messages]
        assert found == [b"0", b"1", b"2"]


async def test_a_reader_may_be_closed_while_it_asks_who_leads_its_logs() -> None:
    reader = LogReader({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
    asking = asyncio.create_task(reader.meet({"one", "another"}))
    await asyncio.sleep(0.1)
    reader.close()
    await asyncio.wait_for(asking, 10)
    await reader.meet({"a third"})
