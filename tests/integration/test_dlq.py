"""The dead letters' desk on a real Kafka and real workers: listed, shown, replayed once whatever crashes, purged."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner, Result

from deploy.cli.commands import app_of
from schemas.deadletter import Reason
from schemas.ladder_file import load_ladder
from schemas.partition import partition_of
from streams.replayed import ATTEMPT_HEADER, FIRST_SEEN_HEADER, REPLAYED_HEADER
from tests.integration.test_worker import broken_records
from tests.workers import Deployment, Sent, assert_chained, headers_of

T0 = time.time_ns() // 1_000_000 - 60_000
LIKES, ORDERS = "touchpoints.interaction", "touchpoints.order"
RING = 16
Run = Callable[..., Result]


@pytest.fixture
def deployment(tmp_path: Path, kafka: str, redis_url: str, topic_prefix: str, key_prefix: str) -> Iterator[Deployment]:
    with Deployment(tmp_path, kafka, redis_url, topic_prefix, key_prefix, session_timeout=3.0) as made:
        yield made.create_topics()


@pytest.fixture
def dlq(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`rflow dlq ...` on the deployment."""
    for name, value in deployment.environment().items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str, **given: Any) -> Result:
        return CliRunner().invoke(app_of(), ["dlq", *arguments], env={"COLUMNS": "80"}, **given)

    return run


def told(result: Result, status: int = 0) -> Any:
    """The JSON that a command printed."""
    assert result.exit_code == status, (result.stdout, result.stderr, result.exception)
    return orjson.loads(result.stdout)


def touchpoint(n: int, type_: str, user: str, **fields: Any) -> bytes:
    return orjson.dumps({"event_id": f"d{n}", "type": type_, "brand": "acme", "user_id": user, "occurred_at": T0 + n, **fields})


def record(topic: str, user: str, value: bytes, headers: Any = None) -> Sent:
    return topic, partition_of(user, 4), user.encode(), value, headers


def ticks() -> list[Sent]:
    """One a shard, so that each has a time."""
    return [(LIKES, shard, None, touchpoint(0, "tick", ""), None) for shard in range(4)]


def letters_of(dlq: Run, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = told(dlq("list", "--json", "--limit", "1000", *arguments))["letters"]
    return found


def of_reason(letters: list[dict[str, Any]], reason: Reason) -> dict[str, Any]:
    return next(letter for letter in letters if letter["reason"] == reason.value)


def applied(deployment: Deployment) -> Counter[str]:
    """What the rollups count, repeats left out."""
    counts: Counter[str] = Counter()
    for rollup in deployment.told().rollups:
        counts.update({name: getattr(rollup, name) for name in ("applied", "duplicates", "forwarded")})
    return counts


def assert_nothing_differs(deployment: Deployment) -> None:
    recomputed = deployment.recompute()
    assert recomputed.differences == []
    assert recomputed.missing == 0


def test_letters_of_every_reason_are_listed_shown_replayed_once_and_purged(deployment: Deployment, dlq: Run, tmp_path: Path) -> None:
    worker = deployment.start()
    hostile = [(REPLAYED_HEADER, b"\xff" * 1_000), (ATTEMPT_HEADER, b"many"), (FIRST_SEEN_HEADER, b"once")]
    bad = broken_records()
    astray = record(ORDERS, "ann", touchpoint(1, "like", "ann"))
    good = record(LIKES, "bob", touchpoint(2, "like", "bob"), hostile)
    deployment.until_applied(
        deployment.produce([*(sent[1:] for sent in bad), astray, record(LIKES, "ann", b"{}", hostile), good, *ticks()])
    )

    # Listed and shown.
    letters = letters_of(dlq)
    assert Counter(letter["reason"] for letter in letters) == Counter(
        [*(reason.value for reason, *_ in bad), Reason.WRONG_TOPIC.value, Reason.INVALID_FIELD.value]
    )
    assert {letter["state"] for letter in letters} == {"open"}
    assert {letter["attempts"] for letter in letters} == {1}
    table = dlq("list").stdout
    assert max(len(line) for line in table.splitlines()) <= 80
    assert "misrouted" in table
    assert [letter["reason"] for letter in letters_of(dlq, "--reason", "future", "--reason", "empty")].count("future") == 1
    assert not letters_of(dlq, "--until", "1h")
    assert letters_of(dlq, "--since", "1h", "--topic", ORDERS, "--brand", "acme")
    for letter in letters:
        shown = told(dlq("show", letter["id"], "--json"))
        assert shown["detail"] == letter["detail"]
        assert shown["would_be_taken"] is (letter["reason"] in ("wrong_topic", "misrouted")), shown
    worn = of_reason(letters, Reason.WRONG_CURRENCY)
    assert "expected currency CNY" in dlq("show", worn["id"]).stdout
    assert "00000000  ff fe 7b" in dlq("show", next(letter["id"] for letter in letters if letter["bytes"] == 3)).stdout
    assert dlq("show", worn["id"], "--raw").stdout_bytes == next(value for reason, *_, value, _ in bad if reason is Reason.WRONG_CURRENCY)
    assert dlq("show", "3:999").exit_code == 1
    assert dlq("show", "here").exit_code == 1

    # Replayed: what would be refused again stays, and says so in the exit status.
    assert told(dlq("replay", "--dry-run", "--json"), 1)["ready"] == 3
    assert len(letters_of(dlq)) == len(letters)
    assert dlq("replay", input="n\n").exit_code == 1
    done = told(dlq("replay", "--yes", "--json"), 1)
    assert (done["sent"], done["counted"], sum(done["stay"].values())) == (3, 3, len(letters) - 3)
    assert Counter(letter["state"] for letter in letters_of(dlq, "--all"))["replayed"] == 3

    # Again, with more of the user's events between than are remembered: no letter counts twice.
    between = [record(LIKES, user, touchpoint(100 + n, "like", user)) for user in ("ann", "lost") for n in range(2 * RING)]
    deployment.until_applied(deployment.produce(between))
    taken = [letter for letter in letters if letter["reason"] in ("wrong_topic", "misrouted")]
    assert told(dlq("replay", taken[0]["id"], "--json"))["done"] == {"replayed": 1}
    before = applied(deployment)
    again = told(dlq("replay", *(letter["id"] for letter in taken), "--force", "--yes", "--json"))
    assert (again["sent"], again["counted"]) == (3, 3)
    deployment.until(lambda: applied(deployment) == before + Counter(duplicates=3), "the repeats to be duplicates")

    # The record itself mended, twice and differently: the first counts.
    broken = next(letter for letter in letters if letter["reason"] == "invalid_field" and letter["topic"] == ORDERS)
    for n, amount in enumerate((700, 900)):
        (tmp_path / "mended.json").write_bytes(touchpoint(500 + n, "purchase", "u", order_id=f"m{n}", amount=amount))
        sent = told(dlq("replay", broken["id"], "--value", str(tmp_path / "mended.json"), "--force", "--yes", "--json"))
        assert (sent["sent"], sent["counted"]) == (1, 1)
    orders = [row.amount for rollup in deployment.told().rollups for row in rollup.orders if row.order_id.startswith("m")]
    assert orders == [700]

    # Forced although nothing is mended: it comes back with one try more, and the newest letter stands for it.
    currency = worn["id"]
    assert told(dlq("replay", currency, "--force", "--yes", "--json"), 1)["counted"] == 0
    (back,) = letters_of(dlq, "--reason", "wrong_currency")
    assert back["attempts"] == 2
    assert back["first_seen"] == worn["first_seen"]
    assert back["id"] != currency
    assert told(dlq("show", currency, "--json"))["state"] == "refused_again"
    assert told(dlq("show", back["id"], "--json"))["replay_of"] == f"{ORDERS}:{worn['partition']}:{worn['offset']}"

    # Purged by reason; the rest stays.
    left = Counter(letter["reason"] for letter in letters_of(dlq))
    assert dlq("purge", "--reason", "empty", input="n\n").exit_code == 1
    assert told(dlq("purge", "--reason", "empty", "--reason", "too_large", "--yes", "--json"))["by_reason"] == {"empty": 2, "too_large": 2}
    assert told(dlq("purge", "--reason", "empty", "--json"))["purged"] == 0
    assert Counter(letter["reason"] for letter in letters_of(dlq)) == left - Counter(empty=2, too_large=2)
    assert told(dlq("replay", "--reason", "too_large", "--json"))["sent"] == 0

    # The alarm, and the books.
    assert worker.metric("rflow_dead_letters_total") == len(letters) + 1
    assert worker.metric("rflow_replays_total", outcome="taken") == 4
    assert worker.metric("rflow_replays_total", outcome="repeated") == 4
    assert worker.metric("rflow_replays_total", outcome="refused") == 1
    assert worker.stop() == 0, worker.tail()
    assert_chained(deployment.told(), "R0")
    assert_nothing_differs(deployment)


def test_after_the_ladder_is_mended_a_letter_counts_once_however_often_it_is_replayed_and_whatever_crashes(
    deployment: Deployment, dlq: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ladder = tmp_path / "mine.yaml"
    text = (Path(__file__).parents[2] / "schemas" / "5r.yaml").read_text(encoding="utf-8")
    assert load_ladder("5r").currency == "CNY"
    ladder.write_text(text.replace("currency: CNY", "currency: EUR"), encoding="utf-8")
    monkeypatch.setenv("RFLOW_LADDER", str(ladder))
    users = [f"w{n}" for n in range(8)]
    astray = [record(ORDERS, user, touchpoint(1_000 * i + n, "like", user)) for i, user in enumerate(users) for n in range(2 * RING)]
    orders = [
        record(ORDERS, user, touchpoint(9_000 + i, "purchase", user, order_id=f"o{i}", amount=100 + i, currency="CNY"))
        for i, user in enumerate(users)
    ]
    worker = deployment.start(ladder=str(ladder), group="before")
    deployment.until_applied(deployment.produce(astray + orders + ticks()))
    assert worker.stop() == 0, worker.tail()
    assert told(dlq("replay", "--reason", "wrong_currency", "--dry-run", "--json"), 1)["stay"] == {"wrong_currency": 8}

    ladder.write_text(text.replace("version: 1", "version: 2"), encoding="utf-8")
    # Nobody is there to take them: both times all are sent, the copies further apart than a user's events are remembered.
    for _ in range(2):
        sent = told(dlq("replay", "--yes", "--wait", "0", "--json"))
        assert (sent["sent"], sent["counted"], sent["stay"]) == (len(astray + orders), None, {})
    assert dlq("replay", "--yes", "--wait", "0.2").exit_code == 1
    for point in ("step.after_exec:1", "publish.inside_entry:1"):
        assert deployment.start(ladder=str(ladder), crash_point=point, group=point).wait() == -signal.SIGKILL
    worker = deployment.start(ladder=str(ladder), group="last", http_port=0)
    deployment.until(lambda: not letters_of(dlq), "all letters to be replayed")
    expected = Counter(applied=len(astray + orders), duplicates=2 * len(astray + orders))
    deployment.until(lambda: applied(deployment) == expected, "every copy to be taken or known")
    assert worker.stop() == 0, worker.tail()

    everything = deployment.told()
    assert_chained(everything, "R0")
    assert sum(row.amount for rollup in everything.rollups for row in rollup.orders) == sum(100 + i for i in range(8))
    assert {headers_of(letter)["attempts"] for letter in everything.letters} == {b"1"}
    deployment.settings.ladder = str(ladder)
    assert_nothing_differs(deployment)
    assert deployment.recompute().duplicates == expected["duplicates"]
