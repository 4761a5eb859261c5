"""A subscription's file, its signature, its breaker."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.signature import SecretError, read_secret, signed_headers
from schemas.subscriber import Filter
from sinks.subscription.breaker import Breaker
from sinks.subscription.config import SubscriptionError, Wanted, load_subscription, parse_subscription
from sinks.subscription.webhook import Fate, judge

EXAMPLE = Path(__file__).parents[3] / "examples" / "just-bought.yaml"
WHOLE = "subscription: own\npositions: p\nwebhook:\n  url: http://crm.example/x\n  secret_file: s\n  dead_letters: d\n"


def test_the_example_is_one() -> None:
    found = load_subscription(EXAMPLE)
    assert found.wanted.filter() == Filter(to=frozenset({"R4", "R5"}), kinds=frozenset({"advance"}))
    assert found.webhook is not None
    assert found.webhook.secret_file == str(EXAMPLE.with_name("just-bought.secret"))
    assert found.positions == str(EXAMPLE.with_name("just-bought.positions"))


MISTAKES = [
    ("", "own.yaml:1: expected a mapping with subscription"),
    ("subscription: own\n", "own.yaml:1: expected either `webhook` or `stdout: true`, found neither"),
    (WHOLE + "stdout: true\n", "own.yaml:7: expected either `webhook` or `stdout: true`, found both"),
    (WHOLE.replace("positions: p\n", ""), "own.yaml:2: expected `positions`, the file that remembers"),
    (WHOLE.replace("http://", "ftp://"), "own.yaml:4: expected a URL that begins with https:// or http://, found 'ftp://crm.example/x'"),
    (WHOLE.replace("own", "Own"), "own.yaml:1: expected a name (at most 64 small letters, digits, _ or -), found 'Own'"),
    (WHOLE + "start: noon\n", "own.yaml:7: expected beginning, end, or an RFC 3339 time with an offset in quotes, found 'noon'"),
    (WHOLE + "start: '2026-11-11T00:00:00'\n", "own.yaml:7: expected beginning, end, or an RFC 3339 time with an offset"),
    (
        WHOLE + "wanted:\n  too: [R4]\n",
        "own.yaml:8: expected one of brands, from, to, kinds, directions, channels, found the unknown key 'too'",
    ),
    (
        WHOLE + "wanted:\n  kinds: [advanced]\n",
        "own.yaml:8: expected one of advance, retract, decay, recompute, merge, erase, found 'advanced'",
    ),
    (WHOLE + "wanted:\n  directions: [up]\n", "own.yaml:8: expected one of forward, reverse, found 'up'"),
    (WHOLE + "wanted:\n  to: R4\n", "own.yaml:8: expected a list, found 'R4'"),
    (WHOLE + "  in_flight: 0\n", "own.yaml:7: expected a whole number from 1 to 1000, found the number 0"),
    (WHOLE + "  backoff_first: 5\n  backoff_most: 1\n", "own.yaml:8: expected at least backoff_first, 5 seconds, found 1"),
    (WHOLE.replace("  secret_file: s\n", ""), "own.yaml:3: expected `secret_file`, a text of 1 to 4096 characters, found none"),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES, ids=[message for _, message in MISTAKES])
def test_a_mistake_is_told_with_its_line(text: str, message: str) -> None:
    with pytest.raises(SubscriptionError) as raised:
        parse_subscription(text, Path("own.yaml"))
    assert message in str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SubscriptionError, match="expected the file of a subscription, found"):
        load_subscription(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"short", "at least 16 bytes in .* found 5"),
        (b"whsec_%%%", "expected Base64 after whsec_"),
        (b"", "found 0"),
        (None, "a readable file"),
    ],
)
def test_a_secret_that_is_none_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SecretError, match=message):
        read_secret(path)


def test_the_signature_is_that_of_the_specifications_example(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
    headers = signed_headers(read_secret(path), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert headers["webhook-id"] == headers["idempotency-key"] == "msg_p5jXN8AQM9LWM0D4loKWxJek"
    assert headers["webhook-timestamp"] == "1614265330"


@pytest.mark.parametrize(
    ("status", "retry_after", "fate", "after"),
    [
        (200, "", Fate.TAKEN, 0),
        (204, "", Fate.TAKEN, 0),
        (301, "", Fate.REFUSED, 0),
        (400, "", Fate.REFUSED, 0),
        (410, "7", Fate.REFUSED, 0),
        (408, "", Fate.FAILED, 0),
        (429, "7", Fate.FAILED, 7),
        (500, "", Fate.FAILED, 0),
        (503, "Wed, 21 Oct 2026 07:28:00 GMT", Fate.FAILED, 0),
    ],
)
def test_what_an_answer_means(status: int, retry_after: str, fate: Fate, after: float) -> None:
    answer = judge(status, retry_after, b"\xffwhy")
    assert (answer.fate, answer.after) == (fate, after)


def test_the_breaker_opens_after_so_many_failures_in_a_row_and_tries_once() -> None:
    breaker = Breaker(failures=3, first=1, most=3)
    assert [breaker.failed(0.0), breaker.failed(0.1)] == [False, False]
    breaker.succeeded()
    assert [breaker.failed(1.0), breaker.failed(1.1), breaker.failed(1.2)] == [False, False, True]
    assert breaker.is_open
    assert breaker.wait(1.5) == pytest.approx(0.7)
    assert breaker.failed(1.6) is False, "one that was under way"
    assert breaker.wait(2.2) == 0
    assert breaker.wait(2.2) > 0, "a second trial beside the first"
    assert breaker.failed(2.3) is False
    assert breaker.wait(2.4) == pytest.approx(1.9), "twice as long"
    assert breaker.wait(4.3) == 0
    breaker.failed(4.3)
    assert breaker.wait(4.3) == pytest.approx(3), "and no longer than the most"
    assert breaker.wait(7.3) == 0
    breaker.gave_up()
    assert breaker.wait(7.3) == 0
    breaker.succeeded()
    assert not breaker.is_open
    assert [breaker.failed(8.0), breaker.failed(8.0), breaker.failed(8.0)] == [False, False, True]
    assert breaker.wait(8.0) == pytest.approx(1), "from the beginning"


def test_layers_that_the_ladder_does_not_have_are_named() -> None:
    assert Wanted(from_=("R2", "R7"), to=("R9", "R4")).layers_beside({"R2", "R3", "R4"}) == ["R7", "R9"]
    assert Wanted().layers_beside({"R2"}) == []
