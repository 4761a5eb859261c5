"""One transition, posted to a webhook: signed, bounded in time and bytes, and what the answer means."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import NamedTuple

import httpx
import msgspec

from schemas.signature import signed_headers
from schemas.subscriber import Received

_MOST_ANSWER = 16_384
_LATER = frozenset({408, 425, 429})
"""Statuses below 500 that say: not now."""


class Fate(StrEnum):
    """What became of one request."""

    TAKEN = "taken"
    FAILED = "failed"
    """no answer, or one that says: later"""
    REFUSED = "refused"
    """an answer that says: never like this"""


class Answer(NamedTuple):
    """`why` is for people; `after` the seconds that the receiver asks to be left alone for."""

    fate: Fate
    why: str = ""
    after: float = 0.0


class Caller:
    """Posts transitions to one address, over at most `connections` connections that are kept open."""

    def __init__(self, url: str, key: bytes, *, subscription: str, timeout: float, connections: int) -> None:
        self._url = url
        self._key = key
        self._subscription = subscription
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        headers = {"content-type": "application/json", "user-agent": "rflow"}
        self._client = httpx.AsyncClient(timeout=timeout, limits=limits, headers=headers, follow_redirects=False, trust_env=False)
        self._timeout = timeout

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    async def post(self, one: Received) -> Answer:
        """Tells one transition, once. Never raises but to be cancelled."""
        body = msgspec.json.encode(one)
        id_ = f"{self._subscription}:{one.id}"
        headers = signed_headers(self._key, id_, int(time.time()), body)
        began = time.monotonic()
        try:
            # Bounded by httpx wait by wait: a request that is cancelled from outside would keep its connection from all others for good.
            async with self._client.stream("POST", self._url, content=body, headers=headers) as response:
                said = b""
                async for piece in response.aiter_raw():
                    said += piece
                    if len(said) > _MOST_ANSWER or time.monotonic() - began > self._timeout:
                        break
        except (httpx.HTTPError, OSError) as error:
            return Answer(Fate.FAILED, f"{type(error).__name__}: {error}")
        return judge(response.status_code, response.headers.get("retry-after", ""), said)


def judge(status: int, retry_after: str, said: bytes) -> Answer:
    """What an answer means. A date in Retry-After is not read: the backoff then decides alone."""
    if 200 <= status < 300:
        return Answer(Fate.TAKEN)
    why = f"status {status}: {said[:200].decode(errors='replace')}"
    if status >= 500 or status in _LATER:
        return Answer(Fate.FAILED, why, float(retry_after) if retry_after.isdecimal() else 0.0)
    return Answer(Fate.REFUSED, why)
