"""rflow collect as a process, on a real Kafka: what it acknowledges is there, what it does not take it says of each record."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.partition import partition_of
from schemas.tokens import hash_token
from schemas.touchpoint import CATALOGUE
from sources.pseudonym import Pseudonyms
from tests.integration.collecting import CRYPT, PARTITIONS, SOURCES, TOKEN, Site, accepted, signed, site, touchpoint
from tests.servers import Servers, wait_until
from tests.workers import ROOT, Worker, headers_of

PATH = "/v1/touchpoints"
LINES = {"content-type": "application/x-ndjson"}
EXAMPLES = ROOT / "sources" / "mappings" / "examples"


@pytest.fixture(scope="module")
def place(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A collector at work, which all tests share that do not kill it."""
    with site(tmp_path_factory.mktemp("collector"), kafka, "collector.") as made:
        made.start()
        yield made


@pytest.fixture
def client(place: Site) -> Iterator[httpx.Client]:
    with place.client() as made:
        yield made


def told(answer: httpx.Response) -> list[tuple[str, str | None]]:
    """Status and reason of each record, which are told in the request's order."""
    results = answer.json()["results"]
    assert [result["index"] for result in results] == list(range(len(results)))
    return [(result["status"], result.get("reason")) for result in results]


def running(place: Site) -> Worker:
    assert place.process is not None
    return place.process


def test_what_is_acknowledged_lies_where_the_processor_reads_it_byte_for_byte(place: Site, client: httpx.Client) -> None:
    one = touchpoint(type="qr_scan")
    order = touchpoint(type="purchase", order_id="o1", amount=100, currency="CNY", attributes={"sku": "A1"})
    spaced = json.dumps(order, indent=1).encode()
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answers = [
        client.post(PATH, json=one, headers={"traceparent": trace}),
        client.post(PATH, content=b"[" + spaced + b"]", headers={"content-type": "application/json; charset=utf-8", "traceparent": "00-x"}),
        client.post(PATH, content=b"\n" + json.dumps(touchpoint(type="group_join", relation_id="g1")).encode() + b"\r\n\n", headers=LINES),
    ]
    assert [(answer.status_code, told(answer)) for answer in answers] == [(200, [("accepted", None)])] * 3
    found = place.read()
    (lies,) = found[one["event_id"]]
    assert lies.topic() == f"collector.{CATALOGUE['qr_scan'].topic}"
    assert (lies.key(), lies.partition()) == (one["user_id"].encode(), partition_of(one["user_id"], PARTITIONS))
    assert headers_of(lies) == {"traceparent": trace.encode()}
    (lies,) = found[order["event_id"]]
    assert (lies.topic(), lies.value()) == ("collector.touchpoints.order", spaced)
    assert not lies.headers()


def test_each_record_is_answered_by_itself_and_for_the_reason_of_its_dead_letter(place: Site, client: httpx.Client) -> None:
    good = touchpoint()
    batch: list[tuple[Any, str | None]] = [
        (good, None),
        ({**touchpoint(), "user_id": ""}, "invalid_field"),
        (touchpoint(type="teleport"), "unknown_type"),
        (touchpoint(occurred_at=int(time.time() * 1000) + 3_600_000), "future"),
        (touchpoint(type="purchase", order_id="o", amount=1, currency="XXX"), "wrong_currency"),
        (touchpoint(brand="other"), "brand_not_allowed"),
        (touchpoint(channel="tmall"), "channel_not_allowed"),
        ({name: value for name, value in touchpoint().items() if name != "channel"}, "channel_not_allowed"),
        ({"type": "tick", "occurred_at": 0}, "tick_not_allowed"),
        ("text", "invalid_json"),
        (touchpoint(attributes={"long": "x" * 70_000}), "too_large"),
    ]
    before = running(place).metric("rflow_collect_records_total", source="mini-program")
    answer = client.post(PATH, json=[record for record, _ in batch])
    assert answer.status_code == 207
    assert told(answer) == [("refused", reason) if reason else ("accepted", None) for _, reason in batch]
    results = answer.json()["results"]
    assert [result.get("event_id") for result in results] == [one.get("event_id") if isinstance(one, dict) else None for one, _ in batch]
    assert (answer.json()["accepted"], answer.json()["refused"], answer.json()["unavailable"]) == (1, len(batch) - 1, 0)
    assert all(result["detail"] for result in results[1:])
    assert running(place).metric("rflow_collect_records_total", source="mini-program") - before == len(batch)

    lines = b"\n".join([json.dumps(touchpoint()).encode(), b"{broken", b"\xff"])
    assert told(client.post(PATH, content=lines, headers=LINES)) == [("accepted", None), *[("refused", "invalid_json")] * 2]
    refused = client.post(PATH, json=touchpoint(user_id=7))
    assert (refused.status_code, told(refused)) == (422, [("refused", "invalid_field")])


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (404, {"url": "/"}),
        (404, {"url": "/v1/nothing"}),
        (404, {"url": "/v1/touchpoints/mini-program/more"}),
        (405, {"method": "GET"}),
        (400, {"content": b""}),
        (400, {"content": b" \n"}),
        (400, {"content": b"[]"}),
        (400, {"content": b'[{"event_id"'}),
        (400, {"content": b"[" * 100_000}),
        (413, {"content": b" " * 1_048_577}),
        (413, {"content": b"[" + b"1," * 5_000 + b"1]"}),
        (415, {"content": b"{}", "headers": {"content-type": "text/plain"}}),
        (415, {"content": b"{}", "headers": {"content-encoding": "br"}}),
        (400, {"content": b"{}", "headers": {"content-encoding": "gzip"}}),
        (413, {"content": gzip.compress(b" " * 1_048_577), "headers": {"content-encoding": "gzip"}}),
        (401, {"headers": {"authorization": ""}}),
        (401, {"headers": {"authorization": "Bearer rflow_unknown"}}),
        (401, {"headers": {"authorization": "Basic eDp5"}}),
        (401, {"url": "/v1/touchpoints/shop"}),
        (401, {"url": "/v1/touchpoints/nobody", "headers": {"authorization": ""}}),
        (401, {"url": "/v1/touchpoints/mini-program", "headers": {"authorization": ""}}),
    ],
    ids=str,
)
def test_a_request_that_cannot_be_is_told_why(client: httpx.Client, status: int, request_: dict[str, Any]) -> None:
    given = {"method": "POST", "url": PATH, "content": b"{}", **request_}
    given["headers"] = {"content-type": "application/json", **given.get("headers", {})}
    answer = client.request(**given)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"].startswith("expected ")


def test_a_packed_body_is_taken_as_what_it_was_and_signed_as_it_was_sent(place: Site, client: httpx.Client) -> None:
    packed = {"content-encoding": "gzip"}
    batch = gzip.compress(json.dumps([touchpoint(), touchpoint(user_id=7)]).encode())
    assert told(client.post(PATH, content=batch, headers={"content-type": "application/json", **packed})) == [
        ("accepted", None),
        ("refused", "invalid_field"),
    ]
    body = gzip.compress(json.dumps(touchpoint(channel=None)).encode())
    with place.client(authorization="") as unnamed:
        assert unnamed.post(f"{PATH}/shop", content=body, headers={**signed(body), **packed}).status_code == 200
    assert running(place).metric("rflow_collect_held_bytes") == 0


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NEARLY = st.dictionaries(st.sampled_from([*touchpoint(), "order_id", "amount", "currency", "relation_id"]), JSON_VALUES, max_size=6).map(
    lambda changes: {**touchpoint(), **changes}
)
BODIES = (
    st.binary(max_size=200)
    | (JSON_VALUES | NEARLY | st.lists(NEARLY | JSON_VALUES, max_size=5)).map(lambda value: json.dumps(value).encode())
    | st.tuples(st.lists(NEARLY, min_size=1, max_size=3), st.binary(max_size=3), st.integers(0, 300)).map(
        lambda parts: (whole := json.dumps(parts[0]).encode())[: parts[2]] + parts[1] + whole[parts[2] :]
    )
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES, lines=st.booleans())
def test_no_body_makes_it_fail(client: httpx.Client, body: bytes, lines: bool) -> None:
    answer = client.post(PATH, content=body, headers=LINES if lines else {"content-type": "application/json"})
    assert answer.status_code in (200, 207, 400, 422)
    assert answer.status_code == 400 or len(told(answer)) > 0


def test_a_signed_request_is_taken_once_and_no_other(place: Site) -> None:
    path = f"{PATH}/shop"
    body = json.dumps(touchpoint(channel=None)).encode()
    with place.client(authorization="") as client:

        def post(body: bytes, headers: dict[str, str]) -> int:
            return client.post(path, content=body, headers=headers).status_code

        good = signed(body)
        assert post(body, good) == 200
        assert post(body, good) == 409
        more = {**good, "webhook-signature": f"v1,AAAA {good['webhook-signature']}"}
        assert post(body, more) == 409
        assert post(body, signed(body, id_=good["webhook-id"], at=time.time() - 1)) == 200  # a retry, signed anew
        assert post(body + b" ", good) == 401
        assert post(body, {**good, "webhook-id": "another"}) == 401
        assert post(body, signed(body, at=time.time() - 301)) == 401
        assert post(body, signed(body, at=time.time() + 302)) == 401
        assert post(body, signed(body, key=b"a secret of somebody else")) == 401
        assert post(body, {**good, "webhook-timestamp": "now"}) == 401
        assert post(body, {"content-type": "application/json"}) == 401
        foreign = json.dumps(touchpoint(brand="nova")).encode()
        assert post(foreign, signed(foreign)) == 422


def test_callbacks_of_other_systems_become_touchpoints_whoever_sends_them_again(place: Site) -> None:
    with place.client(authorization="") as client:
        order = (EXAMPLES / "orders" / "paid.json").read_bytes()
        answers = [client.post("/v1/orders/shop", content=order, headers=signed(order)) for _ in range(2)]
        assert [(answer.status_code, told(answer)) for answer in answers] == [(200, [("accepted", None)])] * 2
        link = (EXAMPLES / "tencent-ads" / "click.query").read_text().strip()
        assert client.get(f"/v1/tencent-ads/ads?{link}&key=rflow_of-the-ads").status_code == 200
        assert client.get(f"/v1/tencent-ads?{link}&key=rflow_of-nobody").status_code == 401
        reported = (EXAMPLES / "tencent-ads" / "actions.json").read_bytes()
        answer = client.post("/v1/tencent-ads", content=reported, headers={"authorization": "Bearer rflow_of-the-ads"})
        assert (answer.status_code, len(told(answer))) == (200, 3)
        assert answer.json()["unmapped"] == ["ADD_TO_CART", "VIEW_CONTENT without wechat_openid"]
        group = (EXAMPLES / "wecom" / "group_join.xml").read_bytes()
        assert [wecom(client, group).status_code for _ in range(2)] == [200, 200]
        assert wecom(client, (EXAMPLES / "wecom" / "group_renamed.xml").read_bytes()).content == b""
        assert wecom(client, group, nonce="another").status_code == 401
        assert wecom(client, b"<xml/>").status_code == 400
        assert client.post("/v1/orders/shop", content=b"{}", headers=signed(b"{}")).status_code == 400
        assert client.post("/v1/wecom/shop", content=group).status_code == 401
        asked = {
            "msg_signature": CRYPT.signature("1", "n", sealed := CRYPT.sealed(b"4711")),
            "timestamp": "1",
            "nonce": "n",
            "echostr": sealed,
        }
        echo = client.get("/v1/wecom/wecom", params=asked)
        assert (echo.status_code, echo.content) == (200, b"4711")
    by_user: dict[str, set[str]] = {}
    for event, lies in place.read().items():
        record = json.loads(lies[0].value() or b"")
        if record["type"] in ("purchase", "ad_click", "member_register", "group_join") and ":" in event:
            by_user.setdefault(record["user_id"], set()).add(record["type"])
    assert by_user["oRflow0000000000000000000001"] == {"purchase", "ad_click", "member_register"}
    assert by_user["wmRflowAAAAexternal000000000001"] == by_user["woRflowAAAAexternal000000000002"] == {"group_join"}


def wecom(client: httpx.Client, message: bytes, nonce: str = "n") -> httpx.Response:
    """A callback as WeCom sends it; signed for the nonce n."""
    sealed = CRYPT.sealed(message)
    asked = {"msg_signature": CRYPT.signature("1794355203", "n", sealed), "timestamp": "1794355203", "nonce": nonce}
    return client.post("/v1/wecom/wecom", params=asked, content=f"<xml><Encrypt><![CDATA[{sealed}]]></Encrypt></xml>".encode())


def test_a_changed_file_of_sources_holds_within_seconds_and_a_broken_one_changes_nothing(place: Site, client: httpx.Client) -> None:
    process = running(place)

    def status(token: str) -> int:
        return client.post(PATH, json=touchpoint(), headers={"authorization": f"Bearer {token}"}).status_code

    assert status("rflow_new") == 401
    place.write(SOURCES + f"  - source: kiosk\n    brands: [acme]\n    rate: 2\n    burst: 4\n    tokens: [{hash_token('rflow_new')!r}]\n")
    wait_until(lambda: status("rflow_new") == 200, "the new source to be let in", 15)
    answers = [client.post(PATH, json=[touchpoint()] * 2, headers={"authorization": "Bearer rflow_new"}) for _ in range(4)]
    assert 429 in [answer.status_code for answer in answers]
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers if answer.status_code == 429)
    assert process.metric("rflow_collect_records_total", source="kiosk", outcome="rate") >= 2
    place.write("sources:\n  - source: Kiosk\n")
    wait_until(lambda: process.metric("rflow_collect_sources_refused_total") == 1, "the broken file to be seen", 15)
    assert (status("rflow_new") in (200, 429), status(TOKEN)) == (True, 200)
    (place.folder / "shop.secret").write_bytes(b"another secret of the shop")
    place.write(SOURCES)
    wait_until(lambda: status("rflow_new") == 401, "the source to be gone", 15)
    body = json.dumps(touchpoint()).encode()
    with place.client(authorization="") as other:
        assert other.post(f"{PATH}/shop", content=body, headers=signed(body)).status_code == 401
        new = signed(body, key=b"another secret of the shop")
        assert other.post(f"{PATH}/shop", content=body, headers=new).status_code == 200


def test_pages_of_other_origins_may_not_post_unless_they_are_named(client: httpx.Client) -> None:
    asked = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    assert client.request("OPTIONS", PATH, headers=asked).status_code == 405
    assert "access-control-allow-origin" not in client.post(PATH, json=touchpoint(), headers=asked).headers


def test_nothing_is_acknowledged_that_is_not_in_kafka_after_a_kill(kafka: str, topic_prefix: str, tmp_path: Any) -> None:
    key = tmp_path / "pseudonyms.key"
    key.write_bytes(b"a key of some length")
    given = {"collect_origins": "https://shop.example", "pseudonym_key_file": str(key)}
    with site(tmp_path, kafka, topic_prefix, **given) as place:
        process = place.start()
        known: set[str] = set()
        with ThreadPoolExecutor(8) as pool, place.client() as client:
            asked = client.request("OPTIONS", PATH, headers={"origin": "https://shop.example", "access-control-request-method": "POST"})
            assert asked.headers["access-control-allow-origin"] == "https://shop.example"

            def load(size: int) -> None:
                while process.is_running:
                    batch = [touchpoint() for _ in range(size)]
                    try:
                        known.update(accepted(client.post(PATH, json=batch)))
                    except httpx.TransportError:
                        return

            loads = [pool.submit(load, size) for size in (1, 1, 1, 1, 20, 20, 100, 100)]
            wait_until(lambda: len(known) > 1_000 or any(one.done() for one in loads), "a load", 60)
            process.kill()
            for one in loads:
                one.result()
        assert len(known) > 1_000
        found = place.read()
        assert known - set(found) == set()
        pseudonyms = {Pseudonyms(b"a key of some length").of(f"u{number}") for number in range(50)}
        for lies in (message for messages in found.values() for message in messages):
            user = json.loads(lies.value() or b"")["user_id"]
            assert user in pseudonyms
            assert (lies.key(), lies.partition()) == (user.encode(), partition_of(user, PARTITIONS))

        # Another in its place takes up at once, and ends as it is told to, with an answer to all that it has taken.
        process = place.start()
        with place.client() as client, ThreadPoolExecutor(4) as pool:
            posts = [pool.submit(client.post, PATH, json=[touchpoint() for _ in range(50)]) for _ in range(40)]
            wait_until(lambda: sum(post.done() for post in posts) >= 8, "some to be answered", 30)
            assert process.stop(30) == 0, process.tail()
            answers = [post.result() for post in posts if post.exception() is None]
        assert {answer.status_code for answer in answers} == {200}
        acknowledged = {event for answer in answers for event in accepted(answer)}
        assert acknowledged - set(place.read()) == set()


def test_while_kafka_stands_still_nothing_is_acknowledged_and_what_is_held_has_bounds(servers: Servers, tmp_path: Any) -> None:
    broker = servers.kafka()
    given = {"collect_timeout": 4, "collect_in_flight_records": 100}
    with site(tmp_path, broker.address, "frozen.", **given) as place, place.client() as client, ThreadPoolExecutor(10) as pool:
        process = place.start()
        assert client.post(PATH, json=touchpoint()).status_code == 200
        wait_until(lambda: process.metric("rflow_collect_kafka_up") == 1, "Kafka to be known", 10)

        def post() -> httpx.Response:
            return client.post(PATH, json=[touchpoint() for _ in range(10)])

        broker.freeze()
        try:
            let_in = [pool.submit(post) for _ in range(10)]
            wait_until(lambda: process.metric("rflow_collect_in_flight_records") == 100, "it to be full", 4)
            full = post()
            assert (full.status_code, full.headers["retry-after"]) == (429, "1")
            assert process.metric("rflow_collect_records_total", outcome="pressure") == 10
            # Once Kafka is known to be away nobody waits for it any more.
            wait_until(lambda: process.metric("rflow_collect_kafka_up") == 0, "Kafka to count as away", 20)
            refused = post()
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
            answers = [one.result() for one in let_in]
            assert {answer.status_code for answer in answers} == {503}
            assert all(set(told(answer)) == {("unavailable", "not_acknowledged")} for answer in answers)
            assert process.metric("rflow_collect_kafka_up") == 0
            assert process.metric("rflow_collect_records_total", outcome="accepted") == 1
        finally:
            broker.thaw()
        wait_until(lambda: post().status_code == 200, "Kafka's return", 60)
        assert process.get("/readyz")[0] == 200
        assert process.stop(30) == 0, process.tail()
