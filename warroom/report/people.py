"""The report's sections about people and money: crowd, flows, channels, new users, who was lost, the earlier promotion, data quality."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from warroom.compare import Change
from warroom.drill import LabelLine
from warroom.figures import Activating
from warroom.markup import Html, Part, tag
from warroom.report.charts import bar
from warroom.report.facts import Facts
from warroom.report.shown import Shown, note, section, table

_MOST_LOST = 20
_SHADES = (0.001, 0.02, 0.1)


def crowd(facts: Facts, shown: Shown) -> Html:
    """Layer by layer at both ends, and what each bought."""
    words = shown.words
    sold = {row.layer: row for row in facts.returning}
    total = sum(row.users for row in facts.scaling)
    rows = [
        [
            shown.layer(row.layer),
            shown.count(row.users_before),
            shown.count(row.users),
            shown.signed_rate(row.growth),
            shown.rate(row.users / total if total else None),
            bar(row.users / total if total else 0),
            shown.count(row.new_users),
            shown.money(sold[row.layer].gmv) if row.layer in sold else "–",
            shown.rate(sold[row.layer].conversion_rate) if row.layer in sold else "–",
        ]
        for row in facts.scaling
    ]
    columns: list[Part] = [words(key) for key in ("layer", "before", "after", "growth", "share")]
    return section(words("ladder"), table([*columns, "", words("new_users"), words("sold"), words("conversion")], rows, 1))


def flows(facts: Facts, shown: Shown) -> Html:
    """The full matrix."""
    layers = [row.layer for row in facts.scaling]
    cells = {(row.from_layer, row.to_layer): row for row in facts.activating}
    head = tag("tr", tag("th", ""), [tag("th", layer) for layer in layers])
    body = [
        tag("tr", tag("th", shown.layer(one), class_="row"), [_cell(cells.get((one, other)), shown) for other in layers]) for one in layers
    ]
    drawn = tag("table", tag("thead", head), tag("tbody", body), class_="matrix")
    return section(shown.words("flows"), note(shown.words("flows_note")), drawn)


def _cell(flow: Activating | None, shown: Shown) -> Html:
    if flow is None:
        return tag("td", class_="same")
    if not flow.users:
        return tag("td", "·")
    shade = sum((flow.rate or 1.0) >= least for least in _SHADES)
    text = shown.count(flow.users) if flow.rate is None else f"{shown.count(flow.users)} ({shown.rate(flow.rate)})"
    return tag("td", text, class_=f"{'f' if flow.direction == 'forward' else 'r'}{shade}" if shade else None)


def channels(facts: Facts, shown: Shown) -> Html:
    """Channels, campaigns and stores, the best by GMV first."""
    words = shown.words
    parts = [_labels(facts.channels, shown, shown.channel, spent=True)]
    for key, lines, spent in (("campaigns", facts.campaigns, True), ("stores", facts.stores, False)):
        if any(line.label for line in lines):
            parts += [tag("h3", words(key)), _labels(lines, shown, lambda label: label or words("none"), spent=spent)]
    return section(words("channels"), *parts)


def _labels(lines: list[LabelLine], shown: Shown, name: Callable[[str], str], *, spent: bool) -> Part:
    words = shown.words
    if not lines:
        return note(words("no_data"))
    most = max((line.gmv for line in lines), default=0)
    keys = ["label", "gmv", "", "orders", "buyers", "order_value", "new_share", "up", "down", *(["spend", "roi"] if spent else [])]
    rows: list[list[Any]] = [
        [
            name(line.label),
            shown.money(line.gmv),
            bar(line.gmv / most if most else 0),
            shown.count(line.orders),
            shown.count(line.buyers),
            shown.money(line.gmv / line.orders if line.orders else None),
            shown.rate(line.gmv_new / line.gmv if line.gmv else None),
            shown.count(line.users_forward),
            shown.count(line.users_reverse),
            *([shown.money(line.spend or None), f"{line.gmv / line.spend:.2f}" if line.spend else "–"] if spent else []),
        ]
        for line in lines
    ]
    more = lines[0].labels - len(lines)
    return [table([words(key) if key else "" for key in keys], rows, 1), note(words("others", n=more)) if more else None]


def new_users(facts: Facts, shown: Shown) -> Html:
    """Who came new, and each group's part of the money."""
    words = shown.words
    total = next((row for row in facts.returning if not row.layer), None)
    if total is None:
        return section(words("new"), note(words("no_data")))
    known = total.gmv - total.gmv_new
    share = None if total.gmv_new_share is None else 1 - total.gmv_new_share
    rows = [
        [words("new_users"), shown.count(sum(row.new_users for row in facts.scaling)), "", ""],
        [words("new_gmv"), shown.money(total.gmv_new), shown.rate(total.gmv_new_share), bar(total.gmv_new_share or 0)],
        [words("known_gmv"), shown.money(known), shown.rate(share), bar(share or 0)],
    ]
    return section(words("new"), table(["", "", words("share"), ""], rows, 1), note(words("new_note")))


def lost(facts: Facts, shown: Shown) -> Html:
    """Reverse flows by layer, reason and channel."""
    words = shown.words
    if not facts.lost:
        return section(words("lost"), note(words("no_data")))
    rows = [
        [f"{shown.layer(one.from_layer)} → {one.to_layer}", words.known(one.kind), shown.channel(one.channel), shown.count(one.users)]
        for one in facts.lost[:_MOST_LOST]
    ]
    more = len(facts.lost) - _MOST_LOST
    columns: list[Part] = [words(key) for key in ("layer", "reason", "channel", "users")]
    return section(words("lost"), note(words("lost_note")), table(columns, rows, 3), note(words("others", n=more)) if more > 0 else None)


def compared(facts: Facts, shown: Shown) -> Html:
    """The whole against the earlier promotion, as far into it as this one has come."""
    words, found = shown.words, facts.comparison
    if found is None or facts.earlier is None:
        return section(words("compare"), note(words("no_earlier")))
    total = next(line.figures for line in found.returning if not line.of["layer"])
    figures: list[tuple[str, str, Callable[[float | None], str]]] = [
        ("gmv", words("gmv"), shown.money),
        ("orders", words("orders"), shown.count),
        ("buyers", words("buyers"), shown.count),
        ("order_value", words("order_value"), shown.money),
        ("conversion_rate", words("conversion"), shown.rate),
        ("gmv_new_share", words("new_share"), shown.rate),
        ("spend", words("spend"), shown.money),
        ("roi", words("roi"), lambda value: "–" if value is None else f"{value:.2f}"),
    ]
    rows = [_difference(name, total[key], written, shown) for key, name, written in figures]
    rows += [_difference(shown.layer(line.of["layer"]), line.figures["users"], shown.count, shown) for line in found.scaling]
    span = f"{shown.time(found.against.begins)} – {shown.time(found.against.ends)}"
    columns: list[Part] = [words("figure"), words("this"), words("earlier"), words("difference"), words("relative")]
    return section(words("compare"), note(f"{words('aligned')}: {facts.earlier.name}, {span}"), table(columns, rows, 1))


def _difference(name: str, change: Change, written: Callable[[float | None], str], shown: Shown) -> list[Any]:
    absolute = change.absolute
    signed = "–" if absolute is None else f"+{written(absolute)}" if absolute > 0 else written(absolute)
    return [name, written(change.value), written(change.against), signed, shown.signed_rate(change.relative)]


def quality(facts: Facts, shown: Shown) -> Html:
    """What stands behind the figures, and what does not."""
    words, found = shown.words, facts.quality
    total = next((row for row in facts.returning if not row.layer), None)
    letters, junk = found.dead_letters, facts.junk
    listed = ", ".join(f"{reason} {count:,}" for reason, count in sorted(letters.items(), key=lambda one: -one[1]))
    flooded = ", ".join(f"{shown.channel(one.channel)} {one.type} {one.junk:,}" for one in junk[:5])
    turn = facts.ladder.calendar(facts.promotion.brand)[1]
    lines = [
        words("final") if facts.is_final else words("provisional", turn=turn),
        words("counted", applied=f"{found.applied:,}", duplicates=f"{found.duplicates:,}", late=f"{found.late:,}"),
        words("letters", total=f"{sum(letters.values()):,}", list=listed) if letters else words("no_letters"),
        words("junk", total=f"{sum(one.junk for one in junk):,}", list=flooded) if junk else words("no_junk"),
        words("rules", refunds=shown.money(total.refunds if total else 0), currency=facts.progress.currency, zone=facts.zone),
    ]
    return tag("footer", tag("h3", words("quality")), [tag("p", line) for line in lines])
