"""The war room over a day that went through a real worker and sink: what it shows is what the topics tell."""

from __future__ import annotations

import asyncio
import csv
import io
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import msgspec
import orjson
import pytest
from confluent_kafka import Producer

from schemas.snapshot import Shard, UserLayer, read_snapshot
from schemas.times import DAY_MS, MINUTE_MS, from_rfc3339, to_rfc3339
from schemas.tokens import hash_token
from streams import metrics
from tests.asgi import Client
from tests.integration.warroom_world import BRAND, LADDER, Day
from tests.servers import Servers
from warroom.auth.accounts import AccountsFile, Token, new_accounts
from warroom.auth.roles import Role
from warroom.live.freshness import Reason
from warroom.live.live import Live
from warroom.live.snapshot import Pulse, Snapshot
from warroom.states import RedisConfig
from warroom.web.app import make_app

API = "/api/v1"
ACME = f"{API}/brands/{BRAND}"


@pytest.fixture
async def client(day: Day) -> AsyncIterator[Client]:
    app = make_app(day.room(), LADDER)
    yield Client(app)
    await app.state.room.close()


@pytest.fixture
def whole(day: Day) -> str:
    """A query that spans the whole day."""
    return f"from={to_rfc3339(day.watermark - 3 * DAY_MS)}&to={to_rfc3339(day.watermark + DAY_MS)}"


async def pages(client: Client, target: str) -> list[dict[str, Any]]:
    """All items of a list."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        answer = await client.get(target + cursor)
        assert answer.status == 200, answer.body
        told = answer.json()
        found += told["items"]
        if told["next"] is None:
            return found
        cursor = f"&cursor={quote(told['next'])}"


async def test_the_snapshot_is_what_the_topics_and_redis_say(day: Day, client: Client) -> None:
    told = msgspec.json.decode((await client.get(f"{ACME}/snapshot")).body, type=Snapshot)
    assert {rung.layer: rung.users for rung in told.ladder} == day.headcount
    assert told.as_of.watermark == day.watermark
    assert told.as_of.version == sum(meta.version for meta in day.deployment.metas())
    for window in told.flows:
        inside = [m for m in day.moves if window.begins <= from_rfc3339(m.effective_at) < window.ends]
        assert {(f.from_layer, f.to_layer): f.transitions for f in window.flows if f.transitions} == Counter(
            (m.from_, m.to) for m in inside
        )
        users = Counter(cell for cell, _ in {((m.from_, m.to), m.user_id) for m in inside})
        assert {(f.from_layer, f.to_layer): f.users for f in window.flows if f.users} == users
    bought = [o for o in day.orders if o.type == "purchase"]
    today = [o for o in bought if told.today.begins <= o.occurred_at]
    assert today
    assert (told.today.orders, told.today.gmv, told.today.buyers) == (
        len(today),
        sum(o.amount for o in today),
        len({o.user_id for o in today}),
    )
    assert told.today.gmv_new == sum(o.amount for o in today if o.first_seen > o.occurred_at - DAY_MS)
    hour = [o for o in bought if o.occurred_at >= told.flows[-1].begins]
    assert {r.label: (r.orders, r.gmv) for r in told.rankings.channels if r.orders} == {
        channel: (len(found), sum(o.amount for o in found))
        for channel in {o.channel or "" for o in hour}
        if (found := [o for o in hour if (o.channel or "") == channel])
    }
    minutes = Counter({"orders": 0})
    minutes["orders"] = sum(1 for o in bought if o.occurred_at >= told.minutes.begins)
    assert sum(told.minutes.orders) == minutes["orders"]


async def test_the_number_of_queries_does_not_depend_on_the_number_of_viewers(day: Day) -> None:
    async def queries(viewers: int) -> tuple[float, int]:
        live = Live(day.live(), LADDER, lambda: day.watermark + 1)
        streams = [live.follow(BRAND) for _ in range(viewers)]
        first = await asyncio.gather(*(anext(stream) for stream in streams))
        assert len(set(first)) == 1
        before, frames = sent(), 0
        while frames < 4:
            told = await asyncio.gather(*(anext(stream) for stream in streams))
            assert len({id(frame) for frame in told}) == 1  # the same bytes, not copies of them
            frames += told[0].startswith(b"event: snapshot")
        counted = sent() - before
        for stream in streams:
            await stream.aclose()
        await live.close()
        return counted / frames, len(first[0])

    def sent() -> float:
        return float(metrics.WARROOM_QUERIES.labels("live")._value.get())

    alone, crowd = (await queries(1))[0], (await queries(100))[0]
    assert alone == crowd
    assert 5 <= alone <= 6


async def test_lists_come_whole_page_by_page(day: Day, client: Client, whole: str) -> None:
    found = await pages(client, f"{ACME}/orders?{whole}&limit=37")
    assert Counter((o["user_id"], o["event_id"], o["amount"]) for o in found) == Counter(
        (o.user_id, o.event_id, o.amount) for o in day.orders
    )
    assert [o["at"] for o in found] == sorted((o["at"] for o in found), reverse=True)
    moves = await pages(client, f"{ACME}/transitions?{whole}&limit=100")
    assert Counter(m["id"] for m in moves) == Counter(m.id for m in day.moves)
    some = await pages(client, f"{ACME}/transitions?{whole}&from_layer=R0&to_layer=R1&limit=1000")
    assert Counter(m["id"] for m in some) == Counter(m.id for m in day.moves if (m.from_, m.to) == ("R0", "R1"))
    lines = await pages(client, f"{ACME}/ledger?{whole}&limit=50")
    at_once = await pages(client, f"{ACME}/ledger?{whole}&limit=1000")
    assert [line for line in lines if line["minute"] != lines[0]["minute"]] == [
        line for line in at_once if line["minute"] != lines[0]["minute"]
    ]
    assert {line["layer"]: line["closing"] for line in lines[-len(LADDER.layers) :]} == day.headcount


async def test_figures_agree_with_each_other(day: Day, client: Client, whole: str) -> None:
    census = (await client.get(f"{ACME}/census")).json()
    assert census["layers"] == day.headcount
    scaling = (await client.get(f"{ACME}/star/scaling?{whole}")).json()
    assert {row["layer"]: row["users"] for row in scaling} == day.headcount
    flows = {(row["from_layer"], row["to_layer"]): row["transitions"] for row in (await client.get(f"{ACME}/flows?{whole}")).json()}
    assert flows == Counter((m.from_, m.to) for m in day.moves)
    activating = (await client.get(f"{ACME}/star/activating?{whole}")).json()
    assert {(r["from_layer"], r["to_layer"]): r["transitions"] for r in activating if r["transitions"]} == flows
    returning = (await client.get(f"{ACME}/star/returning?{whole}&by=channel")).json()
    assert sum(row["gmv"] for row in returning if row["layer"] == "") == sum(o.amount for o in day.orders if o.type == "purchase")


async def test_a_user_their_history_and_the_audience_they_are_in(day: Day, client: Client) -> None:
    last = day.moves[-1]
    chain = [m for m in day.moves if m.user_id == last.user_id]
    told = (await client.get(f"{ACME}/users/{quote(last.user_id)}")).json()
    assert (told["evidence"]["layer"], told["evidence"]["seq"]) == (chain[-1].to, len(chain))
    moves = await pages(client, f"{ACME}/users/{quote(last.user_id)}/history?limit=1")
    assert [m["id"] for m in moves] == [m.id for m in reversed(chain)]
    assert (await client.get(f"{ACME}/users/nobody")).status == 404
    standing = {m.user_id: m.to for m in day.moves}
    for layer in ("R1", "R4"):
        expected = sorted(user for user, at in standing.items() if at == layer)
        assert [m["user_id"] for m in await pages(client, f"{ACME}/audiences/{layer}?limit=20")] == expected
    by_channel = {m.user_id: m.touch.channel for m in day.moves}
    found = await pages(client, f"{ACME}/audiences/R1?channel=douyin")
    assert [m["user_id"] for m in found] == sorted(u for u, at in standing.items() if at == "R1" and by_channel[u] == "douyin")


async def test_exports_as_lines_and_as_csv_lead_on(day: Day, client: Client) -> None:
    bought = sorted(
        {o.user_id for o in day.orders if o.type == "purchase" and o.amount > 0 and o.occurred_at > day.watermark - 30 * DAY_MS}
    )
    assert len(bought) > 3
    lines = await client.get(f"{ACME}/suppression?days=30&format=jsonl&limit=2")
    assert lines.headers["content-type"] == "application/x-ndjson"
    assert [orjson.loads(line)["user_id"] for line in lines.body.splitlines()] == bought[:2]
    link = lines.headers["link"]
    assert link.endswith('; rel="next"')
    table = await client.get(f"{link[1 : link.index('>')].replace('format=jsonl', 'format=csv').replace('limit=2', 'limit=1000')}")
    rows = list(csv.DictReader(io.StringIO(table.body.decode())))
    assert [row["user_id"] for row in rows] == bought[2:]
    assert "link" not in table.headers
    recorded = (await client.get(f"{API}/audit?limit=2")).json()
    assert [(e["action"], e["target"], e["who"]) for e in recorded] == [("export suppression", BRAND, "local:local")] * 2


async def test_every_users_layer_is_there_to_begin_with(day: Day, client: Client) -> None:
    answer = await client.get(f"{ACME}/layers")
    assert answer.headers["content-type"] == "application/x-ndjson"
    records = list(read_snapshot(answer.body.splitlines()))
    standing = {m.user_id: (m.to, m.seq) for m in day.moves}
    assert {one.user_id: (one.layer, one.seq) for one in records if isinstance(one, UserLayer) and one.seq} == standing
    assert sum(isinstance(one, UserLayer) for one in records) == sum(day.headcount.values())
    versions = [one.version for one in records if isinstance(one, Shard)]
    assert versions == [meta.version for meta in day.deployment.metas()]
    recorded = (await client.get(f"{API}/audit?limit=1")).json()
    assert [(e["action"], e["target"]) for e in recorded] == [("export layers", BRAND)]


async def test_what_has_not_changed_is_not_sent_again(client: Client) -> None:
    first = await client.get(f"{ACME}/census")
    again = await client.get(f"{ACME}/census", **{"if-none-match": first.headers["etag"]})
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert (await client.get(f"{ACME}/census", **{"if-none-match": '"other"'})).status == 200


@pytest.mark.parametrize(
    ("target", "status", "said"),
    [
        (f"{API}/brands/nobody/census", 404, "expected a brand"),
        (f"{ACME}/audiences/R9", 404, "expected a layer of the ladder: R0"),
        (f"{ACME}/audiences/R0", 400, "expected a layer above R0"),
        (f"{ACME}/flows?from=2026-11-11T00:00:00Z&to=2026-11-11T00:00:00Z", 400, "query.to: expected a time after `from`"),
        (f"{ACME}/flows?from=2026-02-30T00:00:00Z&to=2026-11-11T00:00:00Z", 400, "query.from: expected a day that the calendar has"),
        (f"{ACME}/flows?from=2020-02-03T00:00:00Z&to=2026-11-11T00:00:00Z", 400, "400 days at most"),
        (f"{ACME}/flows?from=2026-02-03&to=2026-11-11", 422, "query.from"),
        (f"{ACME}/suppression?cursor=x", 400, "query.cursor: expected a cursor"),
        (f"{ACME}/suppression?cursor=WyJhdWRpZW5jZSIsIngiXQ", 400, "query.cursor: expected a cursor"),
        (f"{ACME}/star/scaling?from=2026-11-10T00:00:00Z&to=2026-11-11T00:00:00Z&by=price", 422, "query.by"),
    ],
)
async def test_what_cannot_be_answered_is_told_why(client: Client, target: str, status: int, said: str) -> None:
    answer = await client.get(target)
    assert answer.status == status
    assert said in answer.detail


@pytest.mark.parametrize("value", ["' OR 1=1 --", "{to:String}", "\\", "\\'", "a\n\tb", "安踏", "a%00b", "\x7f"])
async def test_values_never_become_part_of_a_query(day: Day, client: Client, whole: str, value: str) -> None:
    given = quote(value) if "%" not in value else value
    for target in (f"flows?{whole}&channel={given}", f"transitions?{whole}&campaign_id={given}", f"audiences/R1?channel={given}"):
        answer = await client.get(f"{ACME}/{target}")
        assert answer.status == 422 if "%00" in value else answer.status == 200, answer.body
        if answer.status == 200:
            told = answer.json()
            assert (told if isinstance(told, list) else told["items"]) == []


async def test_viewers_see_masks_and_only_their_brands(day: Day, tmp_path: Any, whole: str) -> None:
    file = AccountsFile(tmp_path / "accounts.json")
    made = new_accounts()
    for role, brands in ((Role.VIEWER, (BRAND,)), (Role.OPERATOR, None)):
        made = made.with_token(Token(name=role.value, role=role, sha256=hash_token(role.value), brands=brands))
    file.write(made)
    app = make_app(day.room(accounts=file.path), LADDER)
    viewer, operator = (Client(app, authorization=f"Bearer {role.value}") for role in (Role.VIEWER, Role.OPERATOR))
    assert (await viewer.get(f"{API}/brands")).json() == {"brands": [BRAND]}
    assert (await operator.get(f"{API}/brands")).json() == {"brands": [BRAND, "nova", "山茶"]}
    assert (await viewer.get(f"{API}/brands/nova/census")).status == 404
    for name in ("orders", "transitions"):
        masked, plain = [await pages(client, f"{ACME}/{name}?{whole}&limit=50") for client in (viewer, operator)]
        ids = {(a["user_id"], b["user_id"]) for a, b in zip(masked, plain, strict=True)}
        assert all(mask.startswith("~") and user not in mask for mask, user in ids)
        assert len({mask for mask, _ in ids}) == len({user for _, user in ids}) == len(ids)
        cursor = (await viewer.get(f"{ACME}/{name}?{whole}&limit=1")).json()["next"]
        assert plain[0]["user_id"].encode() not in urlsafe_b64decode(cursor + "==")
    await app.state.room.close()


async def test_transitions_are_followed_filtered_and_taken_up_again(day: Day, client: Client) -> None:
    template = next(m for m in day.moves if m.shard == 0)
    version = day.deployment.metas()[0].version
    producer = Producer({"bootstrap.servers": day.deployment.bootstrap})

    def publish(index: int, to: str, channel: str, at: int = version + 1) -> str:
        one = msgspec.structs.replace(
            template,
            id=f"0:{at}:{index}",
            version=at,
            index=index,
            from_="R1",
            to=to,
            touch=msgspec.structs.replace(template.touch, channel=channel),
        )
        producer.produce(day.deployment.topic("transitions"), msgspec.json.encode(one), partition=0)
        assert producer.flush(10) == 0
        return one.id

    async def ids(events: AsyncIterator[bytes], count: int) -> list[str]:
        found: list[str] = []
        async with asyncio.timeout(30):
            while len(found) < count:
                event = await anext(events)
                if event.startswith(b"event:"):
                    found.append(event.split(b"\n")[1].decode().removeprefix("id: ") if b"id:" in event else event.split(b"\n")[0].decode())
        return found

    async with client.stream(f"{ACME}/transitions/live?to=R3") as to_r3, client.stream(f"{ACME}/transitions/live?channel=jd") as by_jd:
        assert await anext(to_r3) == await anext(by_jd) == b": following\n\n"
        first, second, third = publish(0, "R3", "jd"), publish(1, "R2", "jd"), publish(2, "R3", "tmall")
        publish(1, "R3", "jd")  # told again after a crash: the subscriber's rule drops it
        assert await ids(to_r3, 2) == [first, third]
        assert await ids(by_jd, 2) == [first, second]
    async with client.stream(f"{ACME}/transitions/live", **{"last-event-id": first}) as resumed:
        assert await ids(resumed, 2) == [second, third]
    async with client.stream(f"{ACME}/transitions/live", **{"last-event-id": "0:1:0"}) as too_late:
        assert await ids(too_late, 1) == ["event: gap"]


async def test_it_says_what_stands_still_and_goes_on_by_itself(day: Day, servers: Servers) -> None:
    """A Redis of its own goes away and comes back, under the eyes of a viewer."""
    redis = servers.redis()
    config = day.live(redis=RedisConfig(url=redis.address, prefix="nobody"))
    live = Live(config, LADDER, lambda: day.watermark + 1)
    frames = live.follow(BRAND)

    async def until(reason: Reason | None, seconds: float = 40) -> None:
        async with asyncio.timeout(seconds):
            async for frame in frames:
                kind, _, data = frame.partition(b"\nid: ")
                of: Any = Snapshot if kind == b"event: snapshot" else Pulse
                causes = msgspec.json.decode(data.partition(b"data: ")[2], type=of).freshness.causes
                found = [cause.reason for cause in causes]
                if (reason in found) if reason else Reason.REDIS_AWAY not in found:
                    return

    try:
        await until(None)
        redis.freeze()
        await until(Reason.REDIS_AWAY)
        redis.thaw()
        await until(None)
        # nobody has applied anything in this Redis, while the logs are full: that is what a dead worker looks like
        await until(Reason.WORKER_DOWN)
    finally:
        redis.thaw()
        await frames.aclose()
        await live.close()


def test_the_day_is_worth_looking_at(day: Day) -> None:
    assert len(day.moves) > 100
    assert len(day.orders) > 20
    assert day.watermark % MINUTE_MS
