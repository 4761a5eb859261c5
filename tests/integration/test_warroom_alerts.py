"""Alerts over HTTP: found by period and promotion, taken on by one person, kept from the channels for a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.alert import Alert, AlertState
from schemas.times import HOUR_MS, MINUTE_MS, from_rfc3339, to_rfc3339
from schemas.tokens import hash_token
from sinks.config import ClickHouse
from tests.asgi import Client
from tests.integration.test_warroom_promotions import definition
from tests.integration.warroom_world import BRAND, LADDER, Day
from warroom.alerts.acknowledging import acknowledged
from warroom.alerts.book import AlertBook, opened
from warroom.alerts.engine import BrandState, telling_pipeline
from warroom.auth.accounts import AccountsFile, Token, new_accounts
from warroom.auth.roles import Role
from warroom.web.app import make_app
from warroom.web.routes import alerts as routes

ACME = f"/api/v1/brands/{BRAND}"
PEOPLE = {"vera": Role.VIEWER, "olga": Role.OPERATOR, "omar": Role.OPERATOR, "ada": Role.ADMIN}


def clients_of(day: Day, folder: Path, **given: Any) -> tuple[Any, dict[str, Client]]:
    file, made = AccountsFile(folder / "accounts.json"), new_accounts()
    for name, role in PEOPLE.items():
        made = made.with_token(Token(name=name, role=role, sha256=hash_token(name), brands=(BRAND,)))
    file.write(made)
    app = make_app(day.room(accounts=file.path, **given), LADDER)
    return app, {name: Client(app, authorization=f"Bearer {name}") for name in PEOPLE}


@pytest.fixture
async def clients(day: Day, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[dict[str, Client]]:
    monkeypatch.setattr(routes, "_KEPT_SECONDS", 60.0)  # a busy machine is not a ClickHouse that is away
    app, made = clients_of(day, tmp_path)
    yield made
    await app.state.room.close()


@pytest.fixture(autouse=True)
def book(day: Day) -> Iterator[AlertBook]:
    """The engine's, empty before and after."""
    _forget(day)
    with opened(day.live().redis) as made:
        yield made
    _forget(day)


def _forget(day: Day) -> None:
    redis = day.live().redis
    client = redis.client()
    for key in client.scan_iter(f"{redis.prefix}:{{alerts}}:*"):
        client.delete(key)
    client.close()


def ids(answer: Any) -> list[str]:
    return [one["alert"]["alert_id"] for one in answer.json()["items"]]


async def test_alerts_are_found_by_what_is_open_by_period_and_by_promotion(clients: dict[str, Client], day: Day) -> None:
    vera = clients["vera"]
    whole = await vera.get(f"{ACME}/alerts")
    assert ids(whole) == ["open", "over"]
    assert [one["alert"]["state"] for one in whole.json()["items"]] == ["firing", "resolved"]
    assert (await vera.get(f"{ACME}/alerts", **{"if-none-match": whole.headers["etag"]})).status == 304
    assert ids(await vera.get(f"{ACME}/alerts?state=open")) == ["open"]
    now = await vera.get(f"{ACME}/open-alerts")
    assert (ids(now), now.json()["kept"], now.json()["more"]) == (["open"], True, 0)

    begin = from_rfc3339(day.alerts[0].since)
    over = from_rfc3339(day.alerts[3].at)
    for start, end, found in (
        (begin - HOUR_MS, begin, []),
        (begin, begin + MINUTE_MS, ["over"]),
        (over, over + MINUTE_MS, ["over"]),
        (over + MINUTE_MS, begin + HOUR_MS, []),
        (begin, begin + 2 * HOUR_MS, ["open", "over"]),
        (begin + 3 * HOUR_MS, begin + 4 * HOUR_MS, ["open"]),
    ):
        assert ids(await vera.get(f"{ACME}/alerts?from={to_rfc3339(start)}&to={to_rfc3339(end)}")) == found, (start - begin, end - begin)
    window = {"from": to_rfc3339(begin), "to": to_rfc3339(begin + 30 * MINUTE_MS)}
    made = {"definition": {**definition("alerted"), "window": window}, "because": "agreed"}
    assert (await clients["olga"].ask("POST", "/api/v1/promotions", made)).status == 201
    assert ids(await vera.get(f"{ACME}/alerts?promotion=alerted")) == ["over"]

    first = await vera.get(f"{ACME}/alerts?limit=1")
    second = await vera.get(f"{ACME}/alerts?limit=1&cursor={first.json()['next']}")
    assert (ids(first), ids(second), second.json()["next"]) == (["open"], ["over"], None)
    for wrong in ("promotion=none", "cursor=x", f"from={to_rfc3339(begin)}", "state=closed"):
        assert (await vera.get(f"{ACME}/alerts?{wrong}")).status in (400, 404, 422), wrong


async def test_an_alert_has_every_state_that_it_had(clients: dict[str, Client], day: Day) -> None:
    found = (await clients["vera"].get(f"{ACME}/alerts/over")).json()
    assert [msgspec.convert(one, Alert) for one in found["states"]] == [one for one in day.alerts if one.alert_id == "over"]
    assert (found["now"]["alert"], found["now"]["silence"]) == (found["states"][-1], None)
    for missing in ("nothing", "nova's"):
        assert (await clients["vera"].get(f"{ACME}/alerts/{missing}")).status == 404


async def test_an_alert_is_taken_on_by_one_person(clients: dict[str, Client], book: AlertBook) -> None:
    olga, omar, address = clients["olga"], clients["omar"], f"{ACME}/alerts/open/acknowledge"
    taken = await olga.ask("POST", address, {"note": "群码过期"})
    assert taken.status == 200
    told = taken.json()["alert"]["acknowledged"]
    assert (told["by"], told["note"]) == ("olga", "群码过期")
    assert (await olga.ask("POST", address, {})).json()["alert"]["acknowledged"] == told  # an answer that was lost
    late = await omar.ask("POST", address, {"note": "me"})
    assert (late.status, "olga has taken it on" in late.detail) == (409, True)
    over = await omar.ask("POST", f"{ACME}/alerts/over/acknowledge", {})
    assert (over.status, "it was over" in over.detail) == (409, True)
    assert (await omar.ask("POST", f"{ACME}/alerts/none/acknowledge", {})).status == 404
    for shown in ("open-alerts", "alerts?state=open"):
        (one,) = (await omar.get(f"{ACME}/{shown}")).json()["items"]
        assert one["alert"]["acknowledged"] == told
    entries = (await clients["ada"].get("/api/v1/audit?limit=5")).json()
    assert [(one["who"], one["action"], one["target"], one["detail"]) for one in entries] == [
        ("token:olga", "acknowledge alert", "acme open", "群码过期")
    ]

    # the engine is asked to tell it, and what it holds is ahead of ClickHouse
    (asked,) = book.asked()
    state, record = acknowledged(BrandState(brand=BRAND), asked)
    assert record is not None
    assert (record.state, record.version, record.acknowledged) == (AlertState.ACKNOWLEDGED, 2, asked.acknowledgement)
    held = telling_pipeline(BRAND, ["no worker"], None, from_rfc3339(record.at))
    assert book.save(0, msgspec.structs.replace(state, down=held), [record], ("open",))
    await asyncio.sleep(2.5)  # what was found before is told for two seconds
    assert ids(await omar.get(f"{ACME}/open-alerts")) == [held.alert_id, "open"]


async def test_while_clickhouse_is_away_what_the_engine_holds_is_told_and_can_be_taken_on(
    day: Day, book: AlertBook, tmp_path: Path
) -> None:
    away = day.live(clickhouse=ClickHouse(url="http://127.0.0.1:9", connect_timeout=1))
    app, made = clients_of(day, tmp_path, live=away)
    down = telling_pipeline(BRAND, ["no worker"], None, from_rfc3339(day.alerts[0].since))
    assert book.save(0, BrandState(brand=BRAND, down=down), [down])
    found = await made["vera"].get(f"{ACME}/open-alerts")
    assert (ids(found), found.json()["kept"]) == ([down.alert_id], False)
    taken = await made["olga"].ask("POST", f"{ACME}/alerts/{down.alert_id}/acknowledge", {})
    assert (taken.status, taken.json()["alert"]["acknowledged"]["by"]) == (200, "olga")
    (shown,) = (await made["vera"].get(f"{ACME}/open-alerts")).json()["items"]
    assert shown["alert"]["acknowledged"]["by"] == "olga"
    assert (await made["vera"].get(f"{ACME}/alerts")).status == 503
    await app.state.room.close()


async def test_silences_are_made_shown_with_what_they_hold_back_and_ended_early(clients: dict[str, Client], book: AlertBook) -> None:
    olga, vera = clients["olga"], clients["vera"]
    asked = {"minutes": 60, "because": "known", "flow": "R2>R3", "channel": "wecom"}
    made = await olga.ask("POST", f"{ACME}/silences", asked)
    assert made.status == 201
    silence = made.json()
    assert (silence["by"], silence["until"] - silence["created_at"]) == ("olga", HOUR_MS)
    assert [one.silence_id for one in book.silences()] == [silence["silence_id"]]  # the ways out read it there
    (shown,) = (await vera.get(f"{ACME}/open-alerts")).json()["items"]
    assert shown["silence"] == silence
    assert (await vera.get(f"{ACME}/silences")).json() == {"items": [silence]}
    target = f"{ACME}/silences/{silence['silence_id']}"
    assert (await vera.ask("DELETE", target)).status == 403
    assert [(await olga.ask("DELETE", target)).status for _ in range(2)] == [204, 404]
    (ended,) = (await vera.get(f"{ACME}/silences")).json()["items"]
    assert ended["ended_by"] == "olga"
    (shown,) = (await vera.get(f"{ACME}/open-alerts")).json()["items"]
    assert shown["silence"] is None
    for wrong in ({"minutes": 0}, {"because": " "}, {"flow": "R2-R3"}, {"minutes": 100_000}):
        assert (await olga.ask("POST", f"{ACME}/silences", asked | wrong)).status == 422, wrong
    entries = (await clients["ada"].get("/api/v1/audit?limit=5")).json()
    assert [(one["action"], one["detail"]) for one in entries if one["outcome"] == "done"] == [
        ("end silence", "olga: known"),
        ("silence alerts", "R2>R3 wecom, 60 min: known"),
    ]


async def test_the_timeline_tells_of_alerts_where_they_began(clients: dict[str, Client], day: Day) -> None:
    begin = from_rfc3339(day.alerts[0].since)
    span = f"from={to_rfc3339(begin)}&to={to_rfc3339(begin + 2 * HOUR_MS)}"
    marks = [one for one in (await clients["vera"].get(f"{ACME}/timeline?{span}")).json()["items"] if one["kind"] == "alert"]
    assert [(one["alert_id"], one["at"], one["over_at"]) for one in marks] == [
        ("over", begin, from_rfc3339(day.alerts[3].at)),
        ("open", begin + HOUR_MS, None),
    ]
    later = f"from={to_rfc3339(begin + MINUTE_MS)}&to={to_rfc3339(begin + HOUR_MS)}"
    assert "alert" not in {one["kind"] for one in (await clients["vera"].get(f"{ACME}/timeline?{later}")).json()["items"]}
