"""The shard store's contract, on one Redis and on a Redis Cluster: all of a step or nothing, whoever else writes and whatever is cut."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Literal

import msgspec
import pytest
import redis
from redis.asyncio.connection import AbstractConnection, Connection
from redis.cluster import RedisCluster
from redis.crc import key_slot
from redis.exceptions import MovedError, RedisError

from streams.errors import Conflict, StateUnreadable
from streams.link import Cluster, Connections, SingleNode
from streams.meta import Meta
from streams.outbox import Entry
from streams.replayed import KEPT_MS
from streams.store import ShardKeys, ShardStore
from tests.servers import Servers

Kind = Literal["single", "cluster"]
LOST = (RedisError, OSError, TimeoutError)
SHARD = 3


class Cutter:
    """A door before the node that holds a key. Armed, it cuts the connection at the next request with EXEC in it: before the request has
    gone through, or before its reply has come back."""

    def __init__(self, behind: Connections) -> None:
        self.armed: Literal["", "request", "reply"] = ""
        self._behind = behind
        self._servers: list[asyncio.Server] = []
        self._closed = asyncio.Semaphore(0)

    async def connect(self, key: str) -> AbstractConnection:
        node: Any = await self._behind.connect(key)
        address = node.host, node.port
        await node.disconnect()

        async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, here = await asyncio.open_connection(*address)
            replies = asyncio.create_task(_pipe(there, writer))
            while data := await reader.read(65_536):
                if self.armed and b"EXEC" in data:
                    break
                here.write(data)
            replies.cancel()
            await asyncio.wait([replies])
            if data and self.armed == "reply":
                here.write(data)
                await here.drain()
                await there.read(1)  # it has been carried out
            self.armed = ""
            for end in (writer, here):
                end.close()
                with contextlib.suppress(OSError):
                    await end.wait_closed()
            self._closed.release()

        server = await asyncio.start_server(pass_on, "127.0.0.1", 0)
        self._servers.append(server)
        connection: AbstractConnection = Connection(host="127.0.0.1", port=server.sockets[0].getsockname()[1], protocol=2)
        await connection.connect()  # type: ignore[no-untyped-call]
        return connection

    async def refresh(self) -> None:
        await self._behind.refresh()

    async def close(self) -> None:
        """To be called when all its connections have been let go."""
        for server in self._servers:
            server.close()
            await self._closed.acquire()
        await self._behind.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)


@pytest.fixture(params=["single", "cluster"])
def kind(request: pytest.FixtureRequest) -> Kind:
    value: Kind = request.param
    return value


@pytest.fixture
def url(kind: Kind, request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("redis_url" if kind == "single" else "redis_cluster"))


@pytest.fixture
def client(kind: Kind, url: str) -> Iterator[Any]:
    made = redis.Redis.from_url(url) if kind == "single" else RedisCluster.from_url(url)
    yield made
    made.close()


@pytest.fixture
async def connections(kind: Kind, url: str) -> AsyncIterator[Connections]:
    made: Connections = SingleNode(url) if kind == "single" else Cluster(url)
    yield made
    await made.close()


@pytest.fixture
async def cutter(connections: Connections) -> AsyncIterator[Cutter]:
    made = Cutter(connections)
    yield made
    await made.close()


@pytest.fixture
async def store(connections: Connections, key_prefix: str) -> AsyncIterator[ShardStore]:
    made = ShardStore(connections, key_prefix, SHARD)
    yield made
    await made.close()


@pytest.fixture
async def rival(connections: Connections, key_prefix: str) -> AsyncIterator[ShardStore]:
    """Another worker that believes the shard is its own."""
    made = ShardStore(connections, key_prefix, SHARD)
    yield made
    await made.close()


def entry(version: int) -> Entry:
    return Entry(SHARD, version, 1_000, [(b"ann", b'{"n":%d}' % version)], [b"{}"], [], [])


def meta(version: int, token: str) -> Meta:
    return Meta(version=version, token=token, ladder="5r@1", watermark=7, offsets=[1, 2, 3, 4], census={"山茶": [1, 2]}, senders={"0:1": 2})


async def step(store: ShardStore, version: int, *, before: str, token: str, user: str = "acme:ann", trim_to: int = 0) -> None:
    await store.read(before, [user], None)
    await store.write(
        meta(version, token), {user: b"state %d" % version}, [user] if version == 1 else [], [f"label {version}"], entry(version), trim_to
    )


async def test_what_a_step_wrote_is_what_is_read(store: ShardStore, rival: ShardStore) -> None:
    assert await store.read("", ["acme:ann"], (0, 9)) == ([None], [])
    await step(store, 1, before="", token="a:1")
    loaded = await rival.load()
    assert loaded.meta == meta(1, "a:1")
    assert loaded.outbox == [entry(1)]
    assert loaded.labels["label 1"] == 0
    assert loaded.labels.take_added() == []
    assert await rival.read("a:1", ["acme:bob", "acme:ann"], (0, 9)) == ([None, b"state 1"], ["acme:ann"])
    assert await rival.read_more(["acme:ann"]) == [b"state 1"]


async def test_a_shard_that_has_not_started_is_empty(store: ShardStore) -> None:
    loaded = await store.load()
    assert loaded.meta == Meta()
    assert loaded.outbox == []
    assert await store.read("", [], None) == ([], [])


async def test_steps_follow_each_other_and_take_the_trim_along(store: ShardStore) -> None:
    await step(store, 1, before="", token="a:1")
    await step(store, 2, before="a:1", token="a:2")
    assert [e.version for e in (await store.load()).outbox] == [1, 2]
    await step(store, 3, before="a:2", token="a:3", trim_to=2)
    loaded = await store.load()
    assert [e.version for e in loaded.outbox] == [3]
    assert [loaded.labels[f"label {n}"] for n in (1, 2, 3)] == [0, 1, 2]


async def test_replays_of_dead_letters_are_remembered_with_their_step_and_forgotten_when_none_can_come(
    store: ShardStore, rival: ShardStore
) -> None:
    old, new = "touchpoints.order:3:1", "touchpoints.order:3:2"
    await store.read("", [], None)
    await store.write(meta(1, "a:1"), {}, [], [], entry(1), 0, replays=[old])
    assert await rival.replayed([old, new]) == {old}
    await store.read("a:1", [], None)
    await step(rival, 2, before="a:1", token="b:1")
    with pytest.raises(Conflict):
        await store.write(meta(2, "a:2"), {}, [], [], entry(2), 0, replays=[new])
    assert await store.replayed([old, new]) == {old}
    later = msgspec.structs.replace(entry(3), detected_at=entry(3).detected_at + KEPT_MS + 1)
    await store.read("b:1", [], None)
    await store.write(meta(3, "a:3"), {}, [], [], later, 0, replays=[new])
    assert await store.replayed([old, new]) == {new}


async def test_reading_under_another_ones_token_is_a_conflict(store: ShardStore) -> None:
    await step(store, 1, before="", token="a:1")
    for token in ("", "b:1"):
        with pytest.raises(Conflict):
            await store.read(token, ["acme:ann"], None)


async def test_a_step_of_another_between_read_and_write_refuses_this_one_whole(store: ShardStore, rival: ShardStore) -> None:
    await step(store, 1, before="", token="a:1")
    await store.read("a:1", ["acme:ann"], None)
    await step(rival, 2, before="a:1", token="b:1")
    with pytest.raises(Conflict):
        await store.write(meta(2, "a:2"), {"acme:ann": b"lost", "acme:new": b"lost"}, ["acme:new"], ["lost"], entry(2), 1)
    loaded = await store.load()
    assert loaded.meta == meta(2, "b:1")
    assert [e.version for e in loaded.outbox] == [1, 2]
    assert await store.read("b:1", ["acme:ann", "acme:new"], (0, 9)) == ([b"state 2", None], ["acme:ann"])
    await store.release()
    await step(store, 3, before="b:1", token="a:3")


async def test_a_watch_let_go_refuses_nothing(store: ShardStore, rival: ShardStore) -> None:
    await step(store, 1, before="", token="a:1")
    await store.read("a:1", [], None)
    await store.release()
    await step(rival, 2, before="a:1", token="b:1")
    await store.read("b:1", [], None)
    await store.write(meta(3, "a:3"), {}, [], [], entry(3), 0)


@pytest.mark.parametrize("where", ["request", "reply"])
async def test_a_cut_step_shows_in_the_token_whether_it_was_applied(
    cutter: Cutter, key_prefix: str, where: Literal["request", "reply"]
) -> None:
    store = ShardStore(cutter, key_prefix, SHARD)
    await step(store, 1, before="", token="a:1")
    await store.read("a:1", ["acme:ann"], None)
    cutter.armed = where
    with pytest.raises(LOST):
        await store.write(meta(2, "a:2"), {"acme:ann": b"state 2"}, [], [], entry(2), 0)
    loaded = await store.load()
    applied = where == "reply"
    assert loaded.meta == (meta(2, "a:2") if applied else meta(1, "a:1"))
    assert [e.version for e in loaded.outbox] == ([1, 2] if applied else [1])
    states, _ = await store.read(loaded.meta.token, ["acme:ann"], None)
    assert states == [b"state 2" if applied else b"state 1"]
    await store.close()


async def test_a_call_cut_short_leaves_no_reply_behind(store: ShardStore, client: Any, key_prefix: str) -> None:
    await step(store, 1, before="", token="a:1")
    for _ in range(20):
        call = asyncio.create_task(store.read("a:1", ["acme:ann"], None))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await store.load()).meta.token == "a:1"


async def test_a_step_is_written_over_the_connection_that_watches_or_not_at_all(store: ShardStore, rival: ShardStore) -> None:
    await step(store, 1, before="", token="a:1")
    await store.read("a:1", ["acme:ann"], None)
    await store.close()
    await step(rival, 2, before="a:1", token="b:1")
    with pytest.raises(LOST):
        await store.write(meta(2, "a:2"), {"acme:ann": b"lost"}, [], [], entry(2), 0)
    assert (await store.load()).meta == meta(2, "b:1")


async def test_the_roster_is_read_in_pages_in_order_of_first_sight(store: ShardStore) -> None:
    names = [f"acme:用户{n}" for n in range(25)]
    await store.read("", names, None)
    await store.write(meta(1, "a:1"), dict.fromkeys(names, b"x"), names, [], entry(1), 0)
    pages = [(await store.read("a:1", [], (begin, begin + 9)))[1] for begin in range(0, 40, 10)]
    assert [len(page) for page in pages] == [10, 10, 5, 0]
    assert [name for page in pages for name in page] == names


@pytest.mark.parametrize("name", ["meta", "labels", "outbox"])
async def test_a_foreign_value_under_a_key_is_named(store: ShardStore, client: Any, key_prefix: str, name: str) -> None:
    client.set(getattr(ShardKeys(key_prefix, SHARD), name), "someone else's")
    with pytest.raises(StateUnreadable, match=key_prefix):
        await store.load()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda client, keys: client.hset(keys.meta, "offsets", "not json"),
        lambda client, keys: client.hset(keys.meta, "version", '"seven"'),
        lambda client, keys: client.xadd(keys.outbox, {"entry": b"\xc1"}, id="9-0"),
    ],
)
async def test_what_no_release_wrote_is_refused(
    store: ShardStore, client: Any, key_prefix: str, spoil: Callable[[Any, ShardKeys], object]
) -> None:
    await step(store, 1, before="", token="a:1")
    spoil(client, ShardKeys(key_prefix, SHARD))
    with pytest.raises(StateUnreadable):
        await store.load()


async def test_a_failed_command_of_a_step_leaves_the_connection_usable(store: ShardStore, client: Any, key_prefix: str) -> None:
    client.set(ShardKeys(key_prefix, SHARD).roster, "someone else's")
    with pytest.raises(StateUnreadable):
        await store.read("", [], (0, 9))
    assert (await store.load()).meta == Meta()


def test_all_keys_of_a_shard_lie_in_one_slot() -> None:
    keys = ShardKeys("rflow", 17)
    names = [keys.meta, keys.roster, keys.labels, keys.outbox, keys.user + "a{b}c:{x}"]
    assert len({key_slot(name.encode()) for name in names}) == 1


async def _eventually(call: Callable[[], Awaitable[Any]], seconds: float = 15.0) -> Any:
    """What the shard does: again until it is answered."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            return await call()
        except LOST:
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.1)


async def test_a_redis_that_was_killed_has_forgotten_nothing_that_it_answered(servers: Servers) -> None:
    server = servers.redis()
    connections = SingleNode(server.address)
    store = ShardStore(connections, "k", SHARD, timeout=2.0)
    await step(store, 1, before="", token="a:1")
    await asyncio.to_thread(server.kill)
    with pytest.raises(LOST):
        await store.load()
    await asyncio.to_thread(server.start)
    assert (await _eventually(store.load)).meta == meta(1, "a:1")
    await step(store, 2, before="a:1", token="a:2")
    await store.close()
    await connections.close()


async def test_a_redis_that_stands_still_is_given_up_in_time(servers: Servers) -> None:
    server = servers.redis()
    connections = SingleNode(server.address)
    store = ShardStore(connections, "k", SHARD, timeout=0.5)
    await step(store, 1, before="", token="a:1")
    server.freeze()
    with pytest.raises(LOST):
        await store.load()
    server.thaw()
    assert (await _eventually(store.load)).meta == meta(1, "a:1")
    await store.close()
    await connections.close()


async def test_a_slot_that_moves_to_another_node_is_followed(servers: Servers, key_prefix: str) -> None:
    nodes = await asyncio.to_thread(servers.redis_cluster, 3)
    connections = Cluster(nodes[0].address)
    store = ShardStore(connections, key_prefix, SHARD)
    assert (await store.load()).meta == Meta()
    slot = key_slot(ShardKeys(key_prefix, SHARD).meta.encode())
    clients: list[Any] = [redis.Redis.from_url(node.address) for node in nodes]
    ids = [client.execute_command("CLUSTER", "MYID").decode() for client in clients]
    owner = next(i for i, client in enumerate(clients) if _holds(client, slot))
    target = (owner + 1) % 3
    for i in (target, owner, 3 - target - owner):
        clients[i].execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[target])
    with pytest.raises(MovedError):
        await store.load()
    assert (await _eventually(store.load)).meta == Meta()
    await step(store, 1, before="", token="a:1")
    assert clients[target].exists(ShardKeys(key_prefix, SHARD).meta)
    for client in clients:
        client.close()
    await store.close()
    await connections.close()


def _holds(client: Any, slot: int) -> bool:
    client.execute_command("CLUSTER", "COUNTKEYSINSLOT", slot)
    try:
        client.execute_command("GET", _key_of(slot))
    except redis.ResponseError as error:
        return "MOVED" not in str(error)
    return True


def _key_of(slot: int) -> str:
    return next(f"x{n}" for n in range(1_000_000) if key_slot(f"x{n}".encode()) == slot)
