"""Signing in with somebody else's OpenID provider: authorization code with PKCE (OpenID Connect Core 1.0, RFC 7636).

What the provider says is believed only after the id_token has been checked: signed by one of its keys, issued by it, for us, for this
sign-in (nonce), not over. Which role that makes is looked up in claims; who has none of the roles that are mapped does not get in.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import secrets
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import msgspec
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from msgspec import Struct

from warroom.auth.accounts import Accounts
from warroom.auth.roles import Principal, Role

_SECONDS = 5.0
_METADATA_SECONDS = 3_600.0
_KEYS_AGAIN_SECONDS = 10.0
_LEEWAY_SECONDS = 60
_MOST_BYTES = 1 << 20
_MOST_NAME = 64
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures by a key pair: a token signed with our own secret, or with none, is not the provider's."""


class OidcConfig(Struct, frozen=True, kw_only=True):
    """A provider, and who we are to it. `roles` says which value of the claim `role_claim` makes which role; claims may be paths with dots.

    `brands_claim` empty: whoever gets in sees all brands. `redirect_uri` empty: the callback's address as the request had it.
    """

    issuer: str
    client_id: str
    client_secret: str
    roles: Mapping[str, Role]
    role_claim: str = "roles"
    name_claim: str = "preferred_username"
    brands_claim: str = ""
    scopes: str = "openid profile email"
    redirect_uri: str = ""
    label: str = ""

    @property
    def stamp(self) -> str:
        """Changes with the provider and the mapping; a session with another stamp is over."""
        told = msgspec.json.encode(
            [self.issuer, self.client_id, sorted(self.roles.items()), self.role_claim, self.name_claim, self.brands_claim]
        )
        return hashlib.sha256(told).hexdigest()[:24]

    def __repr__(self) -> str:
        return f"OidcConfig(issuer={self.issuer!r}, client_id={self.client_id!r})"  # without the secret


class OidcError(Exception):
    """A sign-in that cannot be; the message is for the log and the audit, not for whoever tried."""


class OidcAway(Exception):
    """The provider does not answer, or not as one does."""


class Started(Struct, frozen=True, kw_only=True):
    """What has to be remembered between leaving for the provider and coming back. `until` is epoch milliseconds."""

    state: str
    nonce: str
    verifier: str
    back_to: str
    redirect_uri: str
    until: int


class _Metadata(Struct):
    """What we need of a provider's `/.well-known/openid-configuration`."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class _Tokens(Struct):
    id_token: str
    access_token: str = ""


class Oidc:
    """One provider. Belongs to one event loop."""

    def __init__(self, config: OidcConfig) -> None:
        self.config = config
        self._client = httpx.AsyncClient(timeout=_SECONDS, follow_redirects=False)
        self._metadata: _Metadata | None = None
        self._metadata_until = 0.0
        self._keys: KeySet | None = None
        self._keys_read = 0.0

    async def start(self, redirect_uri: str, back_to: str, now: int, lasts_ms: int) -> tuple[str, Started]:
        """Where to send the browser, and what to remember. Raises OidcAway."""
        metadata = await self._described()
        started = Started(
            state=secrets.token_urlsafe(24),
            nonce=secrets.token_urlsafe(24),
            verifier=secrets.token_urlsafe(48),
            back_to=back_to,
            redirect_uri=self.config.redirect_uri or redirect_uri,
            until=now + lasts_ms,
        )
        query = {
            "response_type": "code",
            "client_id": self.config.client_id,
            "redirect_uri": started.redirect_uri,
            "scope": self.config.scopes,
            "state": started.state,
            "nonce": started.nonce,
            "code_challenge": create_s256_code_challenge(started.verifier),
            "code_challenge_method": "S256",
        }
        mark = "&" if urlsplit(metadata.authorization_endpoint).query else "?"
        return f"{metadata.authorization_endpoint}{mark}{urlencode(query)}", started

    async def finish(self, started: Started, state: str, code: str, now: int) -> Principal:
        """Who came back. Raises OidcError, OidcAway."""
        if started.until <= now:
            raise OidcError("the sign-in took too long")
        if not hmac.compare_digest(started.state.encode(), state.encode()):
            raise OidcError("the state is not that of the sign-in that was begun here")
        tokens = await self._exchange(started, code)
        claims = await self._checked(tokens, started.nonce)
        return self._principal(claims)

    async def close(self) -> None:
        """Lets go of connections."""
        await self._client.aclose()

    async def _described(self) -> _Metadata:
        if self._metadata is None or time.monotonic() > self._metadata_until:
            address = f"{self.config.issuer.rstrip('/')}/.well-known/openid-configuration"
            found = _decoded(await self._get(address), _Metadata, address)
            if found.issuer != self.config.issuer:
                raise OidcAway(f"{address}: expected the issuer {self.config.issuer!r}, found {found.issuer!r}")
            for one in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri):
                if not is_safe(one):
                    raise OidcAway(f"{address}: expected https addresses, found {one!r}")
            self._metadata, self._metadata_until = found, time.monotonic() + _METADATA_SECONDS
        return self._metadata

    async def _exchange(self, started: Started, code: str) -> _Tokens:
        metadata = await self._described()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": started.redirect_uri,
            "code_verifier": started.verifier,
        }
        secret = httpx.BasicAuth(_quoted(self.config.client_id), _quoted(self.config.client_secret))
        answer = await self._send(self._client.build_request("POST", metadata.token_endpoint, data=form), secret)
        if answer.status_code != 200:
            raise OidcError(f"the provider gives no token for the code: status {answer.status_code}")
        tokens: _Tokens = _decoded(answer.content, _Tokens, "the provider's tokens")
        return tokens

    async def _checked(self, tokens: _Tokens, nonce: str) -> dict[str, Any]:
        """The claims of an id_token that is what it says (OpenID Connect Core 1.0, 3.1.3.7)."""
        try:
            token = jwt.decode(tokens.id_token, await self._key_set(tokens.id_token), algorithms=list(ALGORITHMS))
            params = {"nonce": nonce, "client_id": self.config.client_id, "access_token": tokens.access_token}
            options = {"iss": {"essential": True, "value": self.config.issuer}, "aud": {"essential": True, "value": self.config.client_id}}
            CodeIDToken(token.claims, token.header, options, params).validate(leeway=_LEEWAY_SECONDS)
        except (JoseError, ValueError, TypeError) as error:
            raise OidcError(f"the id_token is refused: {str(error)[:200]}") from error
        return token.claims

    async def _key_set(self, id_token: str) -> KeySet:
        """The provider's keys; read again if the token names one that is not among them, but not again and again."""
        known = None if self._keys is None else {key.kid for key in self._keys.keys}
        if known is None or (_kid(id_token) not in known and time.monotonic() - self._keys_read > _KEYS_AGAIN_SECONDS):
            metadata = await self._described()
            content = await self._get(metadata.jwks_uri)
            try:
                self._keys = KeySet.import_key_set(_decoded(content, dict[str, Any], metadata.jwks_uri))
            except (JoseError, ValueError, TypeError, KeyError) as error:
                raise OidcAway(f"{metadata.jwks_uri}: expected a set of keys: {str(error)[:200]}") from error
            self._keys_read = time.monotonic()
        assert self._keys is not None
        return self._keys

    def _principal(self, claims: dict[str, Any]) -> Principal:
        config = self.config
        name = _claim(claims, config.name_claim) or claims["sub"]
        if not isinstance(name, str) or not 0 < len(name) <= _MOST_NAME or not name.isprintable():
            raise OidcError(f"expected a name of up to {_MOST_NAME} characters in the claim {config.name_claim!r}")
        held = _texts(_claim(claims, config.role_claim))
        roles = [config.roles[one] for one in held if one in config.roles]
        if not roles:
            raise OidcError(f"{name} has none of the roles {', '.join(sorted(config.roles))} in the claim {config.role_claim!r}")
        brands = None
        if config.brands_claim:
            brands = tuple(sorted(_texts(_claim(claims, config.brands_claim))))
            if not brands:
                raise OidcError(f"{name} has no brand in the claim {config.brands_claim!r}")
        return Principal(name=name, role=max(roles, key=list(Role).index), brands=brands, by="session")

    async def _get(self, address: str) -> bytes:
        answer = await self._send(self._client.build_request("GET", address), None)
        if answer.status_code != 200:
            raise OidcAway(f"{address}: expected status 200, found {answer.status_code}")
        return answer.content

    async def _send(self, request: httpx.Request, auth: httpx.BasicAuth | None) -> httpx.Response:
        try:
            answer = await self._client.send(request, auth=auth)
        except httpx.HTTPError as error:
            raise OidcAway(f"{request.url}: {type(error).__name__}") from error
        if len(answer.content) > _MOST_BYTES:
            raise OidcAway(f"{request.url}: expected at most {_MOST_BYTES} bytes")
        return answer


def guests_only(config: OidcConfig) -> Accounts:
    """Accounts of nobody, for a war room that knows guests alone: its secret follows from ours with the provider, so that several
    processes know each other's sessions."""
    return Accounts(secret=hashlib.sha256(b"rflow guests:" + config.client_secret.encode()).hexdigest())


def is_safe(address: str) -> bool:
    """Whether nobody can listen on the way: https, or this machine."""
    try:
        parts = urlsplit(address)
        if parts.scheme == "https":
            return bool(parts.hostname)
        return parts.scheme == "http" and (parts.hostname == "localhost" or ipaddress.ip_address(parts.hostname or "").is_loopback)
    except ValueError:
        return False


def _quoted(text: str) -> str:
    """As RFC 6749, 2.3.1 wants both halves of Basic: form-encoded first."""
    return urlencode({"": text})[1:]


def _kid(token: str) -> str | None:
    head = token.partition(".")[0]
    try:
        told = msgspec.json.decode(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (ValueError, msgspec.MsgspecError):
        return None
    return told.get("kid") if isinstance(told, dict) else None


def _decoded(content: bytes, of: type[Any], where: str) -> Any:
    try:
        return msgspec.json.decode(content, type=of)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise OidcAway(f"{where}: {error}") from error


def _claim(claims: Mapping[str, Any], path: str) -> Any:
    """`realm_access.roles` of Keycloak lies two deep; a claim whose own name has dots is found by its whole name."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _texts(value: Any) -> list[str]:
    """A claim that is one text, texts apart by spaces, or a list."""
    if isinstance(value, str):
        return value.split()
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
