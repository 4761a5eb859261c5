"""Accounts, sessions, throttling, masks and the audit log, by a clock that the test turns."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest

from schemas.tokens import hash_token, new_token
from warroom.auth.accounts import (
    Accounts,
    AccountsError,
    AccountsFile,
    Token,
    User,
    decode_accounts,
    hash_password,
    new_accounts,
    password_fits,
)
from warroom.auth.audit import AuditLog
from warroom.auth.masking import Mask
from warroom.auth.roles import Principal, Role
from warroom.auth.sessions import SESSION_MS, Sessions
from warroom.auth.throttle import Buckets, LoginThrottle

PASSWORD = "correct horse battery"
ANN = User(name="ann", role=Role.VIEWER, password=hash_password(PASSWORD), brands=("acme",))
NOW = 1_794_355_200_000


@pytest.fixture
def accounts() -> Accounts:
    return new_accounts().with_user(ANN)


def test_a_role_may_what_those_below_it_may() -> None:
    assert [[one.may(other) for other in Role] for one in Role] == [[True, False, False], [True, True, False], [True, True, True]]
    assert Principal(name="x", role=Role.VIEWER, by="token").sees("acme")
    assert not Principal(name="x", role=Role.ADMIN, brands=("nova",), by="token").sees("acme")


def test_passwords_are_kept_as_argon2id_and_fit_one_user_alone() -> None:
    assert ANN.password.startswith("$argon2id$")
    assert password_fits(ANN, PASSWORD)
    assert not password_fits(ANN, PASSWORD + "x")
    assert not password_fits(None, PASSWORD)
    assert not password_fits(msgspec.structs.replace(ANN, password="no hash"), PASSWORD)
    with pytest.raises(AccountsError, match="expected a password of 12 to 1024 characters, found 5"):
        hash_password("short")


def test_the_file_is_its_owners_alone_and_is_read_again_when_it_changes(tmp_path: Path, accounts: Accounts) -> None:
    one, other = AccountsFile(tmp_path / "of" / "accounts.json"), AccountsFile(tmp_path / "of" / "accounts.json")
    with pytest.raises(AccountsError, match="expected a file of accounts"):
        one.read()
    one.write(accounts)
    assert stat.S_IMODE(one.path.stat().st_mode) == 0o600
    assert other.read() == accounts
    one.write(accounts.without_user("ann"))
    assert other.read().users == ()
    one.path.write_text('{"secret": "tell nobody"}')
    with pytest.raises(AccountsError) as refused:
        other.read()
    assert "tell nobody" not in str(refused.value)


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "../x", "安"])
def test_names_are_plain(name: str, accounts: Accounts) -> None:
    told = msgspec.to_builtins(accounts)
    told["users"][0]["name"] = name
    with pytest.raises(AccountsError, match="expected accounts"):
        decode_accounts(msgspec.json.encode(told), "here")


def test_tokens_are_kept_as_a_hash(accounts: Accounts) -> None:
    told = new_token()
    kept = accounts.with_token(Token(name="ci", role=Role.OPERATOR, sha256=hash_token(told)))
    assert told.encode() not in msgspec.json.encode(kept)
    found = kept.token(told)
    assert found is not None
    assert found.name == "ci"
    assert kept.token(told + "x") is kept.token("") is None
    with pytest.raises(AccountsError, match="expected one of the tokens ci, found 'ic'"):
        kept.without_token("ic")


def test_a_session_lasts_until_it_expires_or_is_closed_or_the_account_changes(accounts: Accounts) -> None:
    sessions = Sessions()
    cookie = sessions.open(accounts, ANN, NOW)
    assert sessions.user_of(accounts, cookie, NOW) == ANN
    assert sessions.user_of(accounts, cookie, NOW + SESSION_MS) is None
    promoted = accounts.with_user(msgspec.structs.replace(ANN, role=Role.ADMIN))
    assert sessions.user_of(promoted, cookie, NOW) is None
    assert (
        sessions.user_of(accounts.with_user(msgspec.structs.replace(ANN, password=hash_password("another " + PASSWORD))), cookie, NOW)
        is None
    )
    assert sessions.user_of(accounts.without_user("ann"), cookie, NOW) is None
    second = sessions.open(accounts, ANN, NOW)
    sessions.close(accounts, cookie, NOW)
    assert sessions.user_of(accounts, cookie, NOW) is None
    assert sessions.user_of(accounts, second, NOW) == ANN


@pytest.mark.parametrize("forged", ["", ".", "x", "a.b", "é.é", "AAAA.AAAA", "=.=", "eyJ9.\x00"])
def test_a_cookie_that_is_not_ours_is_nobodys(accounts: Accounts, forged: str) -> None:
    sessions = Sessions()
    assert sessions.user_of(accounts, forged, NOW) is None
    sessions.close(accounts, forged, NOW)
    body, _, signature = sessions.open(accounts, ANN, NOW).partition(".")
    assert sessions.user_of(accounts, f"{body[:-2]}AA.{signature}", NOW) is None
    assert sessions.user_of(accounts, f"{body}.{signature[:-3]}AAA", NOW) is None
    assert Sessions().user_of(new_accounts().with_user(ANN), f"{body}.{signature}", NOW) is None


def test_a_bucket_refills_and_says_how_long_to_wait() -> None:
    buckets = Buckets(rate=2.0, burst=3)
    assert [buckets.take("a", 0.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b", 0.0) == 0
    assert buckets.take("a", 0.5) == 0
    assert buckets.wait("a", 0.5) == 0.5
    assert [buckets.take("a", 100.0) for _ in range(4)] == [0, 0, 0, 0.5]


def test_buckets_are_bounded() -> None:
    buckets = Buckets(rate=1.0, burst=1)
    for i in range(20_000):
        buckets.take(str(i), 0.0)
    assert len(buckets._kept) == 10_000


def test_failed_logins_slow_down_the_user_and_the_address() -> None:
    throttle = LoginThrottle()
    for _ in range(5):
        assert throttle.wait("ann", "10.0.0.1", 0.0) == 0
        throttle.failed("ann", "10.0.0.1", 0.0)
    assert throttle.wait("ann", "10.0.0.2", 0.0) == 30
    assert throttle.wait("bob", "10.0.0.1", 0.0) == 0
    for i in range(15):
        throttle.failed(f"u{i}", "10.0.0.1", 0.0)
    assert throttle.wait("bob", "10.0.0.1", 0.0) == 5
    throttle.succeeded("ann")
    assert throttle.wait("ann", "10.0.0.2", 0.0) == 0


def test_a_mask_is_the_same_for_the_same_user_and_secret() -> None:
    mask, other = Mask("s" * 32), Mask("t" * 32)
    assert mask("u1") == mask("u1")
    assert len({mask("u1"), mask("u2"), other("u1"), "u1"}) == 4
    assert mask("u1").startswith("~")


def test_the_audit_log_is_appended_to_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    for action in ("login", "export"):
        AuditLog(path).write(NOW, who="ann", role="viewer", address="::1", action=action, target="acme", outcome="done")
    with path.open("ab") as file:
        file.write(b'{"cut off')
    again = AuditLog(path)
    assert [entry.action for entry in again.latest(10)] == ["export", "login"]
    again.write(NOW, who="bob", role="admin", address="::1", action="logout", target="", outcome="done")
    assert [entry.action for entry in AuditLog(path).latest(10)] == ["logout", "export", "login"]
    assert again.latest(1)[0].at == "2026-11-11T00:00:00.000Z"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    AuditLog(None).write(NOW, who="local", role="admin", address="::1", action="x", target="", outcome="refused")
