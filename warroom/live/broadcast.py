"""One value for many listeners: each gets the newest, none holds the others up, nothing is kept for the slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator


class Broadcast:
    """Hands the same bytes to all who follow. Belongs to one event loop.

    A snapshot and a pulse are kept apart, so that a slow listener misses pulses and old snapshots but never the newest snapshot.
    """

    def __init__(self) -> None:
        self.listeners = 0
        self._number = 0
        self._snapshot: tuple[int, bytes] = (0, b"")
        self._pulse: tuple[int, bytes] = (0, b"")
        self._news = asyncio.Event()

    def snapshot(self, frame: bytes) -> None:
        """Tell a new snapshot; older ones and the pulses before it are forgotten."""
        self._number += 1
        self._snapshot = (self._number, frame)
        self._wake()

    def pulse(self, frame: bytes) -> None:
        """Tell how it stands meanwhile."""
        self._number += 1
        self._pulse = (self._number, frame)
        self._wake()

    async def follow(self) -> AsyncGenerator[bytes, None]:
        """The newest snapshot, if there is one, then what is told, leaving out what was overtaken while the listener was busy."""
        seen_snapshot = seen_pulse = 0
        self.listeners += 1
        try:
            while True:
                number, frame = self._snapshot
                if number > seen_snapshot:
                    seen_snapshot = number
                    yield frame
                    continue
                number, frame = self._pulse
                if number > max(seen_pulse, seen_snapshot):
                    seen_pulse = number
                    yield frame
                    continue
                await self._news.wait()
        finally:
            self.listeners -= 1

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
