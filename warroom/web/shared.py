"""Answers that many ask for at once: computed once, and kept for a moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

_MOST_KEPT = 256


@dataclass
class _Kept(Generic[T]):
    """`until` is when it is too old, infinite while it is being computed."""

    answer: asyncio.Future[T]
    until: float = float("inf")


class Shared(Generic[T]):
    """Keeps each answer for `seconds` after it was found. Belongs to one event loop. Errors go to all who wait, and are not kept."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._kept: dict[Hashable, _Kept[T]] = {}

    async def get(self, key: Hashable, compute: Callable[[], Awaitable[T]]) -> T:
        """The answer to `key`, computed unless it is there or on its way. Raises what `compute` raises."""
        kept = self._kept.get(key)
        if kept is None or kept.until <= time.monotonic():
            kept = _Kept(asyncio.ensure_future(self._computed(key, compute)))
            self._kept[key] = kept
        # who goes away does not take the answer from the others
        return await asyncio.shield(kept.answer)

    async def _computed(self, key: Hashable, compute: Callable[[], Awaitable[T]]) -> T:
        try:
            found = await compute()
        except BaseException:
            self._kept.pop(key, None)
            raise
        self._kept[key].until = time.monotonic() + self._seconds
        self._forget()
        return found

    def _forget(self) -> None:
        """Lets go of what is too old, and of the oldest beyond what may be kept."""
        now = time.monotonic()
        for key in [key for key, kept in self._kept.items() if kept.until <= now]:
            del self._kept[key]
        done = [key for key, kept in self._kept.items() if kept.answer.done()]
        for key in done[: max(0, len(self._kept) - _MOST_KEPT)]:
            del self._kept[key]
