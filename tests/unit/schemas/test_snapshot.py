"""A snapshot is taken whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from schemas.positions import Position
from schemas.snapshot import FORMAT, End, Shard, Snapshot, SnapshotBroken, UserLayer, encode_line, read_snapshot
from schemas.subscriber import SubscriberRule

HEAD = Snapshot(format=FORMAT, ladder="5r@1", partitions=2, taken_at="2026-11-11T00:00:00.000Z")
FIRST = Shard(shard=0, version=5, offset=3, users=2)
ANN = UserLayer(brand="acme", user_id="ann", layer="R1", seq=1, since="2026-11-11T00:00:00.000Z")
BOB = UserLayer(brand="acme", user_id="bob", layer="R0", seq=0)
SECOND = Shard(shard=1, version=0, offset=0, users=0)
WHOLE = [HEAD, FIRST, ANN, BOB, SECOND, End(users=2)]


def lines(records: Sequence[object]) -> list[bytes]:
    return [encode_line(record) + b"\n" for record in records]


def test_a_whole_one_is_read_as_it_was_written() -> None:
    assert list(read_snapshot(lines([*WHOLE]))) == WHOLE[:-1]


@pytest.mark.parametrize("cut", range(len(WHOLE)))
def test_one_that_was_cut_is_refused(cut: int) -> None:
    with pytest.raises(SnapshotBroken, match="it has been cut"):
        list(read_snapshot(lines(WHOLE[:cut])))


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([FIRST], "line 1: expected a snapshot of format rflow.layers.v1, found"),
        ([Snapshot(format="rflow.layers.v2", ladder="5r@1", partitions=2, taken_at="")], "line 1: expected a snapshot of format"),
        ([HEAD, SECOND], "line 2: expected shard 0"),
        ([HEAD, FIRST, ANN, SECOND], "line 4: expected 1 more users of shard 0"),
        ([HEAD, FIRST, ANN, BOB, ANN], "line 5: expected shard 1"),
        ([HEAD, FIRST, ANN, BOB, SECOND, End(users=3)], "line 6: expected the end, with the number of users"),
    ],
)
def test_one_that_does_not_add_up_is_refused(records: list[object], message: str) -> None:
    with pytest.raises(SnapshotBroken, match=message):
        list(read_snapshot(lines(records)))


@pytest.mark.parametrize("line", [b"", b"{}", b'{"record": "user"}', b"\xff"])
def test_what_is_no_line_of_a_snapshot_is_refused(line: bytes) -> None:
    with pytest.raises(SnapshotBroken, match="line 2: expected a line of a snapshot"):
        list(read_snapshot([encode_line(HEAD), line]))


def test_following_takes_all_of_later_versions_and_nothing_of_the_pictures_own() -> None:
    at = FIRST.position
    assert at == Position(6, -1, 3)
    rule = SubscriberRule({0: (at.version, at.index)})
    assert [rule.is_new(0, version, index) for version, index in [(4, 9), (5, 0), (5, 700), (6, 0), (6, 1), (9, 0)]] == [
        False, False, False, True, True, True,
    ]  # fmt: skip
