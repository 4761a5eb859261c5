"""Logins: secrets from files, what is refused before anything is connected to, and nothing of a secret where it can be read."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from deploy.processes.warroom import oidc_of
from deploy.security.secret import SecretFile, SecretUnreadable
from deploy.settings import SECRETS, SettingsError, load_settings
from deploy.wiring import clickhouse_of, redis_of
from schemas.kafka_client import LOGIN, AdminClient, Consumer, Login, Producer
from streams.member_auth import member_auth

SECRET = "hunter2-very-secret"
SCRAM: dict[str, Any] = {"security.protocol": "sasl_ssl", "sasl.mechanism": "SCRAM-SHA-512"}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("RFLOW_"):
            monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    return path


def mistakes(**given: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(**given)
    return str(caught.value).splitlines()


def test_a_secret_is_what_its_file_says_now(file: Path) -> None:
    secret = SecretFile(file)
    assert secret() == SECRET
    file.write_text("the next one")
    assert secret() == "the next one"


def test_a_file_that_is_being_exchanged_leaves_the_secret_in_force(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    secret = SecretFile(file)
    file.write_text("")
    assert [secret(), secret()] == [SECRET, SECRET]
    file.unlink()
    assert secret() == SECRET
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2, "each trouble is told once"
    assert SECRET not in "".join(told)


@pytest.mark.parametrize(("content", "expected"), [(b"", "empty"), (b"\n", "empty"), (b"\xff\xfe", "UTF-8"), (b"x" * 70_000, "bytes")])
def test_what_is_no_secret_is_told_by_the_setting_that_names_the_file(file: Path, content: bytes, expected: str) -> None:
    file.write_bytes(content)
    (line,) = mistakes(redis_password_file=str(file))
    assert line.startswith("redis_password_file:")
    assert expected in line
    with pytest.raises(SecretUnreadable, match="No such file"):
        SecretFile(file.with_name("none"))


@pytest.mark.parametrize("name", SECRETS)
def test_every_secret_is_taken_from_a_file_and_from_one_place_alone(name: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    login = {"kafka": SCRAM, "kafka_user": "ann"} if name == "kafka_password" else {}
    tell = load_settings(**{f"{name}_file": str(file)}, **login).secret(name)
    assert tell is not None
    assert tell() == SECRET
    monkeypatch.setenv(f"RFLOW_{name.upper()}", SECRET)
    (line,) = mistakes(**{f"{name}_file": str(file)}, **login)
    assert line == f"{name}_file: expected the secret in one place, found {name} too"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"kafka": {"security.protocol": "tls"}}, "kafka.security.protocol: expected one of plaintext, ssl, sasl_plaintext, sasl_ssl"),
        ({"kafka": {**SCRAM, "sasl.mechanism": "GSSAPI"}}, "kafka.sasl.mechanism: expected one of PLAIN, SCRAM-SHA-256"),
        ({"kafka": {"security.protocol": "sasl_ssl"}}, "kafka.sasl.mechanism: expected one of"),
        ({"kafka": SCRAM}, "kafka_user: expected a user and kafka_password or kafka_password_file"),
        ({"kafka": SCRAM, "kafka_user": "ann"}, "kafka_user: expected a user and kafka_password or kafka_password_file"),
        ({"kafka": {"sasl.mechanism": "PLAIN"}}, "kafka.security.protocol: expected sasl_ssl"),
        ({"kafka": {"ssl.ca.location": "/none"}}, "kafka.ssl.ca.location: expected a file, found none at /none"),
        ({"kafka": {"ssl.key.pem": SECRET}}, "kafka.ssl.key.pem: expected ssl.key.location"),
        ({"kafka": {**SCRAM, "sasl.mechanism": "OAUTHBEARER"}}, "kafka_user: expected the client's id"),
        (
            {"kafka": {**SCRAM, "sasl.mechanism": "OAUTHBEARER"}, "kafka_user": "a", "kafka_password": SECRET},
            "kafka.sasl.oauthbearer.token.endpoint.url: expected the https address",
        ),
        ({"redis": {"ssl_ca_certs": "/etc/passwd"}}, "redis.ssl_ca_certs: expected redis_url to begin with rediss://"),
        ({"redis_url": "rediss://h", "redis": {"ssl_keyfile": "/none"}}, "redis.ssl_keyfile: expected a file"),
        ({"redis_url": f"redis://ann:{SECRET}@h", "redis_password": SECRET}, "redis_password: expected user and password in one place"),
        ({"clickhouse": {"ca": "/etc/passwd"}, "clickhouse_url": "https://h"}, "clickhouse.ca: expected one of ca_cert"),
        ({"clickhouse": {"ca_cert": "/none"}, "clickhouse_url": "https://h"}, "clickhouse.ca_cert: expected a file"),
        ({"clickhouse": {"ca_cert": "/etc/passwd"}}, "clickhouse.ca_cert: expected clickhouse_url to begin with https://"),
        ({"clickhouse_url": f"https://a:{SECRET}@h", "clickhouse_password": SECRET}, "clickhouse_password: expected user and password in"),
    ],
)
def test_a_login_that_cannot_work_is_refused_in_words(given: dict[str, Any], expected: str) -> None:
    found = mistakes(**given)
    assert len(found) == 1
    assert found[0].startswith(expected)
    assert SECRET not in found[0]


def test_no_secret_is_in_what_settings_and_what_is_made_of_them_show(file: Path) -> None:
    secrets = {f"{name}_file": str(file) for name in SECRETS}
    oidc = {"warroom_oidc_issuer": "https://login.example", "warroom_oidc_client_id": "rflow", "warroom_oidc_roles": {"all": "viewer"}}
    by_file = load_settings(kafka=SCRAM, kafka_user="ann", **secrets, **oidc)
    by_value = load_settings(kafka=SCRAM, kafka_user="ann", **dict.fromkeys(SECRETS, SECRET), **oidc)
    for settings in (by_file, by_value):
        made = [clickhouse_of(settings), redis_of(settings), oidc_of(settings), settings, settings.shown(), settings.model_dump()]
        assert SECRET not in " ".join(map(repr, made)) + str(made)
        provider = redis_of(settings).options["credential_provider"]
        assert provider.get_credentials() == (SECRET,)
        password = clickhouse_of(settings).password
        assert password is not None
        assert password() == SECRET
        oidc_config = oidc_of(settings)
        assert oidc_config is not None
        assert oidc_config.client_secret == SECRET
    assert SECRET not in repr(by_file.kafka_client())


def test_clients_are_told_a_new_password_while_they_live(file: Path) -> None:
    options = {**load_settings(kafka=SCRAM, kafka_user="ann", kafka_password_file=str(file)).kafka_client(), "log_level": 0}
    login: Login = options[LOGIN]
    told: list[tuple[str, str]] = []

    class Member:
        def set_sasl_credentials(self, username: str, password: str) -> None:
            told.append((username, password))

    member = Member()
    login.keep(member)
    consumer = Consumer({**options, "group.id": "g"})
    others = [Producer(options), AdminClient(options)]
    assert len(login._clients) == 4
    assert not login.look()
    file.write_text("the next one")
    assert login.look()
    assert told == [("ann", SECRET), ("ann", "the next one")]
    assert member_auth(options)["sasl_plain_password"] == "the next one"
    consumer.close()
    assert len(login._clients) == 3, "a closed client must not be told"
    others.clear()
    gc.collect()
    assert len(login._clients) == 1, "a login keeps no client alive"


def test_further_options_stay_as_they_are() -> None:
    assert load_settings(kafka={"linger.ms": 5}).kafka_options() == {"linger.ms": 5}
    assert load_settings().secret("kafka_password") is None


def test_a_client_that_is_closed_in_its_own_way_ends_nothing_for_the_others(file: Path) -> None:
    options = {**load_settings(kafka=SCRAM, kafka_user="bob", kafka_password_file=str(file)).kafka_client(), "log_level": 0}
    login: Login = options[LOGIN]
    with Producer(options) as closed:
        stays = Producer(options)
    file.write_text("the next one")
    assert login.look()
    assert closed not in login._clients
    assert stays in login._clients


def test_a_consumer_that_reads_without_a_pause_is_told_a_new_password(file: Path) -> None:
    options = {**load_settings(kafka=SCRAM, kafka_user="eve", kafka_password_file=str(file)).kafka_client(), "log_level": 0}
    login, consumer = options[LOGIN], Consumer({**options, "group.id": "g"})
    consumer.assign([TopicPartition("t", 0, 0)])
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            consumer.consume(1, 0.1)

    reader, told = threading.Thread(target=read), threading.Thread(target=login.look, daemon=True)
    reader.start()
    try:
        file.write_text("another")
        told.start()
        told.join(5)
        assert not told.is_alive()
    finally:
        stop.set()
        reader.join()
        consumer.close()
