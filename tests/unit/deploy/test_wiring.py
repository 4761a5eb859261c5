"""Parts are put together from settings, or it is said what is missing for them."""

from __future__ import annotations

import os

import pytest

from deploy.processes.warroom import oidc_of, room_config
from deploy.settings import SettingsError, load_settings
from warroom.auth.roles import Role

PROVIDER = {
    "warroom_oidc_issuer": "https://login.example.com",
    "warroom_oidc_client_id": "rflow",
    "warroom_oidc_client_secret": "hunter2",
    "warroom_oidc_roles": {"ops": "operator"},
}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("RFLOW_")]:
        monkeypatch.delenv(name)


def test_a_provider_opens_the_war_room_to_others() -> None:
    settings = load_settings(**PROVIDER, warroom_host="0.0.0.0")
    config = room_config(settings)
    assert config.oidc is not None
    assert (config.oidc.client_secret, config.oidc.roles, config.accounts) == ("hunter2", {"ops": Role.OPERATOR}, None)
    assert "hunter2" not in repr(settings) + str(settings.shown())
    assert oidc_of(load_settings()) is None


def test_half_a_provider_is_told_whole() -> None:
    with pytest.raises(SettingsError) as caught:
        oidc_of(load_settings(warroom_oidc_issuer="http://login.example.com"))
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "warroom_oidc_issuer",
        "warroom_oidc_client_id",
        "warroom_oidc_client_secret",
        "warroom_oidc_roles",
    ]
    with pytest.raises(SettingsError, match=r"warroom_oidc_roles\.ops"):
        load_settings(**{**PROVIDER, "warroom_oidc_roles": {"ops": "king"}})
