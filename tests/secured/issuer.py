"""An OpenID provider that gives tokens to programs: client credentials, signed by keys that a broker can fetch."""

from __future__ import annotations

import base64
import time
from typing import Any
from urllib.parse import unquote_plus

from joserfc import jwt

from tests.oidc_provider import Provider

AUDIENCE = "kafka"
SCOPE = "rflow.kafka"


class Issuer(Provider):
    """Runs while it is entered. `clients` are ids with their secrets; a token's subject is its client's id."""

    def __init__(self, clients: dict[str, str], *, life: int = 300) -> None:
        super().__init__()
        self.clients = clients
        self.life = life
        self.given: list[str] = []
        """to whom tokens were given"""
        self.token_url = f"{self.issuer}/token"
        self.keys_url = f"{self.issuer}/keys"

    def _tokens(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        told = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        client, _, secret = (unquote_plus(part) for part in told.partition(":"))
        if (form.get("grant_type"), form.get("scope")) != ("client_credentials", SCOPE) or self.clients.get(client) != secret:
            return 401, {"error": "invalid_client"}
        now = int(time.time())
        claims = {"iss": self.issuer, "sub": client, "aud": AUDIENCE, "iat": now, "exp": now + self.life, "scope": SCOPE}
        self.given.append(client)
        token = jwt.encode(self.header, claims, self.keys.keys[0], algorithms=[self.header["alg"]])
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": self.life}
