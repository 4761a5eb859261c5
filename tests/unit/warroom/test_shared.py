"""Answers that many ask for are computed once; who goes away takes nothing from the others, and an error is not kept."""

from __future__ import annotations

import asyncio

import pytest

from warroom.web.shared import Shared


class Slow:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.go = asyncio.Event()

    async def __call__(self) -> int:
        self.asked += 1
        await self.go.wait()
        if self.asked == 1:
            raise ValueError("the first fails")
        return self.asked


async def test_many_at_once_are_one() -> None:
    slow, shared = Slow(), Shared[int](60)
    slow.asked = 1
    waiting = [asyncio.ensure_future(shared.get("key", slow)) for _ in range(50)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    slow.go.set()
    assert await asyncio.gather(*waiting[1:]) == [2] * 49
    assert await shared.get("key", slow) == 2
    assert await shared.get("other", slow) == 3


async def test_an_error_goes_to_all_who_wait_and_is_forgotten() -> None:
    slow, shared = Slow(), Shared[int](60)
    waiting = [asyncio.ensure_future(shared.get("key", slow)) for _ in range(3)]
    await asyncio.sleep(0)
    slow.go.set()
    assert [type(found) for found in await asyncio.gather(*waiting, return_exceptions=True)] == [ValueError] * 3
    assert await shared.get("key", slow) == 2


async def test_what_is_too_old_is_asked_again() -> None:
    slow, shared = Slow(), Shared[int](0.0)
    slow.asked = 1
    slow.go.set()
    assert [await shared.get("key", slow) for _ in range(2)] == [2, 3]


async def test_only_so_much_is_kept() -> None:
    slow, shared = Slow(), Shared[int](60)
    slow.asked = 1
    slow.go.set()
    for key in range(1_000):
        await shared.get(key, slow)
    assert len(shared._kept) <= 257
    with pytest.raises(KeyError):
        shared._kept[0]
