"""Consumer groups as the in-memory broker keeps them: the protocol's rules, with the clock in hand."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from deploy.stack.groups import LOST_GRACE, Code, Group, Joined, State, Synced

RANGE = {"range": b"topics"}
SESSION, PATIENCE, INITIAL_DELAY = 10.0, 30.0, 1.0


class Clock:
    """Time that passes only when told."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


class Room:
    """A group and its clock."""

    def __init__(self, initial_delay: float = INITIAL_DELAY) -> None:
        self.clock = Clock()
        self.group = Group(self.clock, initial_delay)

    def join(self, member: str = "", link: object = "link", protocols: dict[str, bytes] | None = None) -> asyncio.Task[Joined]:
        return started(self.group.join(member, "client", SESSION, PATIENCE, protocols or RANGE, link))

    def sync(self, joined: Joined, assignments: dict[str, bytes] | None = None, link: object = "link") -> asyncio.Task[Synced]:
        return started(self.group.sync(joined.member, joined.generation, assignments or {}, link))

    def beat(self, joined: Joined, link: object = "link") -> Code:
        return self.group.heartbeat(joined.member, joined.generation, link)

    def passes(self, seconds: float) -> None:
        self.clock.time += seconds
        self.group.tick()

    async def together(self, count: int) -> list[Joined]:
        """Several members that join during the initial delay, each on the link of its number, the leader first."""
        tasks = [self.join(link=number) for number in range(count)]
        await asyncio.sleep(0)
        self.passes(INITIAL_DELAY)
        return sorted([await task for task in tasks], key=lambda joined: joined.member != joined.leader)

    async def stable(self, count: int) -> list[Joined]:
        """Several members with their assignments."""
        members = await self.together(count)
        followers = [self.sync(follower, link=number) for number, follower in enumerate(members[1:], 1)]
        await asyncio.sleep(0)
        await self.sync(members[0], {}, link=0)
        assert {synced.code for synced in await asyncio.gather(*followers)} <= {Code.NONE}
        return members


def started(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return asyncio.ensure_future(coroutine)


async def waits(task: asyncio.Task[Any]) -> bool:
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return not task.done()


async def test_the_first_member_leads_and_is_told_the_members() -> None:
    joined = await Room(0.0).join()
    assert (joined.code, joined.generation, joined.protocol, joined.leader) == (Code.NONE, 1, "range", joined.member)
    assert joined.members == ((joined.member, b"topics"),)


async def test_the_first_member_waits_for_others_for_the_initial_delay() -> None:
    room = Room()
    first, second = room.join(), room.join()
    assert await waits(first)
    room.passes(INITIAL_DELAY * 0.9)
    assert await waits(first)
    room.passes(INITIAL_DELAY * 0.2)
    told = [await first, await second]
    assert {joined.generation for joined in told} == {1}
    assert [len(joined.members) for joined in told] == [2, 0]


async def test_a_second_member_waits_until_the_first_has_joined_again_and_no_longer() -> None:
    room = Room(0.0)
    first = await room.join()
    await room.sync(first, {first.member: b"all"})
    second = room.join()
    assert await waits(second)
    assert room.beat(first) is Code.REBALANCE_IN_PROGRESS
    again = await room.join(first.member)
    assert (again.generation, again.leader, len(again.members)) == (2, first.member, 2)
    assert (await second).generation == 2


async def test_a_member_that_does_not_join_again_in_time_is_left_out() -> None:
    room = Room(0.0)
    first = await room.join()
    await room.sync(first, {})
    second = room.join()
    assert await waits(second)
    for _ in range(6):
        room.beat(first)
        room.passes(PATIENCE / 6)
    assert (await second).members == (((await second).member, b"topics"),)
    assert room.beat(first) is Code.UNKNOWN_MEMBER_ID


@pytest.mark.parametrize("leader_first", [True, False])
async def test_everyone_gets_their_assignment_whoever_asks_first(leader_first: bool) -> None:
    """The mock cluster's own coordinator refuses a follower that asks after the leader."""
    room = Room()
    leader, follower = await room.together(2)
    assignments = {leader.member: b"a", follower.member: b"b"}
    if leader_first:
        led, followed = room.sync(leader, assignments), room.sync(follower)
    else:
        followed = room.sync(follower)
        assert await waits(followed)
        led = room.sync(leader, assignments)
    assert (await led, await followed) == (Synced(Code.NONE, b"a"), Synced(Code.NONE, b"b"))
    assert room.group.state is State.STABLE


async def test_silence_beyond_the_session_costs_membership() -> None:
    room = Room()
    alive, silent = await room.stable(2)
    for _ in range(4):
        assert room.beat(alive) is Code.NONE
        room.passes(SESSION / 3)
    assert room.beat(alive) is Code.REBALANCE_IN_PROGRESS
    assert len((await room.join(alive.member)).members) == 1
    assert room.beat(silent) is Code.UNKNOWN_MEMBER_ID


async def test_a_broken_connection_costs_membership_soon() -> None:
    room = Room()
    kept, lost = await room.stable(2)
    room.group.link_lost(1)
    room.passes(LOST_GRACE / 2)
    assert room.beat(kept, link=0) is Code.NONE
    room.passes(LOST_GRACE)
    assert room.beat(kept, link=0) is Code.REBALANCE_IN_PROGRESS
    assert room.beat(lost, link=1) is Code.UNKNOWN_MEMBER_ID


async def test_a_member_that_comes_back_on_another_connection_is_kept() -> None:
    room = Room()
    (member,) = await room.stable(1)
    room.group.link_lost(0)
    assert room.beat(member, link="new") is Code.NONE
    room.passes(LOST_GRACE * 2)
    assert room.beat(member, link="new") is Code.NONE


async def test_a_member_that_leaves_is_gone_at_once() -> None:
    room = Room()
    stays, leaves = await room.stable(2)
    assert room.group.leave(leaves.member) is Code.NONE
    assert room.beat(stays) is Code.REBALANCE_IN_PROGRESS
    assert room.group.leave(leaves.member) is Code.UNKNOWN_MEMBER_ID


async def test_a_group_whose_last_member_leaves_is_empty_and_keeps_its_offsets() -> None:
    room = Room()
    (member,) = await room.stable(1)
    assert room.group.commit(member.member, member.generation, {("t", 0): (7, "")}, 0) is Code.NONE
    room.group.leave(member.member)
    assert room.group.state is State.EMPTY
    assert room.group.offsets == {("t", 0): (7, "")}
    assert (await room.together(1))[0].generation == member.generation + 1


async def test_a_leader_that_dies_before_it_assigns_is_replaced() -> None:
    room = Room()
    leader, follower = await room.together(2)
    waiting = room.sync(follower, link=1)
    assert await waits(waiting)
    room.group.link_lost(0)
    room.passes(LOST_GRACE)
    assert (await waiting).code is Code.REBALANCE_IN_PROGRESS
    again = await room.join(follower.member, link=1)
    assert (again.leader, len(again.members)) == (follower.member, 1)
    assert leader.member not in room.group.members


async def test_a_member_that_hangs_up_while_it_waits_to_join_holds_nobody_up() -> None:
    room = Room(0.0)
    first = await room.join(link="a")
    await room.sync(first, {}, link="a")
    ghost = room.join(link="b")
    assert await waits(ghost)
    ghost.cancel()
    room.group.link_lost("b")
    room.beat(first, link="a")
    rejoined = room.join(first.member, link="a")
    assert await waits(rejoined)
    room.passes(LOST_GRACE + 0.1)
    assert len((await rejoined).members) == 1


async def test_old_generations_and_strangers_are_refused() -> None:
    room = Room()
    (member,) = await room.stable(1)
    old = Joined(Code.NONE, member.member, member.generation - 1)
    stranger = Joined(Code.NONE, "stranger", member.generation)
    assert room.beat(old) is Code.ILLEGAL_GENERATION
    assert room.beat(stranger) is Code.UNKNOWN_MEMBER_ID
    assert (await room.sync(old)).code is Code.ILLEGAL_GENERATION
    assert (await room.join("stranger")).code is Code.UNKNOWN_MEMBER_ID
    assert room.group.commit(old.member, old.generation, {("t", 0): (1, "")}, 0) is Code.ILLEGAL_GENERATION
    assert room.group.commit("", -1, {("t", 0): (1, "")}, 0) is Code.UNKNOWN_MEMBER_ID
    assert not room.group.offsets


async def test_a_member_without_a_protocol_in_common_is_refused() -> None:
    room = Room(0.0)
    first = await room.join(protocols={"range": b"", "sticky": b""})
    assert (await room.join(protocols={"other": b""})).code is Code.INCONSISTENT_GROUP_PROTOCOL
    second = room.join(protocols={"sticky": b""})
    await asyncio.sleep(0)
    assert (await room.join(first.member, protocols={"range": b"", "sticky": b""})).protocol == "sticky"
    assert (await second).protocol == "sticky"


async def test_anyone_may_commit_while_the_group_is_empty() -> None:
    room = Room()
    assert room.group.commit("", -1, {("t", 0): (3, "")}, 0) is Code.NONE
    assert room.group.offsets == {("t", 0): (3, "")}
