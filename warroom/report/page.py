"""The whole page."""

from __future__ import annotations

from warroom.markup import Html, tag
from warroom.report import people, plan
from warroom.report.facts import Facts
from warroom.report.shown import Shown
from warroom.report.style import POLICY, STYLE
from warroom.report.words import Words
from warroom.wording import Language

_SECTIONS = (
    plan.head,
    plan.key_figures,
    plan.pacing,
    plan.targets,
    plan.changes,
    people.crowd,
    people.flows,
    people.channels,
    people.new_users,
    people.lost,
    people.compared,
    people.quality,
)


def report(facts: Facts, language: Language) -> str:
    """The report as one HTML file that loads nothing from anywhere."""
    shown = Shown(facts, Words(language))
    title = f"{facts.promotion.name} · {shown.words('report')}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        Html(f"<style>{STYLE}</style>"),
    )
    body = tag("body", [make(facts, shown) for make in _SECTIONS])
    return f"<!doctype html>\n{tag('html', head, body, lang='zh-CN' if language == 'zh' else 'en')}\n"
