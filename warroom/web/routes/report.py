"""The report after the day."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query
from starlette.responses import Response

from warroom.report.facts import Library, gather
from warroom.report.page import report as written
from warroom.report.style import POLICY
from warroom.web.call import CallOf, tagged
from warroom.web.routes.pacing import Earlier, seen
from warroom.web.routes.promotions import PromotionId

Language = Annotated[Literal["zh", "en"], Query(description="the report's language")]


async def report(call: CallOf, promotion_id: PromotionId, lang: Language = "zh", earlier: Earlier = None) -> Response:
    """The report of a promotion as one self-contained HTML file, to be printed or kept; while it runs, of the day so far."""

    def work(library: Library) -> bytes:
        return written(gather(library, promotion_id, call.room.now(), earlier), lang).encode()

    named = (promotion_id,) if earlier is None else (promotion_id, earlier)
    shown = await call.room.board.told(("report", named, lang), named, work)
    response = tagged(call.request, seen(call, shown), "text/html")
    response.headers["Content-Security-Policy"] = f"{POLICY}; frame-ancestors 'none'"
    return response
