"""Consumer groups as a broker keeps them: members, generations, assignments, committed offsets.

Why not the mock cluster's own: its every rebalance after the first stands still for the session timeout less a second, whoever has
rejoined; and a member that asks for its assignment a moment after the leader has delivered it is refused as invalid, which ends an
aiokafka consumer. Both strike whenever a second worker joins or one is killed. This is the protocol as Kafka documents it (classic
groups, no static members), with one liberty: a member whose connection breaks is given up after `LOST_GRACE`, not after its whole
session timeout. On one machine a broken connection is a dead process.

Nothing here waits for the network or knows the wire: one event loop calls it, clock included.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TypeVar

T = TypeVar("T")

LOST_GRACE = 1.5
"""Seconds a member whose connection broke has to come back."""


class Code(IntEnum):
    """Kafka's error codes."""

    NONE = 0
    ILLEGAL_GENERATION = 22
    INCONSISTENT_GROUP_PROTOCOL = 23
    UNKNOWN_MEMBER_ID = 25
    REBALANCE_IN_PROGRESS = 27


class State(StrEnum):
    """Where a group is between two assignments."""

    EMPTY = "empty"
    JOINING = "joining"
    SYNCING = "syncing"
    STABLE = "stable"


@dataclass(frozen=True, slots=True)
class Joined:
    """The answer to a join. Only the leader is told the members, with the metadata of the protocol chosen."""

    code: Code
    member: str = ""
    generation: int = -1
    protocol: str = ""
    leader: str = ""
    members: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Synced:
    """The answer to a sync."""

    code: Code
    assignment: bytes = b""


@dataclass(slots=True)
class Member:
    """One consumer. `link` is the connection it was last heard on."""

    id: str
    session: float
    patience: float
    protocols: dict[str, bytes]
    link: Hashable
    deadline: float
    assignment: bytes = b""
    joining: asyncio.Future[Joined] | None = None
    syncing: asyncio.Future[Synced] | None = None

    @property
    def waits(self) -> bool:
        """Whether it waits for us, and so cannot be blamed for silence."""
        return self.joining is not None or self.syncing is not None


@dataclass(slots=True)
class Group:
    """One consumer group. `initial_delay` is how long the first member of an empty group waits for others."""

    now: Callable[[], float]
    initial_delay: float
    state: State = State.EMPTY
    generation: int = 0
    protocol: str = ""
    leader: str = ""
    members: dict[str, Member] = field(default_factory=dict)
    offsets: dict[tuple[str, int], tuple[int, str]] = field(default_factory=dict)
    _not_before: float = 0.0
    _not_after: float = 0.0

    async def join(
        self, member_id: str, client: str, session: float, patience: float, protocols: dict[str, bytes], link: Hashable
    ) -> Joined:
        """Enter the group, or enter it again; returns when the members of the next generation are known."""
        if member_id and member_id not in self.members:
            return Joined(Code.UNKNOWN_MEMBER_ID, member_id)
        others = [other for other in self.members.values() if other.id != member_id]
        if not protocols or (others and not _shared(protocols, others)):
            return Joined(Code.INCONSISTENT_GROUP_PROTOCOL, member_id)
        known = self.members.get(member_id)
        if known is None:
            member_id = f"{client}-{uuid.uuid4()}"
            known = self.members[member_id] = Member(member_id, session, patience, protocols, link, 0.0)
        elif self.state is State.SYNCING and known.protocols == protocols:
            self._heard(known, link)  # it only missed the answer
            return self._joined(known)
        known.session, known.patience, known.protocols = session, patience, protocols
        self._heard(known, link)
        joined: asyncio.Future[Joined] = asyncio.get_running_loop().create_future()
        known.joining = joined
        self._rebalance()
        self._maybe_elect()
        return await joined

    async def sync(self, member_id: str, generation: int, assignments: dict[str, bytes], link: Hashable) -> Synced:
        """Hand in the assignments (the leader), and wait for one's own."""
        member, code = self._check(member_id, generation, link)
        if member is None or code is not Code.NONE:
            return Synced(code)
        if self.state is State.JOINING:
            return Synced(Code.REBALANCE_IN_PROGRESS)
        if self.state is State.SYNCING:
            if member_id != self.leader:
                synced: asyncio.Future[Synced] = asyncio.get_running_loop().create_future()
                member.syncing = synced
                return await synced
            self._assign(assignments)
        return Synced(Code.NONE, member.assignment)

    def heartbeat(self, member_id: str, generation: int, link: Hashable) -> Code:
        """Still there. REBALANCE_IN_PROGRESS asks the member to join again."""
        _, code = self._check(member_id, generation, link)
        return Code.REBALANCE_IN_PROGRESS if code is Code.NONE and self.state is State.JOINING else code

    def leave(self, member_id: str) -> Code:
        """Go, at once."""
        if member_id not in self.members:
            return Code.UNKNOWN_MEMBER_ID
        self._remove([self.members[member_id]])
        return Code.NONE

    def commit(self, member_id: str, generation: int, offsets: dict[tuple[str, int], tuple[int, str]], link: Hashable) -> Code:
        """Remember offsets. Without a generation (-1) it is a consumer that assigns itself, allowed while the group is empty."""
        if generation >= 0 or self.members:
            _, code = self._check(member_id, generation, link)
            if code is not Code.NONE:
                return code
            if self.state is State.SYNCING:
                return Code.REBALANCE_IN_PROGRESS
        self.offsets.update(offsets)
        return Code.NONE

    def link_lost(self, link: Hashable) -> None:
        """A connection broke: whoever was last heard on it has little time to come back."""
        lost = [member for member in self.members.values() if member.link == link]
        for member in lost:
            member.deadline = min(member.deadline, self.now() + LOST_GRACE)
            member.joining = member.syncing = None

    def tick(self) -> None:
        """Let time pass: to be called several times a second."""
        late = [member for member in self.members.values() if not member.waits and member.deadline <= self.now()]
        if late:
            self._remove(late)
        self._maybe_elect()

    def _check(self, member_id: str, generation: int, link: Hashable) -> tuple[Member | None, Code]:
        member = self.members.get(member_id)
        if member is None:
            return None, Code.UNKNOWN_MEMBER_ID
        if generation != self.generation:
            return member, Code.ILLEGAL_GENERATION
        self._heard(member, link)
        return member, Code.NONE

    def _heard(self, member: Member, link: Hashable) -> None:
        member.link = link
        member.deadline = self.now() + member.session

    def _rebalance(self) -> None:
        """Begin the next generation, unless that has begun."""
        if self.state is State.JOINING:
            return
        self._not_before = self.now() + (self.initial_delay if self.state is State.EMPTY else 0.0)
        self._not_after = self.now() + max((member.patience for member in self.members.values()), default=0.0)
        self.state = State.JOINING
        for member in self.members.values():
            if member.syncing is not None:
                _answer(member.syncing, Synced(Code.REBALANCE_IN_PROGRESS))
                member.syncing = None

    def _maybe_elect(self) -> None:
        """Close the generation's door when everyone has joined, or when those who have not have had their time."""
        if self.state is not State.JOINING or self.now() < self._not_before:
            return
        absent = [member for member in self.members.values() if member.joining is None]
        if absent and self.now() < self._not_after:
            return
        for member in absent:
            del self.members[member.id]
        if not self.members:
            self.state, self.leader, self.protocol = State.EMPTY, "", ""
            return
        self.generation += 1
        self.state = State.SYNCING
        if self.leader not in self.members:
            self.leader = next(iter(self.members))
        self.protocol = _shared(self.members[self.leader].protocols, list(self.members.values()))[0]
        for member in self.members.values():
            member.assignment = b""
            member.deadline = self.now() + member.session
            if member.joining is not None:
                _answer(member.joining, self._joined(member))
                member.joining = None

    def _joined(self, member: Member) -> Joined:
        everyone = tuple((other.id, other.protocols[self.protocol]) for other in self.members.values())
        told = everyone if member.id == self.leader else ()
        return Joined(Code.NONE, member.id, self.generation, self.protocol, self.leader, told)

    def _assign(self, assignments: dict[str, bytes]) -> None:
        self.state = State.STABLE
        for member in self.members.values():
            member.assignment = assignments.get(member.id, b"")
            if member.syncing is not None:
                member.deadline = self.now() + member.session
                _answer(member.syncing, Synced(Code.NONE, member.assignment))
                member.syncing = None

    def _remove(self, gone: list[Member]) -> None:
        for member in gone:
            del self.members[member.id]
            if member.joining is not None:
                _answer(member.joining, Joined(Code.UNKNOWN_MEMBER_ID, member.id))
            if member.syncing is not None:
                _answer(member.syncing, Synced(Code.UNKNOWN_MEMBER_ID))
        self._rebalance()
        self._maybe_elect()


def _shared(preferred: dict[str, bytes], members: list[Member]) -> list[str]:
    """The protocols that all members speak, in the order of preference."""
    return [name for name in preferred if all(name in member.protocols for member in members)]


def _answer(future: asyncio.Future[T], answer: T) -> None:
    """Resolve the future, unless whoever waited for it is gone."""
    if not future.done():
        future.set_result(answer)
