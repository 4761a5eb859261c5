"""Ways out beside each other on a real Redis: one that is away delays itself alone, and of each state one message goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from schemas.alert import Acknowledgement, Alert, AlertState
from schemas.times import DAY_MS
from sinks.channels.robots import WeCom
from sinks.channels.services import Webhook
from tests.channel_doubles import SECRET, Double, served, webhook, wecom
from warroom.alerts.acknowledging import acknowledged
from warroom.alerts.book import AlertBook, TooManySilences, opened
from warroom.alerts.engine import BrandState
from warroom.alerts.outlet import Outlet
from warroom.alerts.silence import Silence
from warroom.states import RedisConfig

EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples" / "alerts" / "valid"
FIRING, RESOLVED = (msgspec.json.decode((EXAMPLES / f"{name}.json").read_bytes(), type=Alert) for name in ("firing", "resolved"))
NOW = 1_794_355_200_000


@pytest.fixture
def book(redis_db_url: str, key_prefix: str) -> Iterator[AlertBook]:
    with opened(RedisConfig(url=redis_db_url, prefix=key_prefix)) as made:
        yield made


def tell(book: AlertBook, version: int, *alerts: Alert) -> bool:
    return book.save(version, BrandState(brand="acme", judged=NOW + version), alerts)


def test_of_two_who_judged_the_same_minute_one_tells_it(book: AlertBook) -> None:
    assert tell(book, 0, FIRING)
    assert not tell(book, 0, FIRING)
    assert len(book.unread("topic", 10)) == 1
    version, state = book.load("acme")
    assert (version, state.judged) == (1, NOW)


def test_who_acknowledges_first_stays_and_the_engine_is_asked_until_it_has_told(book: AlertBook) -> None:
    lin, omar = (Acknowledgement(by=name, at=FIRING.at) for name in ("lin", "omar"))
    assert book.acknowledge(FIRING, lin) == lin
    assert book.acknowledge(FIRING, omar) == lin
    assert book.acknowledgements([FIRING.alert_id, "other"]) == {FIRING.alert_id: lin}
    (asked,) = book.asked()
    assert (asked.alert, asked.acknowledgement) == (FIRING, lin)
    state, told = acknowledged(BrandState(brand="acme", judged=NOW), asked)
    assert told is not None
    assert book.save(0, state, [told], (FIRING.alert_id,))
    assert book.asked() == []
    assert [one.alert for one in book.unread("topic", 10)] == [told]
    assert book.acknowledge(FIRING, omar) == lin
    assert book.asked() == []


def test_silences_are_bounded_kept_for_a_month_and_ended_once(book: AlertBook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warroom.alerts.book.MOST_SILENCES", 2)
    first, second, third = (Silence(silence_id=name, brand="acme", until=NOW, by="ann", because="known") for name in "abc")
    book.silence(first, NOW - 1)
    assert book.end_silence("other", "a", by="omar", now=NOW - 1) is None
    ended = book.end_silence("acme", "a", by="omar", now=NOW - 1)
    assert ended == msgspec.structs.replace(first, until=NOW - 1, ended_by="omar")
    assert book.end_silence("acme", "a", by="omar", now=NOW) is None
    book.silence(second, NOW)
    with pytest.raises(TooManySilences, match="expected 2 silences at most"):
        book.silence(third, NOW)
    book.silence(third, NOW + 31 * DAY_MS)
    assert [one.silence_id for one in book.silences()] == ["c"]


def test_one_that_is_away_delays_itself_alone_and_gets_all_when_it_is_back(book: AlertBook) -> None:
    with served(Double(wecom), "/send?key=k-1") as robot, served(Double(webhook)) as service:
        outlets = [Outlet(WeCom("ops", robot.url), book, lambda: NOW), Outlet(Webhook("crm", service.url, SECRET), book, lambda: NOW)]
        robot.broken = 503
        for version, alert in enumerate((FIRING, RESOLVED)):
            tell(book, version, alert)
            waits = [one.step() for one in outlets]
            assert waits[0] > 0
        assert (len(robot.taken), len(service.taken)) == (0, 2)
        robot.broken = None
        outlets[0].step()
        (text,) = robot.taken
        assert "告警" in text
        assert "恢复" in text
        asked = robot.asked
        for one in outlets:
            one.step()
        assert robot.asked == asked  # there is nothing more to say
        book.trim(["ops", "crm"])
        assert [len(book.unread(name, 10)) for name in ("ops", "crm")] == [0, 0]


def test_what_a_process_was_sending_when_it_died_goes_again_only_where_a_repeat_is_known(book: AlertBook) -> None:
    with served(Double(wecom), "/send?key=k-1") as robot, served(Double(webhook)) as service:
        tell(book, 0, FIRING)
        for name in ("ops", "crm"):
            book.trying(name, book.unread(name, 1)[-1].entry)
        tell(book, 1, RESOLVED)
        for channel in (WeCom("ops", robot.url), Webhook("crm", service.url, SECRET)):
            outlet = Outlet(channel, book, lambda: NOW)
            outlet.step()
            outlet.step()
        assert [("告警" in text, "恢复" in text) for text in robot.taken] == [(False, True)]
        assert [len(records) for _, records in service.taken] == [2]


def test_what_is_refused_for_good_holds_nothing_up(book: AlertBook) -> None:
    with served(Double(wecom), "/send?key=k-1") as robot:
        tell(book, 0, FIRING)
        Outlet(WeCom("ops", robot.url.replace("k-1", "wrong")), book, lambda: NOW).step()
        assert book.unread("ops", 10) == []


def test_what_is_silenced_or_planned_reaches_the_topic_alone_and_a_silence_ends(book: AlertBook) -> None:
    silence = Silence(silence_id="s", brand="acme", rule=FIRING.rule, until=NOW + 1, by="ann", because="known")
    planned = msgspec.structs.replace(FIRING, alert_id="planned", rule="other", scope={"planned": "true"})
    with served(Double(webhook)) as service:
        book.silence(silence, NOW)
        tell(book, 0, FIRING, planned)
        Outlet(Webhook("crm", service.url, SECRET), book, lambda: NOW).step()
        assert service.taken == []
        Outlet(Webhook("topic", service.url, SECRET), book, lambda: NOW, to_all=True).step()
        assert [len(records) for _, records in service.taken] == [2]
        other = msgspec.structs.replace(FIRING, alert_id="other")
        tell(book, 1, RESOLVED, other)  # of the first nothing was sent: that it is over is no news
        Outlet(Webhook("crm", service.url, SECRET), book, lambda: NOW + 1).step()
        assert [len(records) for _, records in service.taken] == [2, 1]
        assert book.withheld("crm") == set()


def test_who_was_told_of_an_alert_is_told_of_its_end_whatever_was_silenced_between(book: AlertBook) -> None:
    begun, ended, *_ = (msgspec.structs.replace(one, alert_id="known") for one in (FIRING, RESOLVED))
    updated = msgspec.structs.replace(FIRING, state=AlertState.UPDATED, version=2)
    clock = [NOW]
    with served(Double(webhook)) as service:
        outlet = Outlet(Webhook("crm", service.url, SECRET), book, lambda: clock[0])
        tell(book, 0, begun)
        outlet.step()
        book.silence(Silence(silence_id="s", brand="acme", until=NOW + 1, by="ann", because="known"), NOW)
        tell(book, 1, FIRING)
        outlet.step()
        clock[0] = NOW + 1
        tell(book, 2, updated)
        outlet.step()
        tell(book, 3, ended, RESOLVED)
        outlet.step()
        assert [len(records) for _, records in service.taken] == [1, 1, 2]


def test_a_silence_holds_back_news_of_an_alert_that_was_told_and_never_its_end(book: AlertBook) -> None:
    updated = msgspec.structs.replace(FIRING, state=AlertState.UPDATED, version=2)
    begun_silent, ended_silent = (msgspec.structs.replace(one, alert_id="silent") for one in (FIRING, RESOLVED))
    with served(Double(webhook)) as service:
        outlet = Outlet(Webhook("crm", service.url, SECRET), book, lambda: NOW)
        tell(book, 0, FIRING)
        outlet.step()
        book.silence(Silence(silence_id="s", brand="acme", until=NOW + 1, by="ann", because="known"), NOW)
        for version, records in enumerate(((updated, begun_silent), (RESOLVED, ended_silent)), 1):
            tell(book, version, *records)
            outlet.step()
        sent = [[(one["alert_id"], one["state"]) for one in records] for _, records in service.taken]
        assert sent == [[(FIRING.alert_id, "firing")], [(FIRING.alert_id, "resolved")]]
        assert book.withheld("crm") == set()
