"""The embedded ClickHouse endpoint, with the real client: what it understands of ClickHouse's HTTP interface, and for how many at once."""

from __future__ import annotations

import gzip
import json
import random
import socket
import threading
import time
import urllib.parse
import uuid
from collections.abc import Iterator

import lz4.frame  # type: ignore[import-untyped]
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.integration.clickhouse_endpoint import EVENTS, Endpoint, create_events, events, insert


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    endpoint = Endpoint(tmp_path_factory.mktemp("clickhouse"))
    endpoint.start()
    yield endpoint
    assert endpoint.stop()[0] == 0


@pytest.fixture
def client(shared: Endpoint) -> Iterator[Client]:
    """A client of a database of the test's own."""
    database = f"test_{uuid.uuid4().hex}"
    with shared.client() as first:
        first.command(f"CREATE DATABASE `{database}`")
    with shared.client(database=database) as client:
        yield client


# --- the wire -------------------------------------------------------------------------------------------------------------------


def test_answers_ping_and_the_root(shared: Endpoint) -> None:
    assert shared.get("/ping") == (200, b"Ok.\n")
    assert shared.get("/") == (200, b"Ok.\n")
    assert shared.get("/replicas_status") == (200, b"Ok.\n")


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_columns_of_every_type_come_back_as_they_went(shared: Endpoint, client: Client, compress: str | bool) -> None:
    create_events(client)
    rows = events(3000)
    with shared.client(database=client.database, compress=compress) as sender:
        assert insert(sender, rows) == len(rows)
    back = client.query("SELECT * FROM events ORDER BY delta DESC", tz_mode="aware")
    assert [list(row) for row in back.result_rows] == rows
    assert back.column_names == tuple(EVENTS)


def test_the_database_holds_for_the_request(shared: Endpoint, client: Client) -> None:
    client.command("CREATE TABLE here (x Int8) ENGINE = Memory")
    client.command("INSERT INTO here VALUES (1), (2)")
    assert client.command("SELECT count() FROM here") == 2
    assert shared.post("SELECT count() FROM here")[0] == 404
    assert shared.post("SELECT currentDatabase()", database=str(client.database))[1].decode().strip() == client.database
    status, body = shared.post("SELECT 1", database="nowhere")
    assert status == 400
    assert b"UNKNOWN_DATABASE" in body


@pytest.mark.parametrize("text", ["it's", "tab\tline\nend\\", "", "店铺 ☃", "{x:String}", "--", ";"])
def test_parameters_are_bound_and_not_read(client: Client, text: str) -> None:
    assert client.query("SELECT {x:String} AS x", parameters={"x": text}).result_rows == [(text,)]
    client.command("CREATE TABLE said (x String, n Nullable(UInt32)) ENGINE = Memory")
    client.command("INSERT INTO said (x, n) VALUES ({x:String}, {n:Nullable(UInt32)})", parameters={"x": text, "n": None})
    assert client.query("SELECT * FROM said").result_rows == [(text, None)]


def test_many_parameters_come_as_a_form(client: Client) -> None:
    users = [f"u{number:06d}" for number in range(20_000)]
    found = client.query("SELECT length({users:Array(String)}), {users:Array(String)}[-1]", parameters={"users": users})
    assert found.result_rows == [(20_000, "u019999")]


def test_a_parameterised_view_takes_its_parameters_from_the_query(client: Client) -> None:
    client.command(
        "CREATE VIEW chosen AS SELECT number FROM numbers(10) WHERE number >= {low:UInt64} AND toString(number) != {other:String}"
    )
    rows = client.query("SELECT * FROM chosen(low = {low:UInt64}, other = {other:String})", parameters={"low": 7, "other": "8"}).result_rows
    assert rows == [(7,), (9,)]


def test_errors_reach_the_client_with_code_name_and_text(client: Client) -> None:
    with pytest.raises(DatabaseError, match="Unknown expression identifier `nothing`") as raised:
        client.query("SELECT nothing")
    assert raised.value.code == 47
    with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
        insert(client, events(1), "missing")
    create_events(client)
    with pytest.raises(DatabaseError, match="CANNOT_PARSE_INPUT"):
        client.raw_insert("events", ["amount"], b"not a number\n", fmt="TSV")
    assert client.command("SELECT count() FROM events") == 0


def test_settings_hold_for_one_statement(shared: Endpoint) -> None:
    asked = "SELECT getSetting('max_threads'), getSetting('log_comment') = 'mine'"
    for _ in range(20):
        assert shared.post(asked, max_threads="1", log_comment="mine")[1] == b"1\t1\n"
        assert shared.post(asked)[1] != b"1\t1\n"
    status, body = shared.post("SELECT 1", no_such_setting="1")
    assert status == 400
    assert b"UNKNOWN_SETTING" in body
    assert shared.post("SELECT 1", None, **{"max_threads = 1, readonly": "1"})[0] == 400


def test_get_reads_only(shared: Endpoint) -> None:
    assert shared.get("/", query="SELECT 1 + 1 AS two FORMAT JSONEachRow") == (200, b'{"two":2}\n')
    status, body = shared.get("/", query="CREATE TABLE by_get (x Int8) ENGINE = Memory")
    assert status == 403
    assert b"READONLY" in body
    assert shared.headers["X-ClickHouse-Exception-Code"] == "164"


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("SELECT 1; SELECT 2", b"Multi-statements are not allowed"),
        ("INSERT INTO t VALUES ({x:Int8}); DROP TABLE t", b"Multi-statements are not allowed"),
        ("", b"Empty query"),
        ("SYSTEM SHUTDOWN", b"ACCESS_DENIED"),
        ("SELECT 1 INTO OUTFILE '/tmp/x'", b"NOT_IMPLEMENTED"),
        ("INSERT INTO t FROM INFILE '/etc/hostname' FORMAT TSV", b"NOT_IMPLEMENTED"),
    ],
)
def test_refuses_what_a_server_refuses(shared: Endpoint, statement: str, reason: bytes) -> None:
    status, body = shared.post(statement or b" ", param_x="1")
    assert status >= 400
    assert reason in body
    assert shared.get("/ping")[0] == 200


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}])
def test_refuses_what_a_web_page_could_send(shared: Endpoint, headers: dict[str, str]) -> None:
    assert shared.post("SELECT 1", headers)[0] == 403


def test_formats_and_headers_are_those_of_a_server(shared: Endpoint) -> None:
    assert shared.post("SELECT 1, 'a'") == (200, b"1\ta\n")
    assert shared.headers["X-ClickHouse-Format"] == "TabSeparated"
    assert shared.headers["X-ClickHouse-Timezone"] == "UTC"
    assert json.loads(shared.post("SELECT 1 AS x FORMAT JSON")[1])["data"] == [{"x": 1}]
    assert shared.headers.get_content_type() == "application/json"
    assert shared.post("SELECT 1 AS x", default_format="JSONEachRow", query_id="q-1")[1] == b'{"x":1}\n'
    assert shared.headers["X-ClickHouse-Query-Id"] == "q-1"
    assert shared.post("SELECT number FROM numbers(3)") == (200, b"0\n1\n2\n")
    assert json.loads(shared.headers["X-ClickHouse-Summary"])["result_rows"] == "3"


def test_inserts_come_in_any_shape(shared: Endpoint, client: Client) -> None:
    database = str(client.database)
    client.command("CREATE TABLE shapes (n Int32, s String) ENGINE = Memory")
    chunks = iter([b"1\tin pieces\n2", b"\ttwo\n"])
    assert shared.post(chunks, query="INSERT INTO shapes FORMAT TSV", database=database)[0] == 200
    assert (
        shared.post(b"INSERT INTO shapes (n, s) -- why\nFORMAT JSONEachRow\n" + b'{"n":3,"s":"a;\\n\\nb"}\n\n{"n":4}', database=database)[0]
        == 200
    )
    assert shared.post(b'5,"x;\n\nSELECT 1"\n', query="INSERT INTO shapes FORMAT CSV", database=database)[0] == 200
    assert shared.post("(6, 'six'), (7, 'sev;en');", query="INSERT INTO shapes VALUES", database=database)[0] == 200
    packed = gzip.compress(b"INSERT INTO shapes FORMAT TSV\n8\t") + gzip.compress(b"eight\n")
    assert shared.post(packed, {"Content-Encoding": "gzip"}, database=database)[0] == 200
    framed = lz4.frame.compress(b"9\tnine\n")
    assert shared.post(framed, {"Content-Encoding": "lz4"}, query="INSERT INTO shapes FORMAT TSV", database=database)[0] == 200
    assert client.query("SELECT * FROM shapes ORDER BY n").result_rows == [
        (1, "in pieces"), (2, "two"), (3, "a;\n\nb"), (4, ""), (5, "x;\n\nSELECT 1"), (6, "six"), (7, "sev;en"), (8, "eight"), (9, "nine"),
    ]  # fmt: skip
    status, body = shared.post(framed[:-5], {"Content-Encoding": "lz4"}, query="INSERT INTO shapes FORMAT TSV", database=database)
    assert (status, b"CANNOT_DECOMPRESS" in body) == (400, True)
    assert client.command("SELECT count() FROM shapes") == 9


def test_a_body_that_is_cut_off_inserts_nothing(shared: Endpoint, client: Client) -> None:
    create_events(client)
    with socket.create_connection(("127.0.0.1", shared.port)) as raw:
        query = urllib.parse.quote(f"INSERT INTO {client.database}.events (amount) FORMAT TSV")
        raw.sendall(f"POST /?query={query} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n1\n2\n".encode())
        time.sleep(0.2)
    assert shared.get("/ping")[0] == 200
    assert client.command("SELECT count() FROM events") == 0


def test_the_system_tables_tell_of_tables_and_parts(client: Client) -> None:
    create_events(client)
    insert(client, events(10))
    database = {"database": client.database}
    where = "WHERE database = {database:String}"
    assert client.query(f"SELECT name, engine FROM system.tables {where}", parameters=database).result_rows == [("events", "MergeTree")]
    assert client.query(f"SELECT sum(rows) FROM system.parts {where} AND active", parameters=database).result_rows == [(10,)]


# --- side by side ---------------------------------------------------------------------------------------------------------------


def test_answers_are_not_mixed_up_under_load(shared: Endpoint) -> None:
    wrong: list[object] = []

    def read(seed: int) -> None:
        chance = random.Random(seed)
        with shared.client() as client:
            for _ in range(25):
                low, count = chance.randint(0, 10**6), chance.choice([10, 5000, 60_000])
                rows = client.query(f"SELECT number + {low}, toString(number) FROM numbers({count})").result_rows
                if rows != [(low + number, str(number)) for number in range(count)]:
                    wrong.append((low, count))

    readers = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert not wrong


def test_reads_go_on_during_a_large_insert(shared: Endpoint, client: Client) -> None:
    client.command("CREATE TABLE large (n UInt64, s String) ENGINE = MergeTree ORDER BY n")
    with shared.client() as source:
        block = source.raw_query("SELECT number AS n, randomPrintableASCII(92) AS s FROM numbers(1000000)", fmt="Native")
    assert len(block) > 100_000_000
    failed: list[BaseException] = []

    def write() -> None:
        try:
            with shared.client(database=client.database) as writer:
                writer.raw_insert("large", ["n", "s"], block)
        except BaseException as error:
            failed.append(error)

    writing = threading.Thread(target=write)
    writing.start()
    slowest, reads = 0.0, 0
    while writing.is_alive():
        began = time.monotonic()
        assert client.command("SELECT count() FROM large") in (0, 1_000_000)
        assert shared.get("/ping")[0] == 200
        slowest, reads = max(slowest, time.monotonic() - began), reads + 1
    writing.join()
    assert not failed
    assert client.query("SELECT count(), uniqExact(n) FROM large").result_rows == [(1_000_000, 1_000_000)]
    assert reads >= 3
    assert slowest < 10


def test_a_long_query_holds_nobody_up_and_ends_with_its_client(shared: Endpoint) -> None:
    query = urllib.parse.quote("SELECT sum(cityHash64(number)) FROM numbers(1000000000000) SETTINGS max_threads = 1")
    with socket.create_connection(("127.0.0.1", shared.port)) as raw:
        raw.sendall(f"GET /?query={query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        time.sleep(0.5)
        began = time.monotonic()
        assert shared.get("/ping")[0] == 200
        assert shared.post("SELECT count() > 1 FROM system.processes")[1] == b"1\n"
        assert time.monotonic() - began < 2
    until = time.monotonic() + 10
    while shared.post("SELECT count() FROM system.processes")[1] != b"1\n":
        assert time.monotonic() < until, "the query runs on without its client"
        time.sleep(0.1)
