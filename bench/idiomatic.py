"""The same task in Faust as its documentation would have one write it: records, an agent, an event at a time.

Run by `faust -A bench.idiomatic worker`. One GET and one SET in Redis and one record sent per event; no batches, no caches, and none of
the promises: a crash loses or repeats what was under way.
"""

from __future__ import annotations

import json
import os
from typing import Any, Optional

import faust
from redis.asyncio import Redis

from bench.rules import apply, new_user
from schemas.touchpoint import KINDS

_NAME = os.environ.get("BENCH_NAME", "idiomatic")
_PREFIX = os.environ.get("BENCH_PREFIX", "")
OUTPUT = "idiomatic"


class Touchpoint(faust.Record, serializer="json"):
    """An event."""

    event_id: str
    type: str
    brand: str
    user_id: str
    occurred_at: int
    channel: Optional[str] = None  # noqa: UP045 - as Faust reads annotations
    campaign_id: Optional[str] = None  # noqa: UP045
    store_id: Optional[str] = None  # noqa: UP045
    guide_id: Optional[str] = None  # noqa: UP045
    content_id: Optional[str] = None  # noqa: UP045
    attributes: Optional[dict[str, Any]] = None  # noqa: UP045
    relation_id: Optional[str] = None  # noqa: UP045
    order_id: Optional[str] = None  # noqa: UP045
    amount: int = 0


class Lasting(faust.Record, serializer="json"):
    """Where a user stands after an event."""

    brand: str
    user_id: str
    event_id: str
    occurred_at: int
    before: str
    after: str


app = faust.App(_NAME, broker=f"kafka://{os.environ.get('BENCH_KAFKA', '127.0.0.1:9092')}", web_enabled=False)
touchpoints = app.topic(*[_PREFIX + kind.topic for kind in KINDS], value_type=Touchpoint)
standings = app.topic(_PREFIX + OUTPUT, value_type=Lasting)
redis = Redis.from_url(os.environ.get("BENCH_REDIS", "redis://127.0.0.1:6379/0"))


@app.agent(touchpoints)
async def ladder(events: faust.StreamT[Touchpoint]) -> None:
    """One event at a time."""
    async for event in events:
        key = user_key(event.brand, event.user_id)
        stored = await redis.get(key)
        user = json.loads(stored) if stored else new_user()
        before = user["layer"]
        apply(user, event)
        await redis.set(key, json.dumps(user))
        standing = Lasting(
            brand=event.brand,
            user_id=event.user_id,
            event_id=event.event_id,
            occurred_at=event.occurred_at,
            before=before,
            after=user["layer"],
        )
        await standings.send(key=event.user_id, value=standing)


def user_key(brand: str, user_id: str) -> str:
    """The name of a user's state in Redis."""
    return f"idiomatic:{brand}:{user_id}"
