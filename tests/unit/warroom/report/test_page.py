"""The report is one file that loads nothing, in two languages, and whatever names hold stays text."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest

from schemas.ladder_file import load_ladder
from schemas.promotion import Promotion, Target
from tests.unit.warroom.promotions_by_hand import BEGIN, DAY, at, promotion, row, version
from warroom.beside import beside
from warroom.compare import Comparison, Period, compared
from warroom.drill import LabelLine, LostLine, Quality
from warroom.figures import Activating, By, Junk, Returning, Scaling
from warroom.markup import Html, tag
from warroom.notes import Note
from warroom.pacing_lines import pacing
from warroom.progress import Actual, progress
from warroom.report.charts import nice
from warroom.report.facts import Facts
from warroom.report.page import report
from warroom.report.style import STYLE
from warroom.report.words import WORDS
from warroom.sales import CellSales, Heads, MinuteSales

LADDER = load_ladder("5r")
LAYERS = [layer.id for layer in LADDER.layers]
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>\u202e&amp;{0}%s'
ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "header", "section", "footer", "div", "span", "p", "h1", "h2", "h3"),
    *("dl", "dt", "dd", "table", "thead", "tbody", "tr", "th", "td", "figure", "figcaption"),
    *("svg", "path", "rect", "line", "text"),
}


def returning(layer: str, gmv: int, orders: int) -> Returning:
    values: dict[str, Any] = dict.fromkeys(Returning.__struct_fields__)
    return Returning(
        **{
            **values,
            "split": "all",
            "layer": layer,
            "gmv": gmv,
            "refunds": 70_000,
            "orders": orders,
            "buyers": orders,
            "stood": 5_000,
            "conversion_rate": 0.08,
            "gmv_new": gmv // 4,
            "gmv_new_share": 0.25,
            "spend": 900_000,
            "roi": gmv / 900_000,
        }
    )


def label(name: str, gmv: int) -> LabelLine:
    return LabelLine(
        label=name,
        orders=gmv // 10_000,
        buyers=gmv // 11_000,
        gmv=gmv,
        gmv_new=gmv // 3,
        refunds=0,
        users_forward=gmv // 5_000,
        users_reverse=41,
        spend=gmv // 6,
        labels=14,
    )


def facts(versions: list[Promotion], minute: int = DAY, text: str = "x", **given: Any) -> Facts:
    """A day worked out of nothing: 100 yuan a minute."""
    sold = [MinuteSales(minute=at(n), orders=1, gmv=10_000 + 50 * (n % 60), refunded=0, buyers_so_far=n + 1) for n in range(minute)]
    actual = Actual(
        minutes=sold,
        cells=[CellSales(layer="R3", channel="tmall", store_id="", orders=300, gmv=3_000_000, refunded=0)],
        heads=[Heads(layer="R3", channel="tmall", store_id="", users=4_000)],
    )
    period = Period(begins=BEGIN, ends=at(minute))
    totals = [returning("", 14_000_000, 1_440), *(returning(layer, 2_000_000, 200) for layer in LAYERS)]
    scaling = [
        Scaling(split="all", layer=layer, users=900 + i, users_before=800, growth=0.125, new_users=90, known_users=810)
        for i, layer in enumerate(LAYERS)
    ]
    values: dict[str, Any] = {
        "written_at": at(DAY + 90),
        "zone": "Asia/Shanghai",
        "ladder": LADDER,
        "versions": versions,
        "period": period,
        "is_over": minute >= DAY,
        "is_final": False,
        "progress": progress(versions, actual, at(minute), currency="CNY", label=lambda scope, _: scope.path),
        "pacing": pacing(versions, sold, at(minute), 5, currency="CNY"),
        "beside": beside(versions[-1], sold, versions[0], sold[: minute // 2], at(minute), 60),
        "earlier": msgspec.structs.replace(versions[0], name=text),
        "comparison": Comparison(
            brand="acme",
            by=By.ALL,
            period=period,
            against=period,
            same_length=True,
            scaling=compared(scaling, scaling),
            triangulating=[],
            activating=[],
            returning=compared(totals, [returning("", 9_000_000, 1_000)]),
        ),
        "scaling": scaling,
        "activating": [
            Activating(
                split="all",
                from_layer=one,
                to_layer=other,
                direction="forward" if other > one else "reverse",
                users=17 * i,
                transitions=18 * i,
                users_before=800,
                rate=17 * i / 800,
            )
            for i, (one, other) in enumerate((a, b) for a in LAYERS for b in LAYERS if a != b)
        ],
        "returning": totals,
        "channels": [label("tmall", 8_000_000), label(text, 2_000_000), label("", 10_000)],
        "campaigns": [label(text, 2_000_000)],
        "stores": [label("sh-017", 500_000)],
        "lost": [LostLine(from_layer="R3", to_layer="R1", kind="retract", channel=text, users=83, transitions=85)],
        "notes": [Note(note_id="0" * 16, at=at(300), text=text, author=text, written_at=at(300))],
        "junk": [Junk(channel=text, type="ad_exposure", touchpoints=9, junk=5, share=0.3)],
        "quality": Quality(applied=120_000, duplicates=31, late=12, dead_letters={"invalid_json": 4, text: 1}),
        **given,
    }
    return Facts(**values)


class Seen(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(name)
        self.attributes |= {key for key, _ in attributes}

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("minute", [300, DAY])
def test_whatever_names_hold_stays_text(language: Any, minute: int) -> None:
    tree = Target(owner=HOSTILE, parts=(Target(owner=HOSTILE, channel=HOSTILE, store_id=HOSTILE, layers=(row("R3", 100, 0.1, 100),)),))
    hostile = promotion(name=HOSTILE, brand=HOSTILE, target=tree, changed_by=HOSTILE, reason=HOSTILE)
    page = report(facts([hostile, version(2, 200, hostile)], minute, HOSTILE), language)
    seen = Seen(page)
    assert seen.tags <= ALLOWED
    assert not {name for name in seen.attributes if name.startswith("on") or name in ("style", "src", "href")}
    assert seen.text.count("<script>alert(1)</script><img src=x onerror=alert(2)>") >= 12
    assert "\u202e" not in page
    assert "http" not in page.replace("http-equiv", "")


@pytest.mark.parametrize(
    ("language", "names"), [("zh", ("成交额 GMV", "R3 共鸣", "天猫")), ("en", ("Order value", "R3 Resonate", "Tmall"))]
)
def test_it_tells_the_day_in_both_languages(language: Any, names: tuple[str, ...]) -> None:
    lowered = version(2, 300, reason="fewer came", changed_by="li", target=promotion().target)
    told = facts([promotion(), lowered])
    text = Seen(report(told, language)).text
    assert all(name in text for name in names)
    assert told.progress.sentence[language] in text
    assert "fewer came" in text
    assert "{" not in text.replace(STYLE, "")
    other = Seen(report(told, "en" if language == "zh" else "zh")).text
    assert text != other


def test_a_day_without_anything_is_told_too() -> None:
    empty: dict[str, Any] = {name: [] for name in ("activating", "channels", "campaigns", "stores", "lost", "notes", "junk")}
    nothing = Quality(applied=0, duplicates=0, late=0, dead_letters={})
    told = facts([promotion()], 0, earlier=None, comparison=None, returning=[], quality=nothing, **empty)
    text = Seen(report(told, "en")).text
    assert "There is no earlier promotion to compare with." in text
    assert "No dead letters." in text
    assert "still running" in text


def test_languages_have_the_same_words() -> None:
    assert WORDS["zh"].keys() == WORDS["en"].keys()


def test_only_what_tag_made_is_markup() -> None:
    assert tag("p", "<b>", Html("<i>"), 3, None, ["&", tag("br")], title='"<') == '<p title="&quot;&lt;">&lt;b&gt;<i>3&amp;<br></p>'
    assert tag("text", x=1.0, y=2.345, text_anchor="end", class_=None) == '<text x="1" y="2.35" text-anchor="end"></text>'


@pytest.mark.parametrize(("most", "end"), [(1, 1), (1.1, 2), (7, 10), (23_000, 25_000), (0.3, 0.5), (99, 100)])
def test_axes_end_at_round_figures(most: float, end: float) -> None:
    assert nice(most) == pytest.approx(end)
