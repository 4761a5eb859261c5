"""The group coordinator of the in-memory broker: a broker of the mock cluster with a door of ours before it.

The mock cluster advertises this server's address for one of its brokers, and names that broker as coordinator of our groups. A
client that connects here has its group requests answered by `groups`; everything else goes through to the broker behind, and its
answers back. No partition is led by that broker, so no data passes through Python.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from deploy.stack.groups import Code, Group
from deploy.stack.kafka_wire import Encoder, Request, WireError, framed, parse_request, read_frame

_TICK = 0.1
_log = logging.getLogger(__name__)

OFFSET_COMMIT, OFFSET_FETCH, JOIN_GROUP, HEARTBEAT, LEAVE_GROUP, SYNC_GROUP = 8, 9, 11, 12, 13, 14

VERSIONS: dict[int, tuple[int, int]] = {
    OFFSET_COMMIT: (1, 2),
    OFFSET_FETCH: (1, 3),
    JOIN_GROUP: (0, 2),
    HEARTBEAT: (0, 1),
    LEAVE_GROUP: (0, 1),
    SYNC_GROUP: (0, 1),
}
"""What is spoken here of each request: versions that librdkafka and aiokafka both know."""


@dataclass(slots=True)
class Link:
    """One client connection and the one to the broker behind."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    behind: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    id: object = field(default_factory=object)


class Coordinator:
    """Serves group requests on a loopback port until it is closed."""

    def __init__(self, behind: str, initial_delay: float) -> None:
        host, _, port = behind.partition(":")
        self._behind = (host, int(port))
        self._initial_delay = initial_delay
        self._groups: dict[str, Group] = {}
        self._handlers: dict[int, Callable[[Request, Link], Awaitable[Encoder]]] = {
            OFFSET_COMMIT: self._commit,
            OFFSET_FETCH: self._fetch,
            JOIN_GROUP: self._join,
            HEARTBEAT: self._heartbeat,
            LEAVE_GROUP: self._leave,
            SYNC_GROUP: self._sync,
        }

    async def serve(self, port: int) -> None:
        """Serve for ever."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", port)
        async with server:
            while True:
                await asyncio.sleep(_TICK)
                for group in self._groups.values():
                    group.tick()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind = await asyncio.open_connection(*self._behind)
        link = Link(reader, writer, behind)
        requests: asyncio.Queue[bytes] = asyncio.Queue()
        answering = asyncio.create_task(self._answer_all(link, requests))
        try:
            # Read ahead of the answers: a member that waits to join must be seen to hang up.
            while (frame := await read_frame(reader)) is not None and not answering.done():
                requests.put_nowait(frame)
        except WireError as error:
            _log.warning("connection dropped: %s", error)
        finally:
            answering.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await answering
            for group in self._groups.values():
                group.link_lost(link.id)
            for open_writer in (writer, behind[1]):
                open_writer.close()

    async def _answer_all(self, link: Link, requests: asyncio.Queue[bytes]) -> None:
        """Answer one request after the other, in the order they came, as the protocol asks."""
        try:
            while True:
                answer = await self._answer(await requests.get(), link)
                if answer is None:
                    break
                link.writer.write(framed(answer))
                await link.writer.drain()
        except WireError as error:
            _log.warning("connection dropped: %s", error)
        except ConnectionError:
            pass
        finally:
            link.writer.close()  # the reader then sees the end, too

    async def _answer(self, frame: bytes, link: Link) -> bytes | None:
        request = parse_request(frame)
        handler = self._handlers.get(request.api)
        if handler is None:
            reader, writer = link.behind
            writer.write(framed(frame))
            await writer.drain()
            return await read_frame(reader)
        lowest, highest = VERSIONS[request.api]
        if not lowest <= request.version <= highest:
            raise WireError(f"version {request.version} of request {request.api} by {request.client!r}: {lowest} to {highest} are spoken")
        body = await handler(request, link)
        return request.correlation.to_bytes(4, "big", signed=True) + body.done()

    def _group(self, name: str) -> Group:
        if name not in self._groups:
            self._groups[name] = Group(asyncio.get_running_loop().time, self._initial_delay)
        return self._groups[name]

    async def _join(self, request: Request, link: Link) -> Encoder:
        body = request.body
        group = self._group(body.text())
        session = body.int32() / 1000
        patience = body.int32() / 1000 if request.version >= 1 else session
        member = body.text()
        body.string()  # the protocol type: "consumer"
        protocols = dict(body.items(lambda: (body.text(), body.blob())))
        joined = await group.join(member, request.client, session, patience, protocols, link.id)
        answer = _throttle(request, since=2).int16(joined.code).int32(joined.generation)
        answer.string(joined.protocol).string(joined.leader).string(joined.member)
        return answer.array(joined.members, lambda member: answer.string(member[0]).blob(member[1]))

    async def _sync(self, request: Request, link: Link) -> Encoder:
        body = request.body
        group, generation, member = self._group(body.text()), body.int32(), body.text()
        assignments = dict(body.items(lambda: (body.text(), body.blob())))
        synced = await group.sync(member, generation, assignments, link.id)
        return _throttle(request, since=1).int16(synced.code).blob(synced.assignment)

    async def _heartbeat(self, request: Request, link: Link) -> Encoder:
        body = request.body
        group, generation, member = self._group(body.text()), body.int32(), body.text()
        return _throttle(request, since=1).int16(group.heartbeat(member, generation, link.id))

    async def _leave(self, request: Request, link: Link) -> Encoder:
        group, member = self._group(request.body.text()), request.body.text()
        return _throttle(request, since=1).int16(group.leave(member))

    async def _commit(self, request: Request, link: Link) -> Encoder:
        body = request.body
        group, generation, member = self._group(body.text()), body.int32(), body.text()
        if request.version >= 2:
            body.int64()  # how long to keep them: for ever

        def partition() -> tuple[int, tuple[int, str]]:
            number, offset = body.int32(), body.int64()
            if request.version == 1:
                body.int64()  # a timestamp
            return number, (offset, body.string() or "")

        topics = body.items(lambda: (body.text(), body.items(partition)))
        offsets = {(topic, number): kept for topic, partitions in topics for number, kept in partitions}
        code = group.commit(member, generation, offsets, link.id)
        answer = Encoder()
        return answer.array(
            topics,
            lambda topic: answer.string(topic[0]).array(topic[1], lambda part: answer.int32(part[0]).int16(code)),
        )

    async def _fetch(self, request: Request, link: Link) -> Encoder:
        body = request.body
        group = self._group(body.text())
        asked = body.array(lambda: (body.text(), body.items(body.int32)))
        topics = _known(group) if asked is None else asked
        answer = _throttle(request, since=3)

        def partition(topic: str, number: int) -> None:
            offset, metadata = group.offsets.get((topic, number), (-1, ""))
            answer.int32(number).int64(offset).string(metadata).int16(Code.NONE)

        answer.array(topics, lambda topic: answer.string(topic[0]).array(topic[1], lambda number: partition(topic[0], number)))
        return answer.int16(Code.NONE) if request.version >= 2 else answer


def _throttle(request: Request, since: int) -> Encoder:
    """An answer that begins with the time to wait, from the version on that has it: never."""
    return Encoder().int32(0) if request.version >= since else Encoder()


def _known(group: Group) -> list[tuple[str, list[int]]]:
    """Everything the group has committed."""
    topics: dict[str, list[int]] = {}
    for topic, number in group.offsets:
        topics.setdefault(topic, []).append(number)
    return list(topics.items())
