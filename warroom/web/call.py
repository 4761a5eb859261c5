"""One request: who asks, whether they may, and what goes back."""

from __future__ import annotations

import hashlib
import ipaddress
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

import msgspec
import structlog
from fastapi import Depends, Request
from starlette.responses import Response, StreamingResponse

from warroom.auth.accounts import AccountsError
from warroom.auth.roles import LOCAL, Principal, Role
from warroom.web.problems import Problem, too_many
from warroom.web.room import Outcome, Room

log = structlog.get_logger("rflow.audit")

SESSION_COOKIE = "rflow_session"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_LOOK_AGAIN_S = 15.0
_KEEP_ALIVE_S = 15.0


class Call:
    """A request and the principal behind it."""

    def __init__(self, request: Request, room: Room, principal: Principal) -> None:
        self.request = request
        self.room = room
        self.principal = principal

    @property
    def address(self) -> str:
        """Where the request comes from."""
        return address_of(self.request)

    def audit(self, action: str, target: str, outcome: Outcome = "done", detail: str = "") -> None:
        """Put it on record, and into the log."""
        entry = self.room.audit.write(
            self.room.now(),
            who=self.principal.id,
            role=self.principal.role.value,
            address=self.address,
            action=action,
            target=target,
            outcome=outcome,
            detail=detail,
        )
        log.info("audit", **msgspec.to_builtins(entry))

    def shown(self, user_id: str) -> str:
        """A user id as this principal may see it."""
        return user_id if self.principal.role.may(Role.OPERATOR) else self.room.mask()(user_id)

    @property
    def sees_ids(self) -> bool:
        """Whether user ids are theirs to see."""
        return self.principal.role.may(Role.OPERATOR)

    def stream(self, frames: AsyncGenerator[bytes, None]) -> Response:
        """An event stream; it ends when the principal may no longer see it. Raises Problem 503 if too many are open."""
        if self.room.streams >= self.room.config.streams:
            raise Problem(503, "as many event streams are open as are allowed: try again later", headers={"Retry-After": "10"})
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(self._while_allowed(frames), media_type="text/event-stream", headers=headers)

    async def _while_allowed(self, frames: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
        self.room.streams += 1
        looked = time.monotonic()
        try:
            async with aclosing(frames):
                async for frame in frames:
                    if time.monotonic() - looked > _LOOK_AGAIN_S:
                        looked = time.monotonic()
                        if _identified(self.request, self.room) != self.principal:
                            return
                    yield frame
        finally:
            self.room.streams -= 1


def room_of(request: Request) -> Room:
    """The room that the application was made with."""
    room: Room = request.app.state.room
    return room


def call_of(request: Request) -> Call:
    """Who asks, and may. Raises Problem 401, 403 or 429."""
    room = room_of(request)
    needed: Role | None = request.app.state.roles[request.scope["route"].name]
    principal = _identified(request, room)
    if principal is None:
        if needed is not None:
            raise Problem(401, "sign in, or send a token: Authorization: Bearer ...", headers={"WWW-Authenticate": 'Bearer realm="rflow"'})
        wait = room.limits.take(f"address:{address_of(request)}", time.monotonic())
        principal = Principal(name="nobody", role=Role.VIEWER, brands=(), by="session")
    else:
        wait = room.limits.take(principal.id, time.monotonic())
    if wait:
        raise too_many(wait, "more requests than one may send")
    if request.method not in _SAFE:
        _expect_same_origin(request, principal)
    if needed is not None and not principal.role.may(needed):
        call = Call(request, room, principal)
        call.audit(request.scope["route"].name, request.url.path, "refused", f"needs {needed.value}")
        raise Problem(403, f"expected the role {needed.value} or a higher one, yours is {principal.role.value}")
    return Call(request, room, principal)


CallOf = Annotated[Call, Depends(call_of)]


def _identified(request: Request, room: Room) -> Principal | None:
    """Whoever can prove it: by a token, by a session, or by sitting here."""
    if room.is_open:
        _expect_loopback(request)
        return LOCAL
    try:
        accounts = room.accounts()
    except AccountsError as error:
        raise Problem(503, "the accounts cannot be read; the log of the war room says why") from error
    authorization = request.headers.get("authorization")
    if authorization is not None:
        kind, _, presented = authorization.partition(" ")
        token = accounts.token(presented.strip()) if kind.lower() == "bearer" else None
        if token is None or (token.expires_at is not None and token.expires_at <= room.now()):
            return None
        return Principal(name=token.name, role=token.role, brands=token.brands, by="token")
    cookie = request.cookies.get(SESSION_COOKIE)
    if not cookie:
        return None
    if room.config.oidc is not None:
        guest = room.sessions.guest_of(accounts, cookie, room.config.oidc.stamp, room.now())
        if guest is not None:
            return guest
    user = room.sessions.user_of(accounts, cookie, room.now())
    return None if user is None else Principal(name=user.name, role=user.role, brands=user.brands, by="session")


def _expect_loopback(request: Request) -> None:
    """A page of somebody else's, whose name was made to lead here, is not at home."""
    name = request.url.hostname or ""
    try:
        local = ipaddress.ip_address(name).is_loopback
    except ValueError:
        local = name == "localhost"
    if not local:
        raise Problem(403, "without accounts the war room answers under 127.0.0.1 and localhost alone")


def _expect_same_origin(request: Request, principal: Principal) -> None:
    """No other site may make a browser change anything: a browser says where a request was made."""
    if principal.by == "token":
        return
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is None and origin is None and principal.by == "local":
        return  # no browser
    own = f"{request.url.scheme}://{request.url.netloc}"
    if (
        (origin is not None and origin != own)
        or (site is not None and site not in ("same-origin", "none"))
        or (site is None and origin is None)
    ):
        raise Problem(403, f"expected a request made by the war room's own page, with its Origin, {own}")


def address_of(request: Request) -> str:
    """Where a request comes from."""
    return request.client.host if request.client else "unknown"


def answer(request: Request, value: Any) -> Response:
    """A value as JSON with its ETag; 304 if whoever asks has it already."""
    body = msgspec.json.encode(value)
    return tagged(request, body)


def tagged(request: Request, body: bytes, media_type: str = "application/json", tag: str = "") -> Response:
    """Bytes with their ETag, by default of what they are; 304 if whoever asks has them already."""
    tag = tag or f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    known = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=media_type)
