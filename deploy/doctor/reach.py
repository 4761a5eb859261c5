"""Where the servers are, and whether one has to say who one is there, as far as the settings tell."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from deploy.security.kafka import protocol_of
from deploy.settings import Settings
from deploy.wiring import is_loopback

SERVERS = ("kafka", "redis", "clickhouse")


def hosts(settings: Settings, server: str) -> list[str]:
    """Where one of SERVERS is reached; nowhere for a socket of this machine."""
    if server == "kafka":
        return [broker.rpartition(":")[0].strip("[] ") for broker in settings.kafka_bootstrap.split(",")]
    address = urlsplit(_url(settings, server))
    return [] if address.scheme == "unix" else [address.hostname or ""]


def beyond(settings: Settings, server: str) -> list[str]:
    """Those of its hosts that are not this machine alone."""
    return [host for host in hosts(settings, server) if not is_loopback(host)]


def logs_in(settings: Settings, server: str) -> bool:
    """Whether rflow says there who it is: by a password, or at Kafka and ClickHouse by a certificate."""
    if server == "kafka":
        return protocol_of(settings.kafka).startswith("sasl") or "ssl.certificate.location" in settings.kafka
    address, options = urlsplit(_url(settings, server)), getattr(settings, server)
    given = settings.secret(f"{server}_password") is not None or "password" in options or "client_cert" in options
    return given or bool(address.password) or "password" in parse_qs(address.query)


def _url(settings: Settings, server: str) -> str:
    return str(getattr(settings, f"{server}_url").get_secret_value())
