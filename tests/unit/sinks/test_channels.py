"""Every channel against a server that checks what the real one checks."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from email import message_from_string
from email.policy import default
from pathlib import Path

import msgspec
import pytest

from schemas.alert import Alert, AlertState
from sinks.channels.delivery import Channel, Doubtful, Pace, Refused, TryLater
from sinks.channels.mail import Mail
from sinks.channels.robots import DingTalk, Feishu, WeCom
from sinks.channels.services import Alertmanager, Webhook
from sinks.channels.words import whole
from tests.channel_doubles import SECRET, Double, alertmanager, dingtalk, feishu, mail_server, served, webhook, wecom

EXAMPLES = Path(__file__).parents[3] / "schemas" / "examples"
FIRING, RESOLVED = (
    msgspec.json.decode((EXAMPLES / "alerts" / "valid" / f"{name}.json").read_bytes(), type=Alert) for name in ("firing", "resolved")
)
Make = Callable[[str], Channel]
ROBOTS: dict[str, tuple[Callable[..., tuple[int, object]], str, Make, Make]] = {
    "wecom": (wecom, "/send?key=k-1", lambda url: WeCom("w", url), lambda url: WeCom("w", url.replace("k-1", "k-2"))),
    "dingtalk": (dingtalk, "/send?access_token=t", lambda url: DingTalk("d", url, SECRET), lambda url: DingTalk("d", url, "other")),
    "feishu": (feishu, "/hook/1", lambda url: Feishu("f", url, SECRET), lambda url: Feishu("f", url, "other")),
}


@pytest.mark.parametrize("kind", ROBOTS)
def test_a_robot_takes_what_is_signed_and_refuses_what_is_not(kind: str) -> None:
    judge, path, good, bad = ROBOTS[kind]
    with served(Double(judge), path) as double:
        good(double.url).deliver([FIRING, RESOLVED])
        with pytest.raises(Refused):
            bad(double.url).deliver([FIRING])
    (text,) = double.taken
    assert FIRING.title["zh"] in text
    assert "恢复" in text


@pytest.mark.parametrize("kind", ROBOTS)
def test_a_robot_over_its_limit_is_tried_later(kind: str) -> None:
    judge, path, good, _ = ROBOTS[kind]
    with served(Double(judge, limit=2), path) as double:
        channel = good(double.url)
        for _ in range(2):
            channel.deliver([FIRING])
        with pytest.raises(TryLater) as error:
            channel.deliver([FIRING])
        assert error.value.seconds >= 60
        double.broken = 502
        with pytest.raises(TryLater):
            channel.deliver([FIRING])
    assert len(double.taken) == 2


def test_no_robot_is_sent_more_than_it_takes_a_minute() -> None:
    pace, now, sent = Pace(20), 0.0, []
    for _ in range(100):
        now += pace.wait(now)
        pace.sent(now)
        sent.append(now)
        now += 0.5
    assert all(sum(at <= other < at + 60 for other in sent) <= 20 for at in sent)
    assert Pace(None).wait(0.0) == 0.0


def test_what_is_long_is_cut_within_a_character_and_says_so() -> None:
    long = msgspec.structs.replace(FIRING, summary={"zh": "转" * 5_000})
    text = whole([long], "zh", 4_000)
    assert len(text.encode()) <= 4_000
    assert text.endswith("转…")


def test_alertmanager_gets_one_alert_an_id_with_its_newest_state() -> None:
    with served(Double(alertmanager)) as double:
        Alertmanager("a", double.url).deliver([FIRING, RESOLVED])
    (one,) = double.taken
    assert one["labels"]["alert_id"] == FIRING.alert_id
    assert one["endsAt"] == RESOLVED.at
    assert one["startsAt"] == FIRING.since


def test_a_webhook_is_signed_and_a_repeat_is_known_by_its_id() -> None:
    with served(Double(webhook)) as double:
        hook = Webhook("h", double.url, SECRET)
        hook.deliver([FIRING])
        hook.deliver([FIRING])
        hook.deliver([RESOLVED])
        with pytest.raises(Refused):
            Webhook("h", double.url, "other").deliver([FIRING])
    (first, records), (again, _), (other, _) = double.taken
    assert first == again != other
    assert msgspec.convert(records[0], Alert) == FIRING


def test_mail_says_it_in_its_subject_and_whole_in_its_text() -> None:
    with mail_server() as (url, taken):
        Mail("m", url, "rflow@example.com", ["ops@example.com"]).deliver([FIRING, RESOLVED])
    message = message_from_string(taken[0], policy=default)
    assert FIRING.title["zh"] in message["Subject"]
    assert message["To"] == "ops@example.com"
    assert RESOLVED.summary["zh"] in message.get_content()


def test_mail_that_is_turned_away_is_refused() -> None:
    with mail_server(refuse=True) as (url, taken), pytest.raises(Refused):
        Mail("m", url, "rflow@example.com", ["nobody@example.com"]).deliver([FIRING])
    assert taken == []


@pytest.mark.parametrize("make", [lambda url: WeCom("w", url), lambda url: Webhook("h", url, SECRET), lambda url: Alertmanager("a", url)])
def test_who_is_away_is_tried_later_and_no_error_tells_the_address(make: Make) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(TryLater) as error:
        make(f"http://127.0.0.1:{port}/send?key=k-1").deliver([FIRING])
    assert "k-1" not in str(error.value)


def test_a_connection_that_ends_without_an_answer_is_doubtful() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: server.accept()[0].close(), daemon=True).start()
        with pytest.raises(Doubtful):
            WeCom("w", f"http://127.0.0.1:{server.getsockname()[1]}/send").deliver([FIRING])


def test_only_services_that_know_a_repeat_are_sent_one() -> None:
    assert [c.may_repeat for c in (WeCom("w", ""), Feishu("f", ""), DingTalk("d", ""), Mail("m", "", "", []))] == [False] * 4
    assert Webhook("h", "", "").may_repeat
    assert Alertmanager("a", "").may_repeat
    assert RESOLVED.state is AlertState.RESOLVED
