"""A plan curve out of a file, and what is said of a file that is none."""

from __future__ import annotations

import msgspec
import pytest

from schemas.promotion import PlanPoint
from tests.unit.warroom.promotions_by_hand import DAY, promotion
from warroom.plan_curve import CurveError
from warroom.plan_file import from_csv, from_file

CURVE = (PlanPoint(0, 0.0), PlanPoint(60, 0.25), PlanPoint(DAY, 1.0))


def test_a_file_of_shares_or_of_gmv() -> None:
    assert from_csv("minute,share\n0,0\n60,0.25\n1440,1\n", DAY) == CURVE
    assert from_csv("\ufeffminute, gmv\r\n60,500\r\n1440,2000\r\n", DAY) == CURVE


@pytest.mark.parametrize(
    "text",
    [
        "minute,share\n60,0.25\n1440,1\n",
        '[{"minute": 60, "share": 0.25},\n {"minute": 1440, "share": 1}]',
        '\ufeff {"name": "[", "plan": [[0, 0], [60, 0.25],\n\t[1440, 1]], "target": {"layers": [[0]]}}',
        msgspec.json.encode(promotion(plan=CURVE)).decode(),
    ],
)
def test_a_file_is_csv_or_json_whichever_it_is(text: str) -> None:
    assert from_file(text, DAY) == CURVE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: .*an empty file"),
        ("time,share\n0,0\n", "line 1: expected `minute,share` or `minute,gmv`"),
        ("minute,share\n", "at least one line"),
        ("minute,share\n0,0\n60,half\n", "line 3: expected a whole minute and a number"),
        ("minute,share\n0,0\n\n60,0.5,1\n", "line 4"),
        ("minute,share\n60,0.5\n50,0.6\n1440,1\n", "line 3: expected minutes and figures that grow, found 50,0.6 after 60,0.5"),
        ("minute,share\n0,0\n60,nan\n1440,1\n", "line 3: expected minutes and figures that grow"),
        ("minute,share\n0,0\n60,0.5\n", "line 3: expected the last point at minute 1440"),
        ("minute,share\n0,-1\n1440,1\n", "line 2: expected figures of 0 or more"),
        ("minute,share\n0,0\n1440,0.9\n", "line 3: expected the last point at minute 1440"),
        ("minute,gmv\n0,0\n1440,0\n", "line 3: expected the whole GMV"),
        ("[]", "at least one point"),
        ('[{"minute": 0, "share": 0},\n {"minute": 9, "share": 2}]', "line 2: expected a point such as .*share"),
        ('[{"minute": 0, "share": 0},\n\n 7]', "line 3: expected a point such as"),
        ('[{"minute": 0,\n "share": }]', "line 2: expected JSON"),
        ('{"plan": {}}', "expected a list of points as `plan`"),
        ('{"name": "x"}', "expected JSON with a list of points.*plan"),
        ("[[0, 0],\n[60, 0.5],\n[1440, 0.9]]", "line 3: expected the last point at minute 1440"),
    ],
)
def test_a_file_that_is_no_curve_says_why_and_on_which_line(text: str, message: str) -> None:
    with pytest.raises(CurveError, match=message):
        from_file(text, DAY)
