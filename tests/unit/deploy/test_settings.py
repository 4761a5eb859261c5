"""Settings: every mistake at once, secrets never shown, the environment over the file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deploy.settings import CONFIG_VARIABLE, Settings, SettingsError, load_settings

SECRET = "hunter2-very-secret"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("RFLOW_"):
            monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "rflow.toml"
    path.write_text("")
    monkeypatch.setenv(CONFIG_VARIABLE, str(path))
    return path


def mistakes() -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings()
    return str(caught.value).splitlines()


def test_without_any_the_defaults_hold() -> None:
    settings = load_settings()
    assert settings.partitions == 4
    client = settings.kafka_client()
    assert client.items() >= {"bootstrap.servers": "127.0.0.1:9092", "client.id": "rflow"}.items()
    assert 2 * (client["socket.timeout.ms"] + 1_000) < 1_000 * settings.session_timeout
    assert settings.model_fields_set == set()


def test_what_is_given_goes_before_the_environment_and_that_before_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text('partitions = 7\ngroup = "of-the-file"\nladder = "aipl"\n[kafka]\n"security.protocol" = "ssl"\n')
    monkeypatch.setenv("RFLOW_GROUP", "of-the-environment")
    monkeypatch.setenv("RFLOW_PARTITIONS", "8")
    settings = load_settings(partitions=9, ladder=None)
    assert (settings.partitions, settings.group, settings.ladder) == (9, "of-the-environment", "aipl")
    assert settings.kafka_client()["security.protocol"] == "ssl"


def test_tables_come_from_the_environment_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RFLOW_KAFKA", '{"linger.ms": 5, "enable.ssl.certificate.verification": false, "ssl.ca.location": "/etc/passwd"}')
    assert load_settings().kafka == {"linger.ms": 5, "enable.ssl.certificate.verification": False, "ssl.ca.location": "/etc/passwd"}


def test_all_mistakes_are_told_at_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text('intake = "sloppy"\nno_such_setting = 1\n')
    monkeypatch.setenv("RFLOW_PARTITIONS", "none")
    monkeypatch.setenv("RFLOW_REDIS_URL", "http://somewhere")
    monkeypatch.setenv("RFLOW_PARTITION", "4")
    monkeypatch.setenv("RFLOW_SESSION_TIMEOUT", "0")
    found = mistakes()
    for name in ("intake", "no_such_setting", "partitions", "redis_url", "RFLOW_PARTITION", "session_timeout"):
        assert any(line.startswith(f"{name}:") for line in found), (name, found)
    assert len(found) == 6


def test_a_table_that_is_no_json_hides_no_other_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RFLOW_KAFKA", f'{{"sasl.password": "{SECRET}"')
    monkeypatch.setenv("RFLOW_PARTITIONS", "none")
    monkeypatch.setenv("RFLOW_NONSENSE", "1")
    found = "\n".join(mistakes())
    assert "kafka" in found
    assert "partitions" in found
    assert "RFLOW_NONSENSE" in found
    assert SECRET not in found


def test_a_name_that_is_no_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RFLOW_REDIS_ULR", SECRET)
    (line,) = mistakes()
    assert line.startswith("RFLOW_REDIS_ULR:")
    assert SECRET not in line


def test_a_missing_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "none.toml"))
    (line,) = mistakes()
    assert "none.toml" in line


def test_a_file_that_is_no_toml_is_named(file: Path) -> None:
    file.write_text(f'redis_url = "redis://:{SECRET}@h')
    found = "\n".join(mistakes())
    assert "rflow.toml" in found
    assert SECRET not in found


@pytest.mark.parametrize("name", ["RFLOW_REDIS_URL", "RFLOW_CLICKHOUSE_URL"])
def test_a_wrong_url_is_told_without_what_it_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, f"ftp://user:{SECRET}@host")
    (line,) = mistakes()
    assert "expected a URL that begins with" in line
    assert SECRET not in line


def test_secrets_are_masked_wherever_settings_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RFLOW_REDIS_URL", f"rediss://:{SECRET}@host:6379/0")
    monkeypatch.setenv("RFLOW_CLICKHOUSE_URL", f"https://default:{SECRET}@host:8443")
    monkeypatch.setenv(
        "RFLOW_KAFKA",
        f'{{"sasl.password": "{SECRET}", "ssl.key.password": "{SECRET}", "sasl.oauthbearer.client.secret": '
        f'"{SECRET}", "sasl.username": "ann", "security.protocol": "sasl_ssl", "sasl.mechanism": "PLAIN"}}',
    )
    monkeypatch.setenv("RFLOW_REDIS", f'{{"password": "{SECRET}", "username": "ann"}}')
    monkeypatch.setenv("RFLOW_CLICKHOUSE", f'{{"client_cert_key": "{__file__}"}}')
    monkeypatch.setenv("RFLOW_WARROOM_OIDC_CLIENT_SECRET", SECRET)
    settings = load_settings()
    shown = settings.shown()
    assert SECRET not in str(shown)
    assert SECRET not in str(settings.redis_url) + repr(settings.clickhouse_url)
    assert shown["kafka"]["sasl.username"] == shown["redis"]["username"] == "ann"
    assert settings.kafka_client()["sasl.password"] == settings.redis["password"] == SECRET
    assert settings.redis_url.get_secret_value().endswith("@host:6379/0")


def test_every_setting_can_be_set_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in load_settings().model_dump().items():
        text = value.get_secret_value() if hasattr(value, "get_secret_value") else value
        monkeypatch.setenv(f"RFLOW_{name.upper()}", str(text).lower() if isinstance(text, bool) else "{}" if text == {} else str(text))
    assert load_settings().model_fields_set == set(Settings.model_fields)
