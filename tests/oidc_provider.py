"""A small OpenID provider on this machine: it checks what a client has to send, and signs what it is told to say.

What it says can be made wrong on purpose, one thing at a time.
"""

from __future__ import annotations

import base64
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

import orjson
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

CLIENT_ID = "rflow war room"
CLIENT_SECRET = "a secret: with % and &"
CALLBACK = "http://127.0.0.1:8600/api/v1/session/oidc/callback"


class Provider:
    """Runs while it is entered. `claims` go into every id_token over the usual ones; None leaves a claim out."""

    def __init__(self) -> None:
        self.keys = KeySet([RSAKey.generate_key(2048, {"kid": "one"}, auto_kid=False)])
        self.claims: dict[str, Any] = {"preferred_username": "lin", "roles": ["crm-ops"]}
        self.header: dict[str, str] = {"alg": "RS256", "kid": "one"}
        self.signing: Any = None
        self.codes: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.issuer = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.described: dict[str, Any] = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize?tenant=1",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def rotate(self, kid: str) -> None:
        """Sign with a new key from now on; the old one is gone."""
        self.keys = KeySet([ECKey.generate_key("P-256", {"kid": kid}, auto_kid=False)])
        self.header = {"alg": "ES256", "kid": kid}

    def authorize(self, address: str) -> str:
        """What a browser gets that was sent here, and signs in: where it is sent back to."""
        asked = {key: values[0] for key, values in parse_qs(urlsplit(address).query, strict_parsing=True).items()}
        assert address.startswith(f"{self.issuer}/authorize?tenant=1&"), address
        assert (asked["response_type"], asked["client_id"], asked["redirect_uri"]) == ("code", CLIENT_ID, CALLBACK)
        assert "openid" in asked["scope"].split()
        assert asked["code_challenge_method"] == "S256"
        assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 32
        code = secrets.token_urlsafe(8)
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def _tokens(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        user, _, password = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        asked = self.codes.pop(form["code"], None)  # good for once
        if (unquote_plus(user), unquote_plus(password)) != (CLIENT_ID, CLIENT_SECRET) or asked is None:
            return 400, {"error": "invalid_grant"}
        if create_s256_code_challenge(form["code_verifier"]) != asked["code_challenge"] or form["redirect_uri"] != asked["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        usual = {"iss": self.issuer, "sub": "u-1", "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        claims = {name: value for name, value in (usual | self.claims).items() if value is not None}
        return 200, {"access_token": "opaque", "token_type": "Bearer", "id_token": self._signed(claims)}

    def _signed(self, claims: dict[str, Any]) -> str:
        if self.header["alg"] == "none":
            parts = [base64.urlsafe_b64encode(orjson.dumps(part)).rstrip(b"=").decode() for part in (self.header, claims)]
            return f"{parts[0]}.{parts[1]}."
        key = self.signing or self.keys.keys[0]
        return jwt.encode(self.header, claims, key, algorithms=[self.header["alg"]])

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked.append(self.path)
                keys: dict[str, Any] = {**provider.keys.as_dict(private=False)}
                found = {"/.well-known/openid-configuration": provider.described, "/keys": keys}
                self._answer(200 if self.path in found else 404, found.get(self.path, {}))

            def do_POST(self) -> None:
                provider.asked.append(self.path)
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = {key: values[0] for key, values in parse_qs(body).items()}
                self._answer(*provider._tokens(form, self.headers.get("Authorization", "")))

            def _answer(self, status: int, told: dict[str, Any]) -> None:
                content = orjson.dumps(told)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class' name
                """Not worth a line."""

        return Handler


def forged_key() -> RSAKey:
    """A key that the provider does not have, under the name of one that it has."""
    return RSAKey.generate_key(2048, {"kid": "one"}, auto_kid=False)


def secret_as_key() -> OctKey:
    """The client's own secret, as a key for HS256."""
    return OctKey.import_key(CLIENT_SECRET)
