"""Promotions over HTTP: made once, changed by whoever knows the newest version, told on the topic."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.promotion import Promotion
from schemas.times import DAY_MS, to_rfc3339
from schemas.tokens import hash_token
from tests.asgi import Client
from tests.integration.warroom_world import BRAND, LADDER, Day
from warroom.auth.accounts import AccountsFile, Token, new_accounts
from warroom.auth.roles import Role
from warroom.promotions.book import connected
from warroom.promotions.definition import convert_definition
from warroom.web.app import make_app
from warroom.web.examples import EXAMPLES
from warroom.web.routes.promotions import NewPromotion

API = "/api/v1/promotions"
CHANGE = {"edits": ["R3/conversion_rate=9%"], "because": "it converts better"}


def definition(promotion_id: str, brand: str = BRAND) -> dict[str, Any]:
    return {**EXAMPLES[NewPromotion]["definition"], "promotion_id": promotion_id, "brand": brand}


@pytest.fixture
async def clients(day: Day, tmp_path: Path) -> AsyncIterator[dict[str, Client]]:
    """A viewer, an operator of the brand, and one of another."""
    file, made = AccountsFile(tmp_path / "accounts.json"), new_accounts()
    for name, role, brand in (("vera", Role.VIEWER, BRAND), ("olga", Role.OPERATOR, BRAND), ("nora", Role.OPERATOR, "nova")):
        made = made.with_token(Token(name=name, role=role, sha256=hash_token(name), brands=(brand,)))
    file.write(made)
    app = make_app(day.room(accounts=file.path), LADDER)
    yield {name: Client(app, authorization=f"Bearer {name}") for name in ("vera", "olga", "nora")}
    await app.state.room.close()


async def test_a_promotion_is_made_once_and_changed_on_its_newest_version(clients: dict[str, Client], day: Day) -> None:
    olga, vera, nora = clients["olga"], clients["vera"], clients["nora"]
    new = {"definition": definition("d11"), "because": "agreed"}
    made = await olga.ask("POST", API, new)
    assert (made.status, made.headers["etag"], made.headers["location"]) == (201, '"1"', f"{API}/d11")
    again = await olga.ask("POST", API, new)
    assert (again.status, "d11 exists: version 1, made by olga" in again.detail) == (409, True)

    changed = await olga.ask("PATCH", f"{API}/d11", CHANGE, {"if-match": '"1"'})
    assert (changed.status, changed.headers["etag"]) == (200, '"2"')
    assert msgspec.json.decode(changed.body, type=Promotion).target.layers[0].conversion_rate == 0.09
    late = await olga.ask("PATCH", f"{API}/d11", CHANGE, {"if-match": '"1"'})
    assert (late.status, late.headers["etag"], "expected version 1, found version 2" in late.detail) == (412, '"2"', True)
    blind = await olga.ask("PATCH", f"{API}/d11", CHANGE)
    assert (blind.status, "expected If-Match" in blind.detail) == (428, True)
    anew = {"definition": definition("d11") | {"name": "Double Eleven"}, "because": "the name"}
    replaced = await olga.ask("PUT", f"{API}/d11", anew, {"if-match": '"2"'})
    assert (replaced.status, replaced.json()["name"], replaced.json()["version"]) == (200, "Double Eleven", 3)

    read = await vera.get(f"{API}/d11")
    assert (read.json(), read.headers["etag"]) == (replaced.json(), '"3"')
    assert (await vera.get(f"{API}/d11", **{"if-none-match": '"3"'})).status == 304
    versions = (await vera.get(f"{API}/d11/versions")).json()["items"]
    assert [(one["version"], one["changed_by"], one["reason"]) for one in versions] == [
        (1, "olga", "agreed"),
        (2, "olga", "it converts better"),
        (3, "olga", "the name"),
    ]
    told = [msgspec.json.decode(m.value() or b"", type=Promotion) for m in day.deployment.read("promotions")]
    assert [one.version for one in told if one.promotion_id == "d11"] == [1, 2, 3]

    # who may not see the brand is told of nothing, and who may only look changes nothing
    assert "d11" in [one["promotion_id"] for one in (await vera.get(API)).json()["items"]]
    assert (await nora.get(API)).json() == {"items": []}
    for refused in (await nora.get(f"{API}/d11"), await nora.ask("PATCH", f"{API}/d11", CHANGE, {"if-match": '"3"'})):
        assert refused.status == 404
    assert (await nora.ask("POST", API, {"definition": definition("n1"), "because": "x"})).status == 403
    assert (await vera.ask("POST", API, new)).status == 403


async def test_a_plan_comes_from_a_file_or_is_kept_under_another_window(clients: dict[str, Client]) -> None:
    olga = clients["olga"]
    told = definition("p11") | {"window": {"from": "2099-11-10 20:00", "to": "2099-11-12 00:00"}, "phases": [], "plan": []}
    file = "minute,gmv\n240,150000\n1680,1000000\n"
    made = await olga.ask("POST", API, {"definition": told, "because": "agreed", "plan_file": file})
    assert (made.status, made.json()["plan"]) == (201, [[0, 0.0], [240, 0.15], [1680, 1.0]])
    # two hours earlier: in force from where it begins, and by as much of it the same is due
    earlier = told | {"window": {"from": "2099-11-10 18:00", "to": "2099-11-11 22:00"}}
    moved = await olga.ask("PUT", f"{API}/p11", {"definition": earlier, "because": "sooner", "plan_kept": True}, {"if-match": '"1"'})
    assert (moved.status, moved.json()["plan"]) == (200, made.json()["plan"])
    assert moved.json()["effective_from"] == moved.json()["window"]["from"] == "2099-11-10T10:00:00.000Z"
    longer = earlier | {"window": {"from": "2099-11-10 18:00", "to": "2099-11-13 02:00"}}
    stretched = await olga.ask("PUT", f"{API}/p11", {"definition": longer, "because": "longer", "plan_kept": True}, {"if-match": '"2"'})
    assert stretched.json()["plan"] == [[0, 0.0], [480, 0.15], [3360, 1.0]]
    for plan, status, said in (
        ({"plan_file": "minute,share\n0,0\n9,x\n"}, 400, "plan: line 3: expected a whole minute and a number, found '9,x'"),
        ({"plan_file": file, "plan_kept": True}, 400, "expected one of the definition's plan"),
        ({"plan_like": "none"}, 404, "expected a promotion that is there"),
    ):
        refused = await olga.ask("PUT", f"{API}/p11", {"definition": longer, "because": "no", **plan}, {"if-match": '"3"'})
        assert (refused.status, said in refused.detail) == (status, True), refused.body


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", "", {"definition": {}, "because": "x"}, 422, "missing required field `promotion_id`"),
        ("POST", "", {"definition": definition("d12"), "because": " "}, 422, r"$.because"),
        ("POST", "", {"definition": definition("d12") | {"surprise": 1}, "because": "x"}, 422, "surprise"),
        (
            "POST",
            "",
            {"definition": definition("d12") | {"window": {"from": "2026-11-12", "to": "2026-11-11"}}, "because": "x"},
            400,
            "`to` after",
        ),
        (
            "POST",
            "",
            {"definition": definition("d12") | {"target": {"owner": "lin"}}, "because": "x"},
            400,
            "expected either `layers` or `parts`",
        ),
        ("PATCH", "/none", CHANGE, 404, "expected a promotion that is there"),
        ("PUT", "/none", {"definition": definition("none"), "because": "x"}, 404, "expected a promotion that is there"),
    ],
)
async def test_what_is_no_promotion_is_told_why(
    clients: dict[str, Client], method: str, path: str, body: Any, status: int, said: str
) -> None:
    answer = await clients["olga"].ask(method, API + path, body, {"if-match": '"1"'})
    assert answer.status == status, answer.body
    assert said in answer.detail


async def test_how_a_promotion_stands_is_worked_out_once_for_all_who_look(day: Day, clients: dict[str, Client]) -> None:
    olga, vera, nora = clients["olga"], clients["vera"], clients["nora"]
    first = min(order.occurred_at for order in day.orders)
    window = {"from": to_rfc3339(first - first % DAY_MS), "to": to_rfc3339(first - first % DAY_MS + 2 * DAY_MS)}
    made = {"definition": {**definition("stood"), "window": window}, "because": "x"}
    assert (await olga.ask("POST", API, made)).status == 201
    path = f"{API}/stood"

    told = await asyncio.gather(*(vera.get(f"{path}/progress") for _ in range(20)))
    stands = told[0].json()
    assert {answer.body for answer in told} == {told[0].body}
    purchases = [order for order in day.orders if order.type == "purchase"]
    assert stands["gmv"]["actual"] == sum(order.amount for order in purchases)
    assert stands["orders"]["actual"] == len(purchases)
    assert (await vera.get(f"{path}/progress", **{"if-none-match": told[0].headers["etag"]})).status == 304

    lines = (await vera.get(f"{path}/pacing?step=60")).json()
    now = lines["at"].index(lines["now"])
    assert (lines["gmv"]["actual"][now], lines["orders"]["actual"][now]) == (stands["gmv"]["actual"], len(purchases))
    assert lines["gmv"]["planned"][-1] == stands["gmv"]["current"]

    # of an earlier window with the same clock times: the same orders, so many days before
    other = {"from": to_rfc3339(first - first % DAY_MS + 2 * DAY_MS), "to": to_rfc3339(first - first % DAY_MS + 4 * DAY_MS)}
    assert (await olga.ask("POST", API, {"definition": {**definition("later"), "window": other}, "because": "x"})).status == 201
    beside = (await vera.get(f"{API}/later/beside?step=30")).json()
    assert (beside["earlier_id"], sum(beside["earlier_gmv"]), sum(beside["gmv"])) == ("stood", stands["gmv"]["actual"], 0)
    assert beside == (await vera.get(f"{API}/later/beside?step=30&earlier=stood")).json()

    changed = await vera.ask("POST", f"{path}/what-if", {"edits": ["*/headcount=x2"]})
    assert (changed.status, changed.json()["target_after"]) == (200, 2 * stands["gmv"]["current"])
    wrong = await vera.ask("POST", f"{path}/what-if", {"edits": ["R9/headcount=1"]})
    assert (wrong.status, "expected a path that this promotion has" in wrong.detail) == (400, True)
    assert (await vera.get(path)).headers["etag"] == '"1"'  # nothing was saved

    for refused in (await nora.get(f"{path}/progress"), await nora.get(f"{API}/later/beside"), await vera.get(f"{API}/none/progress")):
        assert (refused.status, "expected a promotion that is there" in refused.detail) == (404, True)
    assert (await vera.get(f"{path}/progress?at=2026-02-30T00:00:00Z")).status == 400


async def test_what_was_saved_and_not_told_is_told_by_a_war_room_that_starts(day: Day) -> None:
    settings = day.live().redis
    app = make_app(day.room(), LADDER)
    desk = app.state.room.desk.desk
    made = desk.create(convert_definition(definition("orphan")), by="olga", because="agreed").promotion
    with connected(settings) as book:
        assert book.save(msgspec.structs.replace(made, version=2))  # and then whoever saved it is killed

    def told() -> list[int]:
        found = [msgspec.json.decode(m.value() or b"", type=Promotion) for m in day.deployment.read("promotions")]
        return [one.version for one in found if one.promotion_id == "orphan"]

    assert told() == [1]
    async with app.router.lifespan_context(app):
        async with asyncio.timeout(20):
            while max(told()) != 2:
                await asyncio.sleep(0.2)
