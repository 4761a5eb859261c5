"""Signing in by way of an OpenID provider: leaving for it, and coming back."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import Query
from msgspec import Struct
from starlette.responses import HTMLResponse, RedirectResponse, Response

from warroom.auth.oidc import Oidc, OidcAway, OidcError, Started
from warroom.auth.sessions import seal, unseal
from warroom.markup import tag
from warroom.web.call import Call, CallOf
from warroom.web.problems import Problem
from warroom.web.routes.session import needs_tls, set_session

log = structlog.get_logger(__name__)

STARTED_COOKIE = "rflow_oidc"
_PATH = "/api/v1/session/oidc"
_LASTS_MS = 600_000

BackTo = Annotated[
    str,
    Query(
        alias="back",
        max_length=2_000,
        pattern=r"^/([A-Za-z0-9._~?=&%#+-][A-Za-z0-9._~?=&%#+/-]*)?$",
        description="where to go when signed in, a path of this war room",
        examples=["/wall?brand=acme"],
    ),
]
Code = Annotated[str, Query(max_length=4_096, description="what the provider gives for tokens")]
State = Annotated[str, Query(max_length=512, description="what the sign-in was begun with")]
Refusal = Annotated[str, Query(alias="error", max_length=512, description="why the provider refuses")]


class Ways(Struct, frozen=True, kw_only=True):
    """How one may sign in: with a password, or at `oidc`, a path that leads to the provider; `label` is what its button says."""

    password: bool
    oidc: str | None
    label: str | None


async def ways(call: CallOf) -> Ways:
    """How one may sign in here."""
    config = call.room.config
    if config.oidc is None:
        return Ways(password=config.accounts is not None, oidc=None, label=None)
    return Ways(password=config.accounts is not None, oidc=_PATH, label=config.oidc.label or None)


async def start(call: CallOf, back: BackTo = "/") -> Response:
    """Leave for the provider. 404 where there is none."""
    oidc = _provider(call)
    callback = str(call.request.url_for("oidc_callback"))
    try:
        address, started = await oidc.start(callback, back, call.room.now(), _LASTS_MS)
    except OidcAway as error:
        raise _away(error) from error
    response = RedirectResponse(address, 303, {"Cache-Control": "no-store"})
    response.set_cookie(
        STARTED_COOKIE,
        seal(call.room.accounts(), "oidc", started),
        max_age=_LASTS_MS // 1000,
        path=_PATH,
        secure=needs_tls(call),
        httponly=True,
        samesite="lax",  # the way back begins at the provider
    )
    return response


async def callback(call: CallOf, code: Code = "", state: State = "", error: Refusal = "") -> Response:
    """Come back from the provider: sets the session's cookie. 403 if what it says is not in order, or names no role here."""
    oidc, room = _provider(call), call.room
    cookie = call.request.cookies.get(STARTED_COOKIE, "")
    started = unseal(room.accounts(), "oidc", cookie, Started)
    try:
        if started is None:
            raise OidcError("no sign-in was begun in this browser")
        if error or not code:
            raise OidcError(f"the provider refuses: {error[:100] or 'no code'}")
        guest = await oidc.finish(started, state, code, room.now())
    except OidcError as refused:
        call.audit("sign in", oidc.config.issuer, "failed", str(refused)[:500])
        return _forgotten(_refused(call))
    except OidcAway as away:
        raise _away(away) from away
    Call(call.request, room, guest).audit("sign in", guest.name, detail=f"by {oidc.config.issuer}")
    response = _onward(started.back_to)
    set_session(call, response, room.sessions.open_guest(room.accounts(), guest, oidc.config.stamp, room.now()))
    return _forgotten(response)


def _provider(call: Call) -> Oidc:
    if call.room.oidc is None:
        raise Problem(404, "this war room has no OpenID provider; sign in with a password or a token")
    return call.room.oidc


def _onward(path: str) -> Response:
    """A page that goes on by itself: from a page of ours, unlike from the provider's, browsers send a strict cookie along."""
    head = tag("head", tag("meta", charset="utf-8"), tag("meta", http_equiv="refresh", content=f"0;url={path}"), tag("title", "rflow"))
    return _page(head, tag("p", tag("a", "rflow", href=path)), 200)


def _refused(call: Call) -> Response:
    """Why is in the audit log: who tries does not need to know."""
    said = "expected a sign-in that was begun here, and a role for it; the audit log says what was missing"
    if "text/html" not in call.request.headers.get("accept", ""):
        raise Problem(403, said, headers={"Set-Cookie": f"{STARTED_COOKIE}=; Path={_PATH}; Max-Age=0"})
    head = tag("head", tag("meta", charset="utf-8"), tag("title", "rflow"))
    return _page(
        head,
        [tag("p", "登录未成功：请联系管理员，审计日志中有原因。"), tag("p", f"Not signed in: {said}."), tag("a", "rflow", href="/")],
        403,
    )


def _page(head: str, body: object, status: int) -> Response:
    return HTMLResponse(f"<!doctype html>\n{tag('html', head, tag('body', body))}", status, {"Cache-Control": "no-store"})  # type: ignore[arg-type]


def _forgotten(response: Response) -> Response:
    response.delete_cookie(STARTED_COOKIE, path=_PATH, httponly=True, samesite="lax")
    return response


def _away(error: OidcAway) -> Problem:
    log.warning("the openid provider does not answer", error=str(error)[:300])
    return Problem(503, "the OpenID provider does not answer as one: try again in a moment", headers={"Retry-After": "5"})
