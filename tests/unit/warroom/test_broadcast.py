"""Everybody gets the newest, the slow are not waited for, and nothing piles up."""

from __future__ import annotations

import asyncio

from warroom.live.broadcast import Broadcast


async def test_a_slow_listener_gets_the_newest_snapshot_only() -> None:
    broadcast = Broadcast()
    slow, quick = broadcast.follow(), broadcast.follow()
    broadcast.snapshot(b"1")
    assert await anext(slow) == await anext(quick) == b"1"
    for frame in (b"2", b"3", b"4"):
        broadcast.snapshot(frame)
        assert await anext(quick) == frame
    assert await anext(slow) == b"4"
    assert broadcast.listeners == 2
    await slow.aclose()
    await quick.aclose()
    assert broadcast.listeners == 0


async def test_a_pulse_never_hides_a_snapshot_and_an_old_one_is_not_told() -> None:
    broadcast = Broadcast()
    broadcast.snapshot(b"s1")
    broadcast.pulse(b"p1")
    broadcast.pulse(b"p2")
    listener = broadcast.follow()
    assert [await anext(listener), await anext(listener)] == [b"s1", b"p2"]
    broadcast.pulse(b"p3")
    broadcast.snapshot(b"s2")
    assert await anext(listener) == b"s2"
    waiting = asyncio.ensure_future(anext(listener))
    await asyncio.sleep(0)
    assert not waiting.done()
    broadcast.pulse(b"p4")
    assert await waiting == b"p4"
    await listener.aclose()
