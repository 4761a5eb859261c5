"""The status of a request follows from what became of its records: 200 only if all are taken."""

from __future__ import annotations

import json

import pytest

from sources.collector.results import Result, Status, answer, refused

ACCEPTED, REFUSED, UNAVAILABLE = Status.ACCEPTED, Status.REFUSED, Status.UNAVAILABLE


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([ACCEPTED], 200),
        ([ACCEPTED, ACCEPTED], 200),
        ([REFUSED], 422),
        ([REFUSED, REFUSED], 422),
        ([ACCEPTED, REFUSED], 207),
        ([UNAVAILABLE], 503),
        ([ACCEPTED, UNAVAILABLE], 503),
        ([ACCEPTED, REFUSED, UNAVAILABLE], 503),
    ],
)
def test_the_status_of_a_request(statuses: list[Status], expected: int) -> None:
    status, body = answer([Result(index=index, status=one) for index, one in enumerate(statuses)])
    told = json.loads(body)
    assert status == expected
    assert [told[one.value] for one in Status] == [statuses.count(one) for one in Status]
    assert told["results"] == [{"index": index, "status": one.value} for index, one in enumerate(statuses)]


@pytest.mark.parametrize(
    ("line", "event_id"),
    [
        (b'{"event_id":"e1"}', "e1"),
        (b'{"event_id":1}', None),
        (b"{}", None),
        (b"broken", None),
        (b'"text"', None),
        (b'{"event_id":"\xff"}', None),
        (b'{"event_id":"' + b"x" * 500 + b'"}', "x" * 128),
    ],
)
def test_a_refused_record_is_named_where_it_has_a_name(line: bytes, event_id: str | None) -> None:
    assert refused(3, line, "reason", "detail").event_id == event_id
