"""How the member of the consumer group logs in: librdkafka's options in aiokafka's words."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus

import httpx
import orjson
from aiokafka.abc import AbstractTokenProvider

from schemas.kafka_client import LOGIN, Login

_FRESH = 0.8
"""A token is asked for anew after this part of its life, as librdkafka does."""
_LIFE_S = 60.0
"""how long a token lives whose provider does not say"""
_PATIENCE_S = 5.0


def member_auth(kafka: Mapping[str, Any]) -> dict[str, Any]:
    """Options of an aiokafka client that speaks to Kafka as librdkafka does with `kafka`. Raises OSError for a missing file."""
    protocol = str(kafka.get("security.protocol", "plaintext")).upper()
    options: dict[str, Any] = {"security_protocol": protocol}
    if protocol in ("SSL", "SASL_SSL"):
        options["ssl_context"] = _context(kafka)
    if protocol in ("SASL_PLAINTEXT", "SASL_SSL"):
        options["sasl_mechanism"] = mechanism = str(kafka.get("sasl.mechanism", "")).upper()
        if mechanism == "OAUTHBEARER":
            options["sasl_oauth_token_provider"] = Tokens(kafka)
        else:
            login: Login | None = kafka.get(LOGIN)
            given = login.options() if login else kafka
            options |= {"sasl_plain_username": given["sasl.username"], "sasl_plain_password": given["sasl.password"]}
    return options


def _context(kafka: Mapping[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=kafka.get("ssl.ca.location"), cadata=kafka.get("ssl.ca.pem"))
    if "ssl.certificate.location" in kafka:
        context.load_cert_chain(kafka["ssl.certificate.location"], kafka.get("ssl.key.location"), kafka.get("ssl.key.password"))
    verify = str(kafka.get("enable.ssl.certificate.verification", "true")).lower() == "true"
    if not verify or str(kafka.get("ssl.endpoint.identification.algorithm", "https")).lower() == "none":
        context.check_hostname = False
    if not verify:
        context.verify_mode = ssl.CERT_NONE
    return context


class Tokens(AbstractTokenProvider):  # type: ignore[misc]
    """Tokens for OAUTHBEARER from an OpenID provider, by client credentials, as librdkafka's method `oidc` gets them."""

    def __init__(self, kafka: Mapping[str, Any]) -> None:
        self._url = str(kafka["sasl.oauthbearer.token.endpoint.url"])
        names = ("sasl.oauthbearer.client.id", "sasl.oauthbearer.client.secret")
        self._login = httpx.BasicAuth(*(quote_plus(str(kafka[name])) for name in names))
        scope = kafka.get("sasl.oauthbearer.scope")
        self._asked = {"grant_type": "client_credentials", **({"scope": str(scope)} if scope else {})}
        self._trust = kafka.get("https.ca.location")
        self._extensions = dict(part.split("=", 1) for part in str(kafka.get("sasl.oauthbearer.extensions", "")).split(",") if part)
        self._token, self._until = "", 0.0
        self._lock = asyncio.Lock()

    async def token(self) -> str:
        """A token that is good for a while. Raises OSError where the provider gives none: a connection that cannot be made now."""
        async with self._lock:
            if time.monotonic() >= self._until:
                began = time.monotonic()
                told = await self._ask()
                self._token, self._until = str(told["access_token"]), began + _FRESH * float(told.get("expires_in") or _LIFE_S)
            return self._token

    async def _ask(self) -> dict[str, Any]:
        trust = ssl.create_default_context(cafile=self._trust)
        try:
            async with httpx.AsyncClient(verify=trust, timeout=_PATIENCE_S) as client:
                answer = await client.post(self._url, data=self._asked, auth=self._login)
            told = orjson.loads(answer.content)
        except (httpx.HTTPError, ValueError) as error:
            raise ConnectionError(f"no token from {self._url}: {type(error).__name__}") from error
        if not isinstance(told, dict) or not told.get("access_token"):
            raise ConnectionError(f"expected an access_token from {self._url}, found status {answer.status_code} without one")
        return told

    def extensions(self) -> dict[str, str]:
        """What goes to the broker beside the token."""
        return self._extensions
