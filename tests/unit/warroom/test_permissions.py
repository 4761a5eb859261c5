"""Who may do what: every role against every endpoint, and whatever gets in without being asked. No server is needed to be refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.ladder_file import load_ladder
from schemas.tokens import hash_token, new_token
from sinks.config import ClickHouse
from tests.asgi import Answer, Client
from warroom.auth.accounts import Accounts, AccountsFile, Token, User, hash_password, new_accounts
from warroom.auth.roles import Role
from warroom.live.live import LiveConfig
from warroom.states import RedisConfig
from warroom.web.app import make_app
from warroom.web.endpoints import ENDPOINTS, Endpoint
from warroom.web.headers import HEADERS
from warroom.web.room import RoomConfig

LADDER = load_ladder("5r")
PASSWORD = "correct horse battery"
HASH = hash_password(PASSWORD)
NOW = 1_794_355_200_000
TOKENS = {role: new_token() for role in Role}
ORIGIN = "http://127.0.0.1:8600"
NOWHERE = LiveConfig(
    clickhouse=ClickHouse(url="http://127.0.0.1:9", connect_timeout=1),
    redis=RedisConfig(url="redis://127.0.0.1:9/0"),
    kafka={"bootstrap.servers": "127.0.0.1:9", "log_level": 0},
    topic_prefix="",
    partitions=4,
)
EXPECTED = {
    "openapi": None,
    "docs": None,
    "sign_in": None,
    "ways": None,
    "oidc_start": None,
    "oidc_callback": None,
    "show_session": Role.VIEWER,
    "sign_out": Role.VIEWER,
    "health": Role.VIEWER,
    "brands": Role.VIEWER,
    "brand": Role.VIEWER,
    "snapshot": Role.VIEWER,
    "live": Role.VIEWER,
    "live_transitions": Role.VIEWER,
    "scaling": Role.VIEWER,
    "triangulating": Role.VIEWER,
    "activating": Role.VIEWER,
    "returning": Role.VIEWER,
    "flows": Role.VIEWER,
    "census": Role.VIEWER,
    "ledger": Role.VIEWER,
    "orders": Role.VIEWER,
    "transitions": Role.VIEWER,
    "user": Role.OPERATOR,
    "history": Role.OPERATOR,
    "audience": Role.OPERATOR,
    "suppression": Role.OPERATOR,
    "layers": Role.OPERATOR,
    "promotions": Role.VIEWER,
    "promotion": Role.VIEWER,
    "promotion_versions": Role.VIEWER,
    "create_promotion": Role.OPERATOR,
    "replace_promotion": Role.OPERATOR,
    "adjust_promotion": Role.OPERATOR,
    "compare": Role.VIEWER,
    "labels": Role.VIEWER,
    "steps": Role.VIEWER,
    "timeline": Role.VIEWER,
    "write_note": Role.OPERATOR,
    "remove_note": Role.OPERATOR,
    "open_alerts": Role.VIEWER,
    "alerts": Role.VIEWER,
    "alert": Role.VIEWER,
    "acknowledge_alert": Role.OPERATOR,
    "silences": Role.VIEWER,
    "create_silence": Role.OPERATOR,
    "end_silence": Role.OPERATOR,
    "progress": Role.VIEWER,
    "pacing": Role.VIEWER,
    "beside": Role.VIEWER,
    "report": Role.VIEWER,
    "what_if": Role.VIEWER,
    "audit": Role.ADMIN,
}
"""Written out once more: a change of who may do what is a decision, and not a slip in a table."""


def accounts() -> Accounts:
    made = new_accounts()
    for role in Role:
        made = made.with_user(User(name=role.value, role=role, password=HASH)).with_token(
            Token(name=role.value, role=role, sha256=hash_token(TOKENS[role]))
        )
    return made.with_token(Token(name="old", role=Role.ADMIN, sha256=hash_token("rflow_old"), expires_at=NOW))


class World:
    """An application with accounts, and a file of them that can be changed."""

    def __init__(self, folder: Path, **given: Any) -> None:
        self.file = AccountsFile(folder / "accounts.json")
        self.file.write(accounts())
        config: dict[str, Any] = {"accounts": self.file.path, "loopback": False, "audit": folder / "audit.jsonl", "now": lambda: NOW}
        self.app = make_app(RoomConfig(live=NOWHERE, **{**config, **given}), LADDER)

    def client(self, role: Role | None = None, **more: str) -> Client:
        return Client(self.app, **({"authorization": f"Bearer {TOKENS[role]}"} if role else {}), **more)

    async def sign_in(self, role: Role, **more: str) -> tuple[Answer, Client]:
        """Signed in with a browser on the war room's own page."""
        answer = await Client(self.app, origin=ORIGIN).ask("POST", "/api/v1/session", {"user": role.value, "password": PASSWORD})
        cookie = answer.cookies[0].partition(";")[0] if answer.cookies else ""
        return answer, Client(self.app, cookie=cookie, **more)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    yield made
    await made.app.state.room.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> World:
    """For tests that change nothing."""
    return World(tmp_path_factory.mktemp("shared"), rate=1e6, burst=1e6)


@pytest.fixture
async def open_app() -> AsyncIterator[Any]:
    app = make_app(RoomConfig(live=NOWHERE), LADDER)
    yield app
    await app.state.room.close()


def target(endpoint: Endpoint) -> str:
    ids = {"note_id": "0" * 16, "silence_id": "0" * 16, "alert_id": "a1"}
    return endpoint.path.format(**ids, brand="acme", user_id="u1", layer="R3", promotion_id="d11")


def test_the_table_is_as_decided() -> None:
    assert {endpoint.name: endpoint.role for endpoint in ENDPOINTS} == EXPECTED
    assert len({(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}) == len(ENDPOINTS)


@pytest.mark.parametrize("role", [None, *Role])
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
async def test_every_role_at_every_endpoint(shared: World, endpoint: Endpoint, role: Role | None) -> None:
    answer = await shared.client(role).ask(endpoint.method, target(endpoint))
    needed = EXPECTED[endpoint.name]
    if needed is not None and role is None:
        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert "sign in" in answer.detail
    elif needed is not None and role is not None and not role.may(needed):
        assert answer.status == 403
        assert f"expected the role {needed.value}" in answer.detail
    else:
        assert answer.status not in (401, 403) or (endpoint.name == "sign_in" and "Origin" in answer.detail)
    assert {name: answer.headers[name.lower()] for name in HEADERS} == HEADERS


NO_TOKENS = ["Bearer rflow_wrong", "Bearer rflow_old", "Bearer", "Basic YTpi", f"Basic {TOKENS[Role.ADMIN]}", ""]


@pytest.mark.parametrize("presented", NO_TOKENS, ids=range(len(NO_TOKENS)))
async def test_what_is_no_token_lets_nobody_in(shared: World, presented: str) -> None:
    assert (await Client(shared.app, authorization=presented).get("/api/v1/session")).status == 401


async def test_a_refusal_is_on_record(world: World) -> None:
    await world.client(Role.VIEWER, address="10.1.2.3").get("/api/v1/audit")
    found = (await world.client(Role.ADMIN).get("/api/v1/audit")).json()
    assert [(e["who"], e["action"], e["outcome"], e["address"]) for e in found] == [("token:viewer", "audit", "refused", "10.1.2.3")]


async def test_a_session_lets_in_until_it_is_closed(world: World) -> None:
    answer, browser = await world.sign_in(Role.OPERATOR, origin=ORIGIN)
    assert answer.json() == {"name": "operator", "role": "operator", "brands": None, "by": "session"}
    attributes = {part.strip().lower() for part in answer.cookies[0].split(";")[1:]}
    assert {"httponly", "samesite=strict", "secure", "path=/"} <= attributes
    assert (await browser.get("/api/v1/session")).json()["name"] == "operator"
    assert (await browser.ask("DELETE", "/api/v1/session")).status == 204
    assert (await browser.get("/api/v1/session")).status == 401


async def test_a_change_of_the_account_ends_its_sessions(world: World) -> None:
    _, browser = await world.sign_in(Role.ADMIN)
    assert (await browser.get("/api/v1/audit")).status == 200
    admin = world.file.read().user("admin")
    assert admin is not None
    world.file.write(world.file.read().with_user(msgspec.structs.replace(admin, role=Role.VIEWER)))
    assert (await browser.get("/api/v1/session")).status == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": ORIGIN}, 204),
        ({"origin": ORIGIN, "sec-fetch-site": "same-origin"}, 204),
        ({"sec-fetch-site": "same-origin"}, 204),
        ({}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "https://127.0.0.1:8600"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"origin": ORIGIN, "sec-fetch-site": "same-site"}, 403),
    ],
)
async def test_no_other_site_makes_a_browser_change_anything(world: World, headers: dict[str, str], status: int) -> None:
    _, browser = await world.sign_in(Role.VIEWER)
    assert (await browser.ask("DELETE", "/api/v1/session", headers=headers)).status == status


async def test_wrong_passwords_slow_down_the_one_they_are_tried_on(world: World) -> None:
    client = Client(world.app, origin=ORIGIN, address="10.0.0.9")
    wrong = {"user": "viewer", "password": "wrong"}
    told = [await client.ask("POST", "/api/v1/session", wrong) for _ in range(6)]
    assert [answer.status for answer in told] == [401] * 5 + [429]
    assert 1 <= int(told[-1].headers["retry-after"]) <= 30
    # also the right password has to wait, from wherever it comes; others do not
    assert (await world.sign_in(Role.VIEWER))[0].status == 429
    assert (await world.sign_in(Role.ADMIN))[0].status == 200
    unknown = await client.ask("POST", "/api/v1/session", {"user": "nobody", "password": "wrong"})
    assert (unknown.status, unknown.json()) == (401, told[0].json())


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{}", "application/json", 422),
        (b"[", "application/json", 422),
        (b'{"user": "ann", "password": "x", "role": "admin"}', "application/json", 422),
        (b'{"user": 1, "password": "x"}', "application/json", 422),
        (b"user=ann&password=x", "application/x-www-form-urlencoded", 415),
        (b'{"user": "ann", "password": "%s"}' % (b"x" * 5000), "application/json", 413),
    ],
)
async def test_signing_in_takes_a_small_json_document(shared: World, body: bytes, content_type: str, status: int) -> None:
    answer = await Client(shared.app, origin=ORIGIN).ask("POST", "/api/v1/session", body, {"content-type": content_type})
    assert answer.status == status
    assert answer.detail


async def test_accounts_that_cannot_be_read_let_nobody_in(world: World) -> None:
    world.file.path.write_text("{")
    answer = await world.client(Role.ADMIN).get("/api/v1/session")
    assert (answer.status, "accounts" in answer.detail) == (503, True)


async def test_one_who_asks_too_often_waits_and_others_do_not(tmp_path: Path) -> None:
    world = World(tmp_path, rate=0.5, burst=3)
    told = [await world.client(Role.VIEWER).get("/api/v1/session") for _ in range(4)]
    assert [answer.status for answer in told] == [200, 200, 200, 429]
    assert told[-1].headers["retry-after"] == "2"
    assert (await world.client(Role.ADMIN).get("/api/v1/session")).status == 200
    await world.app.state.room.close()


async def test_without_accounts_everybody_on_this_machine_is_an_admin(open_app: Any) -> None:
    assert (await Client(open_app).get("/api/v1/session")).json() == {"name": "local", "role": "admin", "brands": None, "by": "local"}
    assert (await Client(open_app, host="localhost:8600").get("/api/v1/audit")).status == 200
    assert (await Client(open_app, host="[::1]:8600").get("/api/v1/audit")).status == 200
    assert (await Client(open_app).ask("DELETE", "/api/v1/session")).status == 204


@pytest.mark.parametrize("headers", [{"host": "evil.example:8600"}, {"host": "10.0.0.1"}])
async def test_a_name_that_was_made_to_lead_here_is_not_at_home(open_app: Any, headers: dict[str, str]) -> None:
    assert (await Client(open_app, **headers).get("/api/v1/session")).status == 403


async def test_another_site_cannot_use_a_browser_on_this_machine(open_app: Any) -> None:
    answer = await Client(open_app, origin="http://evil.example").ask("DELETE", "/api/v1/session")
    assert answer.status == 403


def test_an_address_open_to_others_needs_accounts() -> None:
    with pytest.raises(ValueError, match="expected a file of accounts, or a loopback address"):
        make_app(RoomConfig(live=NOWHERE, loopback=False), LADDER)


async def test_errors_of_every_kind_are_problems(shared: World) -> None:
    client = shared.client(Role.ADMIN)
    assert (await client.get("/nowhere")).detail == "there is nothing at /nowhere"
    wrong_method = await client.ask("PUT", "/api/v1/brands")
    assert (wrong_method.status, wrong_method.headers["allow"]) == (405, "GET")
    assert "PUT" in wrong_method.detail
    assert (await client.ask("PUT", "/api/v1/session")).headers["allow"] == "DELETE, GET, POST"
    invalid = await client.get("/api/v1/brands/acme/orders?limit=0")
    assert invalid.status == 422
    assert [error["where"] for error in invalid.json()["errors"]] == ["query.from", "query.to", "query.limit"]
    away = await client.get("/api/v1/brands/acme/census")
    assert (away.status, away.headers["retry-after"], "Redis does not answer" in away.detail) == (503, "2", True)


async def test_the_document_describes_every_endpoint_with_its_role(shared: World) -> None:
    told = (await Client(shared.app).get("/api/v1/openapi.json")).json()
    described = {
        (method.upper(), path): operation.get("x-role")
        for path, operations in told["paths"].items()
        for method, operation in operations.items()
    }
    assert described == {(e.method, e.path): e.role.value if e.role else None for e in ENDPOINTS}
    page = await Client(shared.app).get("/api/v1/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert b"<script" not in page.body
    assert all(e.path.encode() in page.body for e in ENDPOINTS)
