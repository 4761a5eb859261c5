"""Signing in by way of an OpenID provider: who it vouches for gets in with their role, and nothing that is not in order does."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.asgi import Answer, Client
from tests.oidc_provider import CLIENT_ID, CLIENT_SECRET, Provider, forged_key, secret_as_key
from tests.unit.warroom.test_permissions import LADDER, NOWHERE, PASSWORD, accounts
from warroom.auth.accounts import AccountsFile
from warroom.auth.oidc import OidcConfig
from warroom.auth.roles import Role
from warroom.web.app import make_app
from warroom.web.room import RoomConfig

START = "/api/v1/session/oidc"
ROLES = {"crm-view": Role.VIEWER, "crm-ops": Role.OPERATOR}


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    with Provider() as made:
        yield made


@pytest.fixture
def provider(running: Provider) -> Iterator[Provider]:
    """As it was made, whatever a test made of it."""
    before = dict(vars(running))
    vars(running).update({name: dict(before[name]) for name in ("claims", "header", "described")})
    yield running
    vars(running).update(before)


class World:
    """A war room with the provider, open to others; `now` can be moved."""

    def __init__(self, provider: Provider, audit: Path, **given: Any) -> None:
        values: dict[str, Any] = {"issuer": provider.issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "roles": ROLES}
        self.now = time.time_ns() // 1_000_000
        room: dict[str, Any] = {name: given.pop(name) for name in ("accounts",) if name in given}
        oidc = OidcConfig(**{**values, **given})
        config = RoomConfig(live=NOWHERE, loopback=False, oidc=oidc, audit=audit, now=lambda: self.now, **room)
        self.app = make_app(config, LADDER)
        self.audit = audit

    async def leave(self, to: str = "") -> tuple[str, str]:
        """Where the browser is sent, and the cookie that it keeps meanwhile."""
        answer = await Client(self.app).get(f"{START}{to}")
        assert answer.status == 303, answer.body
        return answer.headers["location"], answer.cookies[0].partition(";")[0]

    async def come_back(self, address: str, cookie: str, **headers: str) -> Answer:
        return await Client(self.app, cookie=cookie, **headers).get(address.partition(":8600")[2])

    def told(self) -> list[tuple[str, str, str]]:
        return [(one["who"], one["outcome"], one["detail"]) for one in map(orjson.loads, self.audit.read_bytes().splitlines())]


@pytest.fixture
async def world(provider: Provider, tmp_path: Path) -> AsyncIterator[World]:
    made = World(provider, tmp_path / "audit.jsonl")
    yield made
    await made.app.state.room.close()


def session_of(answer: Answer) -> str:
    return next(one for one in answer.cookies if one.startswith("rflow_session=")).partition(";")[0]


async def test_who_the_provider_vouches_for_gets_in_with_their_role(world: World, provider: Provider) -> None:
    assert (await Client(world.app).get("/api/v1/session/ways")).json() == {"password": False, "oidc": START, "label": None}
    away, cookie = await world.leave("?back=/wall?brand%3Dacme")
    answer = await world.come_back(provider.authorize(away), cookie)
    assert answer.status == 200
    onward = re.search(r'content="0;url=([^"]+)"', answer.body.decode())
    assert onward is not None
    assert unescape(onward[1]) == "/wall?brand=acme"
    attributes = next(one for one in answer.cookies if one.startswith("rflow_session=")).lower()
    assert all(part in attributes for part in ("httponly", "samesite=strict", "secure", "path=/"))
    assert [one for one in answer.cookies if one.startswith("rflow_oidc=") and "max-age=0" in one.lower()]

    browser = Client(world.app, cookie=session_of(answer), origin="http://127.0.0.1:8600")
    assert (await browser.get("/api/v1/session")).json() == {"name": "lin", "role": "operator", "brands": None, "by": "session"}
    assert (await browser.get("/api/v1/audit")).status == 403
    assert ("session:lin", "done", f"by {provider.issuer}") in world.told()
    # another process of the same deployment knows the session; one with another mapping of roles does not
    other = World(provider, world.audit)
    assert (await Client(other.app, cookie=session_of(answer)).get("/api/v1/session")).status == 200
    stricter = World(provider, world.audit, roles={"crm-view": Role.VIEWER})
    assert (await Client(stricter.app, cookie=session_of(answer)).get("/api/v1/session")).status == 401
    assert (await browser.ask("DELETE", "/api/v1/session")).status == 204
    assert (await browser.get("/api/v1/session")).status == 401
    world.now += 13 * 3_600_000
    assert (await Client(world.app, cookie=session_of(answer)).get("/api/v1/session")).status == 401


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "nonce": ({"nonce": "another"}, "nonce"),
    "no nonce": ({"nonce": None}, "nonce"),
    "audience": ({"aud": "another client"}, "aud"),
    "several audiences": ({"aud": [CLIENT_ID, "another"]}, "azp"),
    "issuer": ({"iss": "https://elsewhere.example"}, "iss"),
    "expired": ({"exp": int(time.time()) - 3_600}, "expired"),
    "no expiry": ({"exp": None}, "exp"),
    "not yet": ({"nbf": int(time.time()) + 3_600}, "not yet valid"),
    "another's access token": ({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, "at_hash"),
    "no role": ({"roles": ["finance"]}, "none of the roles crm-ops, crm-view"),
    "no claim with roles": ({"roles": None}, "none of the roles"),
    "a name to deceive": ({"preferred_username": "lin\u202enimda"}, "a name of up to 64"),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_token_that_is_not_in_order_lets_nobody_in(world: World, provider: Provider, wrong: str) -> None:
    claims, said = WRONG[wrong]
    provider.claims = {**provider.claims, **claims}
    away, cookie = await world.leave()
    answer = await world.come_back(provider.authorize(away), cookie)
    assert answer.status == 403
    assert not [one for one in answer.cookies if one.startswith("rflow_session")]
    assert answer.detail == "expected a sign-in that was begun here, and a role for it; the audit log says what was missing"
    who, outcome, detail = world.told()[-1]
    assert (who, outcome) == ("session:nobody", "failed")
    assert said in detail


@pytest.mark.parametrize("how", ["another key", "our own secret", "none"])
async def test_a_signature_that_is_not_the_providers_lets_nobody_in(world: World, provider: Provider, how: str) -> None:
    if how == "another key":
        provider.signing = forged_key()
    elif how == "our own secret":
        provider.signing, provider.header = secret_as_key(), {"alg": "HS256", "kid": "one"}
    else:
        provider.header = {"alg": "none"}
    away, cookie = await world.leave()
    assert (await world.come_back(provider.authorize(away), cookie)).status == 403
    assert "the id_token is refused" in world.told()[-1][2]


async def test_an_unknown_key_is_looked_for_once_and_refused(world: World, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    for status in (200, 403, 403):
        away, cookie = await world.leave()
        assert (await world.come_back(provider.authorize(away), cookie)).status == status
        provider.signing, provider.header = forged_key(), {"alg": "RS256", "kid": "unknown"}
    read = provider.asked.count("/keys")
    # a key that the provider has begun to use is found, at most every ten seconds
    monkeypatch.setattr("warroom.auth.oidc._KEYS_AGAIN_SECONDS", 0.0)
    provider.signing = None
    provider.rotate("two")
    away, cookie = await world.leave()
    assert (await world.come_back(provider.authorize(away), cookie)).status == 200
    assert provider.asked.count("/keys") == read + 1


async def test_only_the_browser_that_left_comes_back_and_only_once(world: World, provider: Provider) -> None:
    away, cookie = await world.leave()
    back = provider.authorize(away)
    other_away, other_cookie = await world.leave()
    for wrong in ("", other_cookie, f"{cookie}x"):
        assert (await world.come_back(back, wrong)).status == 403
    assert (await world.come_back(re.sub(r"state=[^&]+", "state=guess", back), cookie)).status == 403
    refused = await world.come_back("http://127.0.0.1:8600/api/v1/session/oidc/callback?error=access_denied", cookie, accept="text/html")
    assert (refused.status, b"access_denied" in refused.body, "登录未成功" in refused.body.decode()) == (403, False, True)
    assert (await world.come_back(back, cookie)).status == 200
    assert (await world.come_back(back, cookie)).status == 403  # the provider gives tokens for a code once
    world.now += 11 * 60_000
    assert (await world.come_back(provider.authorize(other_away), other_cookie)).status == 403
    assert "took too long" in world.told()[-1][2]


async def test_brands_come_from_a_claim_and_roles_from_deep_within(provider: Provider, tmp_path: Path) -> None:
    world = World(provider, tmp_path / "audit", role_claim="realm_access.roles", brands_claim="https://acme.example/brands")
    provider.claims = {"realm_access": {"roles": ["crm-view", "crm-ops"]}, "https://acme.example/brands": ["acme"], "sub": "u-7"}
    away, cookie = await world.leave()
    answer = await world.come_back(provider.authorize(away), cookie)
    told = (await Client(world.app, cookie=session_of(answer)).get("/api/v1/session")).json()
    assert told == {"name": "u-7", "role": "operator", "brands": ["acme"], "by": "session"}
    provider.claims.pop("https://acme.example/brands")
    away, cookie = await world.leave()
    assert (await world.come_back(provider.authorize(away), cookie)).status == 403
    await world.app.state.room.close()


@pytest.mark.parametrize("to", ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "/a b"])
async def test_nobody_is_sent_elsewhere(world: World, to: str) -> None:
    assert (await Client(world.app).get(f"{START}?back={to}")).status == 422


async def test_a_provider_that_is_away_or_another_is_told(world: World, provider: Provider) -> None:
    provider.described["issuer"] = "https://elsewhere.example"
    answer = await Client(world.app).get(START)
    assert (answer.status, "does not answer as one" in answer.detail) == (503, True)
    provider.described |= {"issuer": provider.issuer, "token_endpoint": "http://elsewhere.example/token"}
    assert (await Client(world.app).get(START)).status == 503


async def test_passwords_go_on_beside_it(provider: Provider, tmp_path: Path) -> None:
    file = AccountsFile(tmp_path / "accounts.json")
    file.write(accounts())
    world = World(provider, tmp_path / "audit", accounts=file.path)
    assert (await Client(world.app).get("/api/v1/session/ways")).json()["password"]
    own = Client(world.app, origin="http://127.0.0.1:8600")
    answer = await own.ask("POST", "/api/v1/session", {"user": "admin", "password": PASSWORD})
    assert (await Client(world.app, cookie=session_of(answer)).get("/api/v1/session")).json()["role"] == "admin"
    away, cookie = await world.leave()
    guest = await world.come_back(provider.authorize(away), cookie)
    assert (await Client(world.app, cookie=session_of(guest)).get("/api/v1/session")).json()["name"] == "lin"
    await world.app.state.room.close()
