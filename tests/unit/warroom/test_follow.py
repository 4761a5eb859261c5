"""Following transitions: what who follows is told where Kafka does not answer."""

from __future__ import annotations

import pytest

from warroom.web import follow
from warroom.web.follow import Filter, Follow


async def test_following_ends_in_peace_where_kafka_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "_READY_S", 0.2)
    following = Follow({"bootstrap.servers": "127.0.0.1:1"}, "", 1)
    assert [frame async for frame in following.follow(Filter(brand="acme"), None, None)] == [b": Kafka does not answer\n\n"]
    following.close()
