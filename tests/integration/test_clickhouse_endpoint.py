"""The embedded ClickHouse endpoint, with the real client: what a server promises, and what it must survive."""

from __future__ import annotations

import gzip
import http.client
import json
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import clickhouse_connect
import lz4.frame  # type: ignore[import-untyped]
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

EVENTS = ["at", "channel", "guide", "amount", "delta", "tags"]
EVENT_TYPES = ["DateTime64(3, 'UTC')", "LowCardinality(String)", "Nullable(String)", "UInt64", "Int64", "Array(String)"]
WINDOW = "SETTINGS non_replicated_deduplication_window = 1000"


class Endpoint:
    """The endpoint as a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.pid_file = folder / "run" / "clickhouse-1.pid"
        self.log = folder / "log"
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = int(listener.getsockname()[1])
        self.process: subprocess.Popen[bytes] | None = None

    def command(self, *options: str) -> list[str]:
        return [sys.executable, "-m", "deploy.stack.clickhouse", "--data", str(self.data), "--port", str(self.port), *options]

    def start(self, *options: str) -> None:
        """Start it and wait until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command("--pid-file", str(self.pid_file), *options), stdout=log, stderr=log)
        until = time.monotonic() + 60
        while True:
            with suppress(OSError):
                assert self.get("/ping")[1] == b"Ok.\n"
                return
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, "the endpoint does not answer"
            time.sleep(0.05)

    def kill(self) -> None:
        """End it without warning."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> tuple[int, float]:
        """End it as a supervisor does; the exit status and how long it took."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20), time.monotonic() - began

    @contextmanager
    def client(self, **options: Any) -> Iterator[Client]:
        client = clickhouse_connect.get_client(
            host="127.0.0.1", port=self.port, autogenerate_session_id=False, dedicated_pool=True, **options
        )
        try:
            yield client
        finally:
            client.close()

    def get(self, path: str, **parameters: str) -> tuple[int, bytes]:
        return self._send("GET", path, None, parameters, {})

    def post(self, body: Any, headers: dict[str, str] | None = None, **parameters: str) -> tuple[int, bytes]:
        return self._send("POST", "/", body, parameters, headers or {})

    def _send(self, method: str, path: str, body: Any, parameters: dict[str, str], headers: dict[str, str]) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
            connection.request(method, path + query, body, headers, encode_chunked=not isinstance(body, (bytes, str, type(None))))
            response = connection.getresponse()
            self.headers = response.headers
            return response.status, response.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    endpoint = Endpoint(tmp_path_factory.mktemp("clickhouse"))
    endpoint.start()
    yield endpoint
    assert endpoint.stop()[0] == 0


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Endpoint]:
    endpoint = Endpoint(tmp_path)
    yield endpoint
    if endpoint.process is not None and endpoint.process.poll() is None:
        endpoint.kill()


@pytest.fixture
def client(shared: Endpoint) -> Iterator[Client]:
    """A client of a database of the test's own."""
    database = f"test_{uuid.uuid4().hex}"
    with shared.client() as first:
        first.command(f"CREATE DATABASE `{database}`")
    with shared.client(database=database) as client:
        yield client


def events(count: int, seed: int = 1) -> list[list[Any]]:
    chance = random.Random(seed)
    return [
        [
            datetime.fromtimestamp(1794355200 + number // 10, UTC).replace(microsecond=120_000),
            chance.choice(["wechat", "douyin", "店"]),
            chance.choice([None, "g1"]),
            2**64 - 1 - number,
            -number,
            [chance.choice("abc")] * chance.randint(0, 3),
        ]
        for number in range(count)
    ]


def create_events(client: Client, name: str = "events") -> None:
    columns = ", ".join(f"{column} {kind}" for column, kind in zip(EVENTS, EVENT_TYPES, strict=True))
    client.command(f"CREATE TABLE {name} ({columns}) ENGINE = MergeTree ORDER BY at {WINDOW}")


def insert(client: Client, rows: list[list[Any]], table: str = "events", **settings: object) -> int:
    return client.insert(table, rows, column_names=EVENTS, column_type_names=EVENT_TYPES, settings=settings).written_rows


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


# --- exactly once ---------------------------------------------------------------------------------------------------------------


def create_flow(client: Client) -> None:
    """A table with two views behind it, all of them with a window of tokens."""
    create_events(client)
    client.command(f"CREATE TABLE minutes (minute DateTime('UTC'), n UInt64) ENGINE = SummingMergeTree ORDER BY minute {WINDOW}")
    client.command(
        "CREATE TABLE channels (channel LowCardinality(String), total SimpleAggregateFunction(sum, UInt64),"
        f" tags AggregateFunction(uniqExact, Int64)) ENGINE = AggregatingMergeTree ORDER BY channel {WINDOW}"
    )
    client.command(
        "CREATE MATERIALIZED VIEW to_minutes TO minutes AS SELECT toStartOfMinute(at) AS minute, count() AS n FROM events GROUP BY minute"
    )
    client.command(
        "CREATE MATERIALIZED VIEW to_channels TO channels AS"
        " SELECT channel, count() AS total, uniqExactState(delta) AS tags FROM events GROUP BY channel"
    )


def flow_counts(client: Client) -> tuple[int, ...]:
    row = client.query("SELECT (SELECT count() FROM events), (SELECT sum(n) FROM minutes), (SELECT sum(total) FROM channels)").result_rows[
        0
    ]
    return tuple(int(number) for number in row)


def insert_once(client: Client, rows: list[list[Any]], token: str) -> None:
    insert(client, rows, insert_deduplication_token=token, deduplicate_blocks_in_dependent_materialized_views=1, async_insert=0)


def test_a_token_is_stored_once_in_the_table_and_behind_its_views(client: Client) -> None:
    create_flow(client)
    for _ in range(3):
        insert_once(client, events(500), "0:1-9")
    assert flow_counts(client) == (500, 500, 500)
    assert client.query("SELECT uniqExactMerge(tags) FROM channels").result_rows == [(500,)]
    insert_once(client, events(500), "0:10-19")
    assert flow_counts(client) == (1000, 1000, 1000)


def test_a_token_outlives_kill_and_restart(own: Endpoint) -> None:
    own.start()
    with own.client() as client:
        create_flow(client)
        insert_once(client, events(500), "0:1-9")
    own.kill()
    own.start()
    with own.client() as client:
        assert flow_counts(client) == (500, 500, 500)
        insert_once(client, events(500), "0:1-9")
        assert flow_counts(client) == (500, 500, 500)
        insert_once(client, events(100, seed=2), "0:10-11")
        assert flow_counts(client) == (600, 600, 600)


@pytest.mark.parametrize("lost", [{"events", "minutes", "channels"}, {"minutes", "channels"}, {"channels"}])
def test_an_insert_that_was_killed_between_its_token_and_its_part_can_be_sent_again(own: Endpoint, lost: set[str]) -> None:
    own.start()
    with own.client() as client:
        create_flow(client)
        insert_once(client, events(50), "0:1")
        insert_once(client, events(70, seed=2), "0:2")
        parts = client.query("SELECT table, path FROM system.parts WHERE active AND max_block_number = 2").result_rows
    assert len(parts) == 3
    own.kill()
    for table, path in parts:
        if table in lost:  # what the engine would have named last
            shutil.rmtree(path)
    own.start()
    with own.client() as client:
        for _ in range(2):
            insert_once(client, events(70, seed=2), "0:2")
            insert_once(client, events(50), "0:1")
        assert flow_counts(client) == (120, 120, 120)


def test_killed_at_any_moment_nothing_is_lost_or_doubled(own: Endpoint) -> None:
    own.start()
    with own.client() as client:
        create_flow(client)
    stored: list[int] = []
    done = threading.Event()

    def send() -> None:
        """Blocks in order; each is sent until it is acknowledged."""
        while not done.is_set():
            with suppress(ClickHouseError, OSError), own.client(query_retries=0) as client:
                while not done.is_set():
                    number = len(stored)
                    insert_once(client, events(100 + number % 50, seed=number), f"0:{number}")
                    stored.append(100 + number % 50)
            time.sleep(0.02)

    sender = threading.Thread(target=send)
    sender.start()
    chance = random.Random(7)
    for _ in range(5):
        time.sleep(chance.uniform(0.2, 0.8))
        own.kill()
        own.start()
    done.set()
    sender.join()
    with own.client() as client:
        last = len(stored)  # the kill may have cut it off with some of its parts stored
        insert_once(client, events(100 + last % 50, seed=last), f"0:{last}")
        assert flow_counts(client) == (sum(stored) + 100 + last % 50,) * 3
    assert len(stored) > 5


def test_without_a_token_equal_blocks_are_taken_for_one(client: Client) -> None:
    """A trap of the window, the same on a server: rows that may repeat need tokens, or an id of their own."""
    create_events(client)
    insert(client, events(10))
    insert(client, events(10))
    assert client.command("SELECT count() FROM events") == 10


# --- the process ----------------------------------------------------------------------------------------------------------------


def test_what_was_acknowledged_outlives_kill(own: Endpoint) -> None:
    own.start()
    with own.client() as client:
        client.command("CREATE DATABASE acme")
    with own.client(database="acme") as client:
        create_events(client)
        for number in range(20):
            insert(client, events(100, seed=number))
    own.kill()
    own.start()
    with own.client(database="acme") as client:
        assert client.command("SELECT count() FROM events") == 2000


def test_a_second_process_on_the_folder_is_refused(own: Endpoint) -> None:
    own.start()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    command = [*own.command()[:-1], port]
    second = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 1
    assert second.stderr.count("\n") == 1
    assert own.process is not None
    assert f"in use by process {own.process.pid}" in second.stderr
    assert own.post("SELECT 1")[1] == b"1\n"


def test_a_taken_port_is_told_in_a_line(own: Endpoint, tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", own.port))
        listener.listen()
        refused = subprocess.run(own.command(), capture_output=True, text=True, timeout=30, check=False)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "cannot be bound" in refused.stderr


def test_a_folder_that_the_engine_misreads_is_refused(own: Endpoint) -> None:
    own.data = own.data / "what?"
    refused = subprocess.run(own.command(), capture_output=True, text=True, timeout=30, check=False)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "pattern" in refused.stderr


def test_stops_after_what_runs(own: Endpoint) -> None:
    own.start()
    assert own.pid_file.read_text().strip() == str(own.process.pid if own.process else 0)
    answers: list[tuple[int, bytes]] = []
    running = threading.Thread(target=lambda: answers.append(own.post("SELECT sleep(2) + 5")))
    running.start()
    time.sleep(0.5)
    status, seconds = own.stop()
    running.join()
    assert answers == [(200, b"5\n")]
    assert status == 0
    assert seconds < 8
    assert not own.pid_file.exists()


def test_stops_in_time_when_a_query_would_run_on(own: Endpoint) -> None:
    own.start()

    def run() -> None:
        with suppress(OSError, http.client.HTTPException):
            own.post("SELECT sum(cityHash64(number)) FROM numbers(1000000000000)")

    running = threading.Thread(target=run)
    running.start()
    time.sleep(0.5)
    status, seconds = own.stop()
    running.join()
    assert status == 0
    assert seconds < 10


def test_memory_has_a_cap(own: Endpoint) -> None:
    own.start("--memory-mib", "512")
    status, body = own.post("SELECT length(arraySort(groupArray(number))) FROM numbers(100000000)")
    assert status == 500
    assert b"MEMORY_LIMIT_EXCEEDED" in body
    assert own.post("SELECT 1")[1] == b"1\n"


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "a b&c=é%20#'"
    folder.mkdir()
    endpoint = Endpoint(folder)
    endpoint.start()
    try:
        endpoint.post("CREATE TABLE t (x Int8) ENGINE = MergeTree ORDER BY x")
        endpoint.post("INSERT INTO t VALUES (1)")
    finally:
        endpoint.kill()
    endpoint.start()
    try:
        assert endpoint.post("SELECT * FROM t")[1] == b"1\n"
        assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    finally:
        endpoint.stop()
