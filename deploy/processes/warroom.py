"""The war room's process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import structlog
import uvicorn

from deploy.health import Report
from deploy.processes.common import listen, told
from deploy.security.granted import require_rights
from deploy.security.rights import Process
from deploy.settings import Settings, SettingsError
from deploy.wiring import clickhouse_of, is_loopback, ladder_of, redis_of
from warroom.auth.accounts import AccountsFile
from warroom.auth.oidc import OidcConfig, is_safe
from warroom.auth.roles import Role
from warroom.live.live import LiveConfig
from warroom.web.app import make_app
from warroom.web.room import RoomConfig

log = structlog.get_logger(__name__)


def room_config(settings: Settings) -> RoomConfig:
    """What the war room needs to know. Raises SettingsError for an address that is open to others without accounts."""
    loopback, oidc = is_loopback(settings.warroom_host), oidc_of(settings)
    if not loopback and not settings.warroom_accounts and oidc is None:
        raise SettingsError(
            f"warroom_host: {settings.warroom_host} can be reached from elsewhere, and without accounts everybody would be an admin: set"
            " warroom_accounts to a file made by `rflow warroom user add`, or warroom_oidc_issuer, or bind to 127.0.0.1"
        )
    accounts = Path(settings.warroom_accounts).expanduser().resolve() if settings.warroom_accounts else None
    beside = None if accounts is None else accounts.with_name(f"{accounts.name}.audit.jsonl")
    return RoomConfig(
        live=LiveConfig(
            clickhouse=replace(clickhouse_of(settings), timeout=6),
            redis=redis_of(settings),
            kafka=settings.kafka_client(),
            topic_prefix=settings.topic_prefix,
            partitions=settings.partitions,
        ),
        accounts=accounts,
        oidc=oidc,
        audit=Path(settings.warroom_audit).expanduser().resolve() if settings.warroom_audit else beside,
        loopback=loopback,
        event_clock=settings.clock == "event",
        rate=settings.warroom_rate,
        burst=10 * settings.warroom_rate,
        streams=settings.warroom_streams,
    )


def oidc_of(settings: Settings) -> OidcConfig | None:
    """The OpenID provider, if there is one. Raises SettingsError for half of one."""
    if not settings.warroom_oidc_issuer:
        return None
    mistakes = []
    if not is_safe(settings.warroom_oidc_issuer):
        mistakes.append(f"warroom_oidc_issuer: expected an https address, found {settings.warroom_oidc_issuer}")
    tell = settings.secret("warroom_oidc_client_secret")
    secret = tell() if tell else ""
    for name, value in (("client_id", settings.warroom_oidc_client_id), ("client_secret", secret), ("roles", settings.warroom_oidc_roles)):
        if not value:
            mistakes.append(f"warroom_oidc_{name}: expected a value, since warroom_oidc_issuer is set")
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    return OidcConfig(
        issuer=settings.warroom_oidc_issuer,
        client_id=settings.warroom_oidc_client_id,
        client_secret=secret,
        roles={value: Role(role) for value, role in settings.warroom_oidc_roles.items()},
        role_claim=settings.warroom_oidc_role_claim,
        name_claim=settings.warroom_oidc_name_claim,
        brands_claim=settings.warroom_oidc_brands_claim,
        scopes=settings.warroom_oidc_scopes,
        redirect_uri=settings.warroom_oidc_redirect,
        label=settings.warroom_oidc_label,
    )


def run_warroom(settings: Settings) -> None:
    """Serves the war room until it is told to stop. Raises SettingsError, or OSError if the port is taken."""
    config = room_config(settings)
    require_rights(settings, Process.WARROOM)
    if config.accounts is not None:
        AccountsFile(config.accounts).read()  # now, and not at the first request
    listener = listen("the war room", settings.warroom_host, settings.warroom_port, "warroom_port")
    server = uvicorn.Server(
        uvicorn.Config(
            make_app(config, ladder_of(settings)),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(settings.warroom_proxies),
            forwarded_allow_ips=settings.warroom_proxies or None,
            timeout_graceful_shutdown=2,
        )
    )

    def report() -> Report:
        return Report(True, server.started, {})

    with told(settings, "warroom", report) as health:
        address = f"http://{settings.warroom_host}:{listener.getsockname()[1]}"
        log.info("war room starts", address=address, http=f"{settings.http_host}:{health.port}", accounts=config.accounts is not None)
        server.run(sockets=[listener])
