"""Every endpoint, and the role it needs: the one table that the routes, the OpenAPI document and the permission tests are made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from schemas.promotion import Promotion
from schemas.snapshot import UserLayer
from schemas.transition import Transition
from warroom.alerts.silence import Silence
from warroom.alerts.standing import Standing
from warroom.auth.audit import AuditEntry
from warroom.auth.roles import Role
from warroom.beside import Beside
from warroom.compare import Comparison
from warroom.drill import LabelLine, Steps
from warroom.figures import Activating, Census, Returning, Scaling, Triangulating
from warroom.lists import FlowLine
from warroom.live.snapshot import Snapshot
from warroom.notes import Note
from warroom.pacing_lines import Pacing
from warroom.progress import Progress
from warroom.timeline import Timeline
from warroom.web.routes import (
    about,
    alerts,
    drill,
    exports,
    figures,
    layers,
    live,
    oidc,
    pacing,
    promotions,
    records,
    report,
    session,
    timeline,
)
from warroom.what_if import WhatIf

API = "/api/v1"

JSON = "application/json"
EVENTS = "text/event-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One method of one path. `role` is the least that may use it, None for everybody, signed in or not.

    `returns` is what a good answer holds (None: nothing), as one of the media types `produces`; `body` what is sent to it.
    """

    name: str
    path: str
    handler: Callable[..., Any]
    role: Role | None
    tag: str
    summary: str
    returns: Any = None
    method: str = "GET"
    status: int = 200
    produces: tuple[str, ...] = (JSON,)
    body: Any = None
    also: tuple[int, ...] = ()
    """statuses of problems beyond those that every endpoint may answer with"""


def _get(
    name: str, path: str, handler: Callable[..., Any], role: Role | None, tag: str, summary: str, returns: Any, **more: Any
) -> Endpoint:
    return Endpoint(name=name, path=API + path, handler=handler, role=role, tag=tag, summary=summary, returns=returns, **more)


_BRAND = "/brands/{brand}"
_PROMOTION = "/promotions/{promotion_id}"
_EXPORT = (JSON, "application/x-ndjson", "text/csv")
_V, _O, _A = Role.VIEWER, Role.OPERATOR, Role.ADMIN

ENDPOINTS: tuple[Endpoint, ...] = (
    _get("openapi", "/openapi.json", about.openapi, None, "about", "This document", dict[str, Any]),
    _get("docs", "/docs", about.docs, None, "about", "This document, to be read", str, produces=("text/html",)),
    _get("show_session", "/session", session.show, _V, "session", "Who one is", session.Session),
    Endpoint(
        name="sign_in",
        method="POST",
        path=f"{API}/session",
        handler=session.open_,
        role=None,
        tag="session",
        summary="Sign in",
        returns=session.Session,
        body=session.SignIn,
        also=(413, 415),
    ),
    Endpoint(
        name="sign_out",
        method="DELETE",
        path=f"{API}/session",
        handler=session.close,
        role=_V,
        tag="session",
        summary="Sign out",
        status=204,
        produces=(),
    ),
    _get("ways", "/session/ways", oidc.ways, None, "session", "How one may sign in", oidc.Ways),
    _get(
        "oidc_start",
        "/session/oidc",
        oidc.start,
        None,
        "session",
        "Leave for the OpenID provider",
        None,
        status=303,
        produces=(),
        also=(404,),
    ),
    _get(
        "oidc_callback",
        "/session/oidc/callback",
        oidc.callback,
        None,
        "session",
        "Come back from the OpenID provider",
        str,
        produces=("text/html",),
        also=(404,),
    ),
    _get("health", "/health", about.health, _V, "about", "How far every shard is", about.HealthReport),
    _get("brands", "/brands", about.brands, _V, "about", "The brands one may see", about.Brands),
    _get("brand", _BRAND, about.brand_facts, _V, "about", "A brand's ladder, calendar, currency and channels", about.BrandFacts),
    _get("snapshot", f"{_BRAND}/snapshot", live.snapshot, _V, "live", "The newest live snapshot", Snapshot),
    _get("live", f"{_BRAND}/live", live.stream, _V, "live", "The live snapshot as a stream", Snapshot, produces=(EVENTS,)),
    _get(
        "live_transitions",
        f"{_BRAND}/transitions/live",
        live.transitions,
        _V,
        "live",
        "Transitions as they are published",
        Transition,
        produces=(EVENTS,),
    ),
    _get("scaling", f"{_BRAND}/star/scaling", figures.scaling, _V, "star", "Scaling: users per layer", list[Scaling]),
    _get("triangulating", f"{_BRAND}/star/triangulating", figures.triangulating, _V, "star", "Triangulating: shares", list[Triangulating]),
    _get("activating", f"{_BRAND}/star/activating", figures.activating, _V, "star", "Activating: who moved", list[Activating]),
    _get("returning", f"{_BRAND}/star/returning", figures.returning, _V, "star", "Returning: what was sold", list[Returning]),
    _get("flows", f"{_BRAND}/flows", figures.flows, _V, "figures", "Flows between layers", list[FlowLine]),
    _get("compare", f"{_BRAND}/compare", figures.compare, _V, "star", "A period against another", Comparison),
    _get("labels", f"{_BRAND}/labels", drill.labels, _V, "figures", "What each channel, campaign, store or guide sold", list[LabelLine]),
    _get("steps", f"{_BRAND}/steps", drill.steps, _V, "figures", "A label, or the brand, by the minute", Steps),
    _get("timeline", f"{_BRAND}/timeline", timeline.timeline, _V, "timeline", "What happened when", Timeline),
    Endpoint(
        name="write_note",
        method="POST",
        path=f"{API}{_BRAND}/notes",
        handler=timeline.write_note,
        role=_O,
        tag="timeline",
        summary="Write a note",
        returns=Note,
        body=timeline.NewNote,
        status=201,
        also=(409, 413, 415),
    ),
    Endpoint(
        name="remove_note",
        method="DELETE",
        path=f"{API}{_BRAND}/notes/{{note_id}}",
        handler=timeline.remove_note,
        role=_O,
        tag="timeline",
        summary="Take a note away",
        status=204,
        produces=(),
    ),
    _get("open_alerts", f"{_BRAND}/open-alerts", alerts.open_alerts, _V, "alerts", "Alerts that are open now", alerts.OpenAlerts),
    _get("alerts", f"{_BRAND}/alerts", alerts.alerts, _V, "alerts", "Alerts of a period, or of a promotion", alerts.Alerts),
    _get("alert", f"{_BRAND}/alerts/{{alert_id}}", alerts.alert, _V, "alerts", "An alert and its states", alerts.AlertHistory),
    Endpoint(
        name="acknowledge_alert",
        method="POST",
        path=f"{API}{_BRAND}/alerts/{{alert_id}}/acknowledge",
        handler=alerts.acknowledge,
        role=_O,
        tag="alerts",
        summary="Take an alert on",
        returns=Standing,
        body=alerts.Acknowledge,
        also=(409, 413, 415),
    ),
    _get("silences", f"{_BRAND}/silences", alerts.silences, _V, "alerts", "What keeps alerts from the channels", alerts.Silences),
    Endpoint(
        name="create_silence",
        method="POST",
        path=f"{API}{_BRAND}/silences",
        handler=alerts.create_silence,
        role=_O,
        tag="alerts",
        summary="Keep alerts from the channels for a while",
        returns=Silence,
        body=alerts.NewSilence,
        status=201,
        also=(409, 413, 415),
    ),
    Endpoint(
        name="end_silence",
        method="DELETE",
        path=f"{API}{_BRAND}/silences/{{silence_id}}",
        handler=alerts.end_silence,
        role=_O,
        tag="alerts",
        summary="End a silence early",
        status=204,
        produces=(),
    ),
    _get("census", f"{_BRAND}/census", figures.census, _V, "figures", "Users per layer", Census),
    _get("ledger", f"{_BRAND}/ledger", figures.ledger, _V, "figures", "The crowd ledger, minute by minute", figures.Ledger),
    _get("orders", f"{_BRAND}/orders", records.orders, _V, "records", "Orders, latest first", records.Orders),
    _get("transitions", f"{_BRAND}/transitions", records.transitions, _V, "records", "Transitions, latest first", records.Moves),
    _get("user", f"{_BRAND}/users/{{user_id}}", records.user, _O, "users", "A user's layer and evidence", records.UserStanding),
    _get("history", f"{_BRAND}/users/{{user_id}}/history", records.history, _O, "users", "A user's transitions", records.Moves),
    _get(
        "audience",
        f"{_BRAND}/audiences/{{layer}}",
        exports.audience,
        _O,
        "exports",
        "Users in a layer",
        exports.Audience,
        produces=_EXPORT,
    ),
    _get(
        "layers",
        f"{_BRAND}/layers",
        layers.layers,
        _O,
        "exports",
        "Every user's layer, each shard at one version",
        UserLayer,
        produces=(layers.MEDIA_TYPE,),
    ),
    _get(
        "suppression",
        f"{_BRAND}/suppression",
        exports.suppression,
        _O,
        "exports",
        "Users who have just bought",
        exports.Suppression,
        produces=_EXPORT,
    ),
    _get("promotions", "/promotions", promotions.promotions, _V, "promotions", "Every promotion", promotions.Promotions),
    Endpoint(
        name="create_promotion",
        method="POST",
        path=f"{API}/promotions",
        handler=promotions.create,
        role=_O,
        tag="promotions",
        summary="Make a promotion",
        returns=Promotion,
        body=promotions.NewPromotion,
        status=201,
        also=(404, 409, 413, 415),
    ),
    _get("promotion", _PROMOTION, promotions.promotion, _V, "promotions", "A promotion", Promotion),
    Endpoint(
        name="replace_promotion",
        method="PUT",
        path=API + _PROMOTION,
        handler=promotions.replace,
        role=_O,
        tag="promotions",
        summary="Say a promotion anew",
        returns=Promotion,
        body=promotions.Replacement,
        also=(412, 413, 415, 428),
    ),
    Endpoint(
        name="adjust_promotion",
        method="PATCH",
        path=API + _PROMOTION,
        handler=promotions.adjust,
        role=_O,
        tag="promotions",
        summary="Change targets while it runs",
        returns=Promotion,
        body=promotions.Adjustment,
        also=(412, 413, 415, 428),
    ),
    _get(
        "promotion_versions",
        f"{_PROMOTION}/versions",
        promotions.versions,
        _V,
        "promotions",
        "What was changed, by whom and why",
        promotions.Versions,
    ),
    _get("progress", f"{_PROMOTION}/progress", pacing.progress, _V, "promotions", "How a promotion stands", Progress),
    _get("pacing", f"{_PROMOTION}/pacing", pacing.pacing, _V, "promotions", "Plans, actual and projection as lines", Pacing),
    _get("beside", f"{_PROMOTION}/beside", pacing.beside, _V, "promotions", "Beside an earlier promotion", Beside),
    _get("report", f"{_PROMOTION}/report", report.report, _V, "promotions", "The report after the day", str, produces=("text/html",)),
    Endpoint(
        name="what_if",
        method="POST",
        path=f"{API}{_PROMOTION}/what-if",
        handler=pacing.what_if,
        role=_V,
        tag="promotions",
        summary="What edits would come to",
        returns=WhatIf,
        body=pacing.WhatIfAsked,
        also=(413, 415),
    ),
    _get("audit", "/audit", about.audit, _A, "about", "The audit log", list[AuditEntry]),
)
