"""Signing in and out, and who one is."""

from __future__ import annotations

import time
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from starlette.responses import Response

from warroom.auth.accounts import LONGEST_PASSWORD, AccountsError, password_fits
from warroom.auth.roles import Principal, Role
from warroom.auth.sessions import SESSION_MS
from warroom.web.body import read_body
from warroom.web.call import SESSION_COOKIE, Call, CallOf
from warroom.web.problems import Problem, too_many

_MOST_BODY = 4_096


class SignIn(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who wants to come in."""

    user: Annotated[str, Meta(min_length=1, max_length=64)]
    password: Annotated[str, Meta(min_length=1, max_length=LONGEST_PASSWORD)]


class Session(Struct, frozen=True, kw_only=True):
    """Who one is, and what one may see; `brands` null: all."""

    name: str
    role: Role
    brands: list[str] | None
    by: str


async def show(call: CallOf) -> Session:
    """Who is asking."""
    return _session(call.principal)


async def open_(call: CallOf) -> Response:
    """Sign in: sets the session's cookie. Wrong passwords slow down the user and the address they come from."""
    asked = await read_body(call.request, SignIn, _MOST_BODY)
    room = call.room
    if room.is_open:
        return _answer(_session(call.principal), 200)
    now = time.monotonic()
    if wait := room.throttle.wait(asked.user, call.address, now):
        call.audit("sign in", asked.user, "refused", "throttled")
        raise too_many(wait, "too many sign-ins have failed")
    room.throttle.failed(asked.user, call.address, now)  # until it has succeeded: several at once cannot get around it
    try:
        user = room.accounts().user(asked.user)
    except AccountsError as error:
        raise Problem(503, "the accounts cannot be read; the log of the war room says why") from error
    if not await room.pool.do(lambda: password_fits(user, asked.password)) or user is None:
        call.audit("sign in", asked.user, "failed")
        raise Problem(401, "expected a user and their password", headers={"WWW-Authenticate": 'Bearer realm="rflow"'})
    room.throttle.succeeded(asked.user)
    signed_in = Call(call.request, room, Principal(name=user.name, role=user.role, brands=user.brands, by="session"))
    signed_in.audit("sign in", user.name)
    response = _answer(_session(signed_in.principal), 200)
    set_session(call, response, room.sessions.open(room.accounts(), user, room.now()))
    return response


def set_session(call: Call, response: Response, cookie: str) -> None:
    """Hand out the session's cookie."""
    response.set_cookie(
        SESSION_COOKIE, cookie, max_age=SESSION_MS // 1000, path="/", secure=needs_tls(call), httponly=True, samesite="strict"
    )


def needs_tls(call: Call) -> bool:
    """Whether cookies are for encrypted connections alone: everywhere but on this machine."""
    return not (call.room.config.loopback and call.request.url.scheme == "http")


async def close(call: CallOf) -> Response:
    """Sign out: the session ends here and its cookie is taken back."""
    cookie = call.request.cookies.get(SESSION_COOKIE)
    if cookie and not call.room.is_open:
        call.room.sessions.close(call.room.accounts(), cookie, call.room.now())
        call.audit("sign out", call.principal.name)
    response = Response(status_code=204)
    response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="strict")
    return response


def _session(principal: Principal) -> Session:
    brands = None if principal.brands is None else list(principal.brands)
    return Session(name=principal.name, role=principal.role, brands=brands, by=principal.by)


def _answer(session: Session, status: int) -> Response:
    return Response(msgspec.json.encode(session), status, {"Cache-Control": "no-store"}, "application/json")
