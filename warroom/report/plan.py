"""The report's sections about the plan: key figures, pacing, targets, what was changed."""

from __future__ import annotations

from collections.abc import Callable

from warroom.markup import Html, Part, tag
from warroom.progress import CellProgress, Totals
from warroom.report.charts import Series, column_chart, line_chart
from warroom.report.facts import Facts
from warroom.report.shown import Shown, note, section, table
from warroom.timeline import target_changes


def head(facts: Facts, shown: Shown) -> Html:
    """Title, window, how fresh it is."""
    words, promotion = shown.words, facts.promotion
    badge = None if facts.is_over else tag("span", words("interim"), class_="badge")
    facts_of = (
        (words("window"), f"{shown.time(promotion.window.from_)} – {shown.time(promotion.window.to)} ({facts.zone})"),
        (words("as_of"), shown.time(facts.period.ends)),
        (words("written"), shown.time(facts.written_at)),
    )
    return tag(
        "header",
        tag("div", f"{words('report')} · {promotion.brand}", badge, class_="kind"),
        tag("h1", promotion.name),
        tag("dl", [tag("div", tag("dt", name), tag("dd", text)) for name, text in facts_of]),
    )


def key_figures(facts: Facts, shown: Shown) -> Html:
    """Four figures against both plans, and the sentence about the shortfall."""
    words, found = shown.words, facts.progress
    cards = [
        _card(shown, words("gmv"), found.gmv, shown.money, facts.is_over),
        _card(shown, words("orders"), found.orders, shown.count, facts.is_over),
        _card(shown, words("buyers"), found.buyers, shown.count, facts.is_over),
        _card(shown, words("order_value"), found.order_value, shown.money, facts.is_over),
    ]
    outside = note(f"{words('outside')}: {shown.money(found.outside)}") if found.outside else None
    return section(words("key"), tag("div", cards, class_="cards"), tag("p", found.sentence[words.language], class_="sentence"), outside)


def _card(shown: Shown, name: str, totals: Totals, written: Callable[[float | None], str], is_over: bool) -> Html:
    words = shown.words
    pace = None
    if totals.pace is not None:
        style, arrow = ("ahead", "▲") if totals.pace >= 1 else ("behind", "▼")
        pace = tag("div", f"{arrow} {words('of_plan', share=shown.rate(totals.pace))}", class_=f"pace {style}")
    lines = [f"{words('original')} {written(totals.original)}", f"{words('current')} {written(totals.current)}"]
    if not is_over:
        lines.append(f"{words('due')} {written(totals.current_so_far)}")
        if totals.projected is not None:
            end = totals.projected
            lines.append(f"{words('projected')} {written(end.end)} ({written(end.low)} – {written(end.high)})")
    small = [tag("div", line, class_="small") for line in lines]
    return tag("div", tag("div", name, class_="name"), tag("div", written(totals.actual), class_="value"), pace, small, class_="card")


def pacing(facts: Facts, shown: Shown) -> Html:
    """The pacing chart, and the steps beside an earlier promotion."""
    words, lines = shown.words, facts.pacing.gmv
    series = [
        Series(name=words("original"), values=lines.original, style="original"),
        Series(name=words("current"), values=lines.planned, style="current"),
    ]
    band = None
    if not facts.is_over and any(one is not None for one in lines.projected):
        series.append(Series(name=words("projected"), values=lines.projected, style="projected"))
        band = (lines.low, lines.high)
    series.append(Series(name=words("actual"), values=lines.actual, style="actual"))
    chart = line_chart(facts.pacing.at, series, band, value=shown.money, time=shown.short_time, title=words("pacing_note"))
    return section(words("pacing"), chart, _beside(facts, shown))


def _beside(facts: Facts, shown: Shown) -> Html:
    words, found = shown.words, facts.beside
    step = found.step_minutes * 60_000
    names = [shown.short_time(found.begins + i * step) for i in range(max(len(found.gmv), len(found.earlier_gmv)))]
    theirs = facts.earlier.name if facts.earlier else words("earlier")
    title = words("beside") if facts.earlier else words("per_step")
    return column_chart(names, found.gmv, found.earlier_gmv, value=shown.money, labels=(facts.promotion.name, theirs), title=title)


def targets(facts: Facts, shown: Shown) -> Html:
    """The target tree's cells: what was planned first, what last, what came."""
    words = shown.words
    columns: list[Part] = [words(key) for key in ("scope", "owner", "headcount", "rate", "order_value", "target", "sold")]
    return section(words("targets"), table(columns, [_target(cell, shown) for cell in facts.progress.cells], 2))


def _target(cell: CellProgress, shown: Shown) -> list[Part]:
    first, now = cell.original, cell.current
    return [
        " · ".join(part for part in (*_scope(cell, shown), shown.layer(cell.layer)) if part),
        cell.owner,
        _three(shown.count, first.headcount if first else None, now.headcount, cell.actual_headcount),
        _three(shown.rate, first.conversion_rate if first else None, now.conversion_rate, cell.actual_rate),
        _three(shown.money, first.order_value if first else None, now.order_value, cell.actual_order_value),
        shown.money(now.gmv),
        shown.money(cell.actual_gmv),
    ]


def _scope(cell: CellProgress, shown: Shown) -> list[str]:
    return [shown.channel(cell.channel) if cell.channel else "", cell.store_id or ""]


def _three(written: Callable[[float | None], str], original: float | None, current: float | None, actual: float | None) -> str:
    return " · ".join(written(one) for one in (original, current, actual))


def changes(facts: Facts, shown: Shown) -> Html:
    """Every version with who, when and why; and what operators noted."""
    words = shown.words
    rows = [
        [
            str(one.version),
            shown.time(one.at),
            one.changed_by,
            one.reason,
            shown.money(one.gmv_after),
            words("first_plan") if one.gmv_before is None else shown.signed_money(one.gmv_after - one.gmv_before),
        ]
        for one in target_changes(facts.versions)
    ]
    columns: list[Part] = [words(key) for key in ("version", "from", "by", "why", "target", "change")]
    notes = [[shown.time(one.at), one.author, one.text] for one in facts.notes]
    told = None if not notes else [tag("h3", words("notes")), table([words("time"), words("author"), words("text")], notes, class_="log")]
    return section(words("changes"), table(columns, rows, 4), told)
