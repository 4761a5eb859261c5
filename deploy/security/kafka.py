"""How rflow logs in to Kafka, in librdkafka's options; and what is wrong with those given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from deploy.security.secret import SecretFile, missing_files
from schemas.kafka_client import LOGIN, Login

PROTOCOLS = ("plaintext", "ssl", "sasl_plaintext", "sasl_ssl")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
FILES = ("ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "https.ca.location")
_ELSEWHERE = {
    "ssl.certificate.pem": "ssl.certificate.location",
    "ssl.key.pem": "ssl.key.location",
    "ssl.keystore.location": "ssl.certificate.location and ssl.key.location",
    "sasl.mechanisms": "sasl.mechanism",
}
"""Options that the consumer group's member, which is not librdkafka's, could not use; and those that it can."""

Options = dict[str, str | int | bool]


def protocol_of(kafka: Mapping[str, Any]) -> str:
    """The security protocol, in lower case."""
    return str(kafka.get("security.protocol", "plaintext")).lower()


def mechanism_of(kafka: Mapping[str, Any]) -> str:
    """The SASL mechanism, in capitals."""
    return str(kafka.get("sasl.mechanism", "")).upper()


def login_options(kafka: Mapping[str, Any], user: str, password: Callable[[], str] | None) -> dict[str, Any]:
    """What is added to the options `kafka` so that clients log in as `user`; nothing without a user."""
    if not user or password is None:
        return {}
    if mechanism_of(kafka) == "OAUTHBEARER":
        return {
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.client.id": user,
            "sasl.oauthbearer.client.secret": password(),
        }
    if isinstance(password, SecretFile):
        return {LOGIN: _login(user, password)}
    return {"sasl.username": user, "sasl.password": password()}


@cache
def _login(user: str, password: SecretFile) -> Login:
    return Login(user, password)


def mistakes(kafka: Mapping[str, Any]) -> list[str]:
    """What is wrong with options, those of the login included; a line for each, none with a secret."""
    found = [f"kafka.{name}: expected {instead} in its stead" for name, instead in _ELSEWHERE.items() if name in kafka]
    found += missing_files("kafka", FILES, kafka)
    protocol, mechanism = protocol_of(kafka), mechanism_of(kafka)
    if protocol not in PROTOCOLS:
        found.append(f"kafka.security.protocol: expected one of {', '.join(PROTOCOLS)}, found {protocol}")
    elif protocol.startswith("sasl") and mechanism not in MECHANISMS:
        found.append(f"kafka.sasl.mechanism: expected one of {', '.join(MECHANISMS)} for {protocol}, found {mechanism or 'none'}")
    elif protocol.startswith("sasl"):
        found += _oauth_mistakes(kafka) if mechanism == "OAUTHBEARER" else _password_mistakes(kafka)
    elif mechanism or LOGIN in kafka or "sasl.password" in kafka:
        found.append(f"kafka.security.protocol: expected sasl_ssl, since there is a user or mechanism, found {protocol}")
    return found


def _password_mistakes(kafka: Mapping[str, Any]) -> list[str]:
    whole = LOGIN in kafka or ("sasl.username" in kafka and "sasl.password" in kafka)
    return [] if whole else [f"kafka_user: expected a user and kafka_password or kafka_password_file, for {mechanism_of(kafka)}"]


def _oauth_mistakes(kafka: Mapping[str, Any]) -> list[str]:
    if str(kafka.get("sasl.oauthbearer.method", "")).lower() != "oidc":
        return ["kafka_user: expected the client's id, and its secret in kafka_password or kafka_password_file, for OAUTHBEARER"]
    if not str(kafka.get("sasl.oauthbearer.token.endpoint.url", "")).startswith(("https://", "http://")):
        return ["kafka.sasl.oauthbearer.token.endpoint.url: expected the https address at which the provider gives tokens"]
    return []
