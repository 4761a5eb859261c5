"""What alerts are judged by, read back from a day whose figures were worked out by hand (`test_sink_star`), with a promotion and spend."""

from __future__ import annotations

import json

import msgspec
import pytest

from schemas.times import DAY_MS, MINUTE_MS
from sinks.config import ClickHouse
from tests.integration.sink_config import PARTITIONS, config
from tests.integration.sink_world import Log, query, run_until_stored
from tests.integration.test_sink_star import FROM, MOVES, NEW, ORDERS, SPEND, TO, TOUCHES, TURN, at, rollup, transition
from tests.servers import wait_until
from tests.unit.warroom.promotions_by_hand import promotion
from warroom.alerts.figures import AlertReader
from warroom.alerts.minutes import Key
from warroom.alerts.money import SpendDay
from warroom.reader import datetime64

VERSIONS = [promotion(), promotion(version=2, reason="slower"), promotion(promotion_id="d12"), promotion(promotion_id="n1", brand="nova")]


@pytest.fixture(scope="module")
def stored(mock_broker: str, clickhouse_url: str) -> ClickHouse:
    log = Log(mock_broker, "alertfigures.")
    for index, move in enumerate(MOVES):
        log.send("transitions", 0, transition(move, index))
    log.send("rollups", 0, rollup(0, 1, TURN, new_users=NEW, orders=ORDERS, touches=TOUCHES))
    for shard in range(1, PARTITIONS):
        log.send("rollups", shard, rollup(shard, 1, TURN))
    for spend in SPEND:
        log.send("spend", 1, json.dumps({**spend, "brand": "acme", "currency": "CNY"}).encode())
    for version in VERSIONS:
        log.send("promotions", 0, msgspec.json.encode(version))
    log.flush()
    settings = config(mock_broker, log.prefix, clickhouse_url, "alert_figures")
    run_until_stored(settings, dict.fromkeys(range(PARTITIONS), 1), len(MOVES))
    wait_until(lambda: query(settings.clickhouse, "SELECT count() FROM spend FINAL") == [(3,)], "spend")
    wait_until(lambda: query(settings.clickhouse, "SELECT count() FROM promotions FINAL") == [(len(VERSIONS),)], "promotions")
    return settings.clickhouse


def test_every_version_of_a_brands_promotions(stored: ClickHouse) -> None:
    with AlertReader(stored) as reader:
        assert reader.promotions("acme") == [VERSIONS[:2], [VERSIONS[2]]]
        assert reader.promotions("zeta") == []


def test_minutes_are_whole_and_decays_are_no_moves(stored: ClickHouse) -> None:
    with AlertReader(stored) as reader:
        minutes = reader.minutes("acme", FROM, at(60))
    assert [one.at for one in minutes] == [at(i) for i in range(60)]
    assert {i: one.moves for i, one in enumerate(minutes) if one.moves} == {
        1: {("R0", "R1"): {"douyin": 1}},
        5: {("R1", "R3"): {"wecom": 1}},
        10: {("R3", "R4"): {"store": 1}},
        30: {("R1", "R4"): {"douyin": 1}},
        40: {("R4", "R5"): {"store": 1}},
    }
    assert minutes[1].touches == {"R0": 3}
    assert (minutes[30].orders, minutes[30].gmv) == (1, 300)


def test_a_flows_moves_before_and_since_by_campaign_and_store(stored: ClickHouse) -> None:
    with AlertReader(stored) as reader:
        everywhere = reader.split("acme", Key("R0", "R1"), at(1), at(2))
        elsewhere = reader.split("acme", Key("R0", "R1", "wecom"), at(1), at(2))
    # a came two hours before by no campaign and store, c in that minute
    assert everywhere == {"campaign_id": {"": (1, 1)}, "store_id": {"": (1, 1)}}
    assert elsewhere == {}


def test_what_was_sold_by_the_minute_and_what_spend_brought_by_the_day(stored: ClickHouse) -> None:
    with AlertReader(stored) as reader:
        assert {i: gmv for i, gmv in enumerate(reader.gmv("acme", FROM, at(60))) if gmv} == {10: 100, 30: 300, 40: 200}
        found = reader.spend("acme", FROM, TO)
    day = FROM
    assert [one for one in found if one.label] == [
        SpendDay(dimension="campaign_id", label="c9", begins_at=day, spend=100, orders=0),
        SpendDay(dimension="channel", label="douyin", begins_at=day, spend=200, orders=1),
        SpendDay(dimension="channel", label="tmall", begins_at=day, spend=100, orders=0),
    ]


def test_a_row_lost_or_doubled_is_out_of_balance_and_a_step_that_is_on_its_way_is_not(stored: ClickHouse) -> None:
    low = at(24 * 60)
    with AlertReader(stored) as reader:
        shards = reader.stored()
        assert reader.unbalanced(shards, low) == {}
        command = reader._client.command
        command("INSERT INTO flow_minutes SELECT * FROM flow_minutes WHERE from_layer = 'R1' AND to_layer = 'R4'")
        assert set(reader.unbalanced(shards, low)) == {("acme", "flows by the minute")}
        assert reader.unbalanced(shards, low + 2 * DAY_MS) == {}  # of days long past nobody is alarmed
        command(f"ALTER TABLE transitions DELETE WHERE effective_at = '{datetime64(at(30))}' SETTINGS mutations_sync = 2")
        assert ("", "shard 0") in reader.unbalanced(shards, low)
        assert ("", "shard 0") not in reader.unbalanced({**shards, 0: (0, low - MINUTE_MS)}, low)
