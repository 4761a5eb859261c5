"""What the proxy does to connections, seen from a client of it."""

from __future__ import annotations

import asyncio
import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest
import redis
from clickhouse_connect.driver.client import Client
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from deploy.stack.ports import free_port
from sinks.client import connect, told_apart
from sinks.config import ClickHouse
from sinks.errors import StoreAway
from streams.member import GroupMember
from tests.chaos.proxy import Loop, Proxy
from tests.chaos.stage import REFUSAL
from tests.servers import Servers, wait_until

SESSION_S = 4.5


class _Echo(socketserver.BaseRequestHandler):
    """Answers every byte with ten."""

    def handle(self) -> None:
        while data := self.request.recv(65_536):
            self.server.received += data  # type: ignore[attr-defined]
            self.request.sendall(data * 10)


class _EchoServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        self.received = bytearray()
        super().__init__(("127.0.0.1", free_port()), _Echo)


@pytest.fixture
def echo() -> Iterator[_EchoServer]:
    with _EchoServer() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def proxy(echo: _EchoServer) -> Iterator[Proxy]:
    with Loop() as loop:
        made = Proxy(loop, free_port(), ("127.0.0.1", echo.server_address[1]))
        yield made
        made.close()


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with dial(proxy) as made:
        yield made


def dial(proxy: Proxy) -> socket.socket:
    """A connection that has passed something already."""
    made = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
    assert ask(made, b"?") == b"?" * 10
    return made


def ask(client: socket.socket, data: bytes) -> bytes:
    client.sendall(data)
    return read(client, 10 * len(data))


def read(client: socket.socket, size: int) -> bytes:
    """So many bytes, fewer if the connection ends before."""
    found = b""
    try:
        while len(found) < size and (more := client.recv(size - len(found))):
            found += more
    except ConnectionError:
        pass
    return found


def test_what_is_sent_arrives(client: socket.socket) -> None:
    assert ask(client, b"x" * 300_000) == b"x" * 3_000_000


def test_the_end_of_one_side_reaches_the_other(client: socket.socket) -> None:
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""


def test_a_cut_ends_every_connection_and_no_later_one(proxy: Proxy, client: socket.socket) -> None:
    with dial(proxy) as other:
        assert proxy.cut() == 2
        assert read(client, 1) == read(other, 1) == b""
    with dial(proxy) as later:
        assert ask(later, b"abc") == b"abc" * 10


def test_a_reply_is_cut_after_so_many_bytes_though_the_server_has_sent_it_whole(
    proxy: Proxy, client: socket.socket, echo: _EchoServer
) -> None:
    proxy.cut_within(replies=13)
    client.sendall(b"abc")
    assert read(client, 30) == b"abcabcabcabca"
    assert echo.received.endswith(b"abc")
    assert proxy.calm() == 1


def test_a_request_is_cut_after_so_many_bytes(proxy: Proxy, client: socket.socket, echo: _EchoServer) -> None:
    proxy.cut_within(requests=4)
    before = len(echo.received)
    client.sendall(b"abcdefgh")
    assert len(read(client, 80)) <= 40
    wait_until(lambda: proxy.calm() == 1, "the cut")
    assert bytes(echo.received[before:]) in (b"", b"abcd")


def test_connections_made_while_it_cuts_are_cut_too(proxy: Proxy, echo: _EchoServer) -> None:
    proxy.cut_within(replies=5)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as late:
        late.sendall(b"ab")
        assert len(read(late, 20)) == 5


def test_slowness_delays_both_halves_of_both_directions(proxy: Proxy, client: socket.socket) -> None:
    proxy.slow(0.05)
    began = time.monotonic()
    assert ask(client, b"aa") == b"a" * 20
    assert time.monotonic() - began >= 0.19
    proxy.calm()
    assert ask(client, b"ab") == b"ab" * 10


def test_what_is_held_arrives_when_all_is_calm_again(proxy: Proxy, client: socket.socket) -> None:
    proxy.hold()
    client.sendall(b"a")
    client.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.recv(1)
    client.settimeout(5)
    proxy.calm()
    assert read(client, 10) == b"a" * 10


def test_a_lost_connection_says_nothing_more_and_a_new_one_is_sound(proxy: Proxy, client: socket.socket) -> None:
    assert proxy.lose() == 1
    proxy.calm()
    client.sendall(b"a")
    client.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.recv(1)
    with dial(proxy) as other:
        assert ask(other, b"abc") == b"abc" * 10
    client.settimeout(5)
    proxy.reset()
    assert read(client, 1) == b""


def test_a_server_that_is_away_ends_the_connection(proxy: Proxy, echo: _EchoServer) -> None:
    echo.shutdown()
    echo.server_close()
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as client:
        assert read(client, 1) == b""


def test_a_refused_statement_is_not_carried_out_and_reads_as_no_space(clickhouse_url: str, database: str) -> None:
    port = int(clickhouse_url.rpartition(":")[2])
    with Loop() as loop:
        proxy = Proxy(loop, free_port(), ("127.0.0.1", port))
        sink_side = connect(ClickHouse(url=f"http://{proxy.address}", database=database), database)
        sink_side.command("CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")
        proxy.refuse(REFUSAL)
        with pytest.raises(StoreAway, match=r"cannot now.*243"):
            _insert(sink_side, list(range(100_000)))
        assert proxy.calm() >= 1
        assert sink_side.query("SELECT count() FROM t").result_rows == [(0,)]
        _insert(sink_side, [1, 2])
        assert sink_side.query("SELECT count() FROM t").result_rows == [(2,)]
        sink_side.close()
        proxy.close()


def test_a_reply_of_clickhouse_that_is_cut_off_anywhere_is_no_answer(clickhouse_url: str) -> None:
    with Loop() as loop:
        proxy = Proxy(loop, free_port(), ("127.0.0.1", int(clickhouse_url.rpartition(":")[2])))
        client = connect(ClickHouse(url=f"http://{proxy.address}", database="default"), "default")
        answered = [passes for passes in range(1, 2_000, 13) if _ask(client, proxy, passes)]
        assert answered
        assert answered[0] > 300, "most of a reply is its head"
        assert answered == list(range(answered[0], 2_000, 13))
        client.close()
        proxy.close()


def _ask(client: Client, proxy: Proxy, passes: int) -> bool:
    """Whether there is an answer when so many bytes of the reply pass; a wrong one fails."""
    proxy.reset()
    proxy.cut_within(replies=passes)
    try:
        with told_apart():
            assert client.query("SELECT 7").result_rows == [(7,)], f"{passes} bytes of the reply"
    except StoreAway:
        return False
    return True


def _insert(client: object, numbers: list[int]) -> None:
    with told_apart():
        client.insert("t", [numbers], column_names=["n"], column_oriented=True)  # type: ignore[attr-defined]


def test_kafka_behind_a_proxy_sends_its_clients_back_to_it(servers: Servers) -> None:
    inner, outer = free_port(), free_port()
    kafka = servers.kafka(behind=(inner, outer))
    with Loop() as loop:
        proxy = Proxy(loop, outer, ("127.0.0.1", inner))
        told = AdminClient({"bootstrap.servers": proxy.address}).list_topics(timeout=20)
        assert [f"{broker.host}:{broker.port}" for broker in told.brokers.values()] == [proxy.address]
        direct = AdminClient({"bootstrap.servers": kafka.address}).list_topics(timeout=20)
        assert [f"{broker.host}:{broker.port}" for broker in direct.brokers.values()] == [kafka.address]
        asyncio.run(_stays_a_member(proxy, AdminClient({"bootstrap.servers": kafka.address})))
        proxy.close()


async def _stays_a_member(proxy: Proxy, admin: AdminClient) -> None:
    """A worker's member of the group is not expelled when its connections go dead: it notices, and finds the coordinator again."""
    for made in admin.create_topics([NewTopic("input", 1)]).values():
        made.result(30)
    member = GroupMember(
        kafka={},
        session_timeout=SESSION_S,
        rebalance_timeout=SESSION_S,
        client={"bootstrap_servers": proxy.address},
        group_id="group",
        heartbeat_interval_ms=500,
        enable_auto_commit=False,
    )
    member.subscribe(["input"])
    await member.start()
    try:
        before = await asyncio.to_thread(_members, admin)
        assert len(before) == 1
        assert proxy.lose() >= 1
        await asyncio.sleep(SESSION_S + 0.7)
        assert await asyncio.to_thread(_members, admin) == before
    finally:
        await member.stop()


def _members(admin: AdminClient) -> list[str]:
    (told,) = admin.describe_consumer_groups(["group"], request_timeout=30).values()
    return [member.member_id for member in told.result().members]


def test_redis_reads_through_it(redis_url: str) -> None:
    host, _, port = redis_url.partition("//")[2].partition("/")[0].partition(":")
    with Loop() as loop:
        proxy = Proxy(loop, free_port(), (host, int(port)))
        with redis.Redis(port=proxy.port, socket_timeout=5) as client:
            assert client.ping()
            proxy.cut_within(replies=3)
            with pytest.raises(redis.ConnectionError):
                client.echo("a longer answer")
            proxy.calm()
        proxy.close()
