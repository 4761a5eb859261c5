"""Series and labels from files: what is read, what is refused with its line, and how alarms are counted against labels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli.commands import app_of
from schemas.times import DAY_MS, MINUTE_MS, from_rfc3339, to_rfc3339
from warroom.alerts.labelled import LabelledError, evaluate, read_series, read_windows
from warroom.alerts.series import Alarm

T0 = from_rfc3339("2026-11-01T00:00:00Z")


def csv(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "one.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def labels(tmp_path: Path, value: object) -> Path:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(value))
    return path


def test_times_are_utc_unless_they_say_otherwise_and_what_is_left_out_is_counted(tmp_path: Path) -> None:
    path = csv(
        tmp_path,
        "timestamp,value",
        "2026-11-01 00:00:00,1",
        "2026-11-01T08:05:00+08:00,2.5",
        "2026-11-01 00:05:00,9",
        "2026-11-01 00:10:00,",
        "2026-10-31 00:00:00,9",
        "2026-11-01T00:15:00Z,-3e2",
    )
    series = read_series(path)
    assert series.samples == [(T0, 1.0), (T0 + 5 * MINUTE_MS, 2.5), (T0 + 15 * MINUTE_MS, -300.0)]
    assert (series.missing, series.passed_over) == (1, 2)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], ":1: expected the header timestamp,value"),
        (["time,value"], ":1: expected the header timestamp,value, found 'time,value'"),
        (["timestamp,value", "2026-11-01 00:00:00"], ":2: expected a timestamp and a value, found 1 columns"),
        (["timestamp,value", "2026-11-01 00:00:00,1", "yesterday,1"], ":3: expected a time such as"),
        (
            ["timestamp,value", "2026-11-01 00:00:00,many"],
            ":2: expected a finite number as value (empty where it is missing), found 'many'",
        ),
        (["timestamp,value", "2026-11-01 00:00:00,inf"], ":2: expected a finite number"),
        (["timestamp,value", "2026-11-01 00:00:00,1"], ": expected at least two rows with values at growing times, found 1"),
        (["timestamp,value", "2026-11-01,1", "2026-11-02,1"], ": expected rows from a minute to an hour apart, found 86400 s"),
    ],
)
def test_a_bad_series_is_refused_with_its_line(tmp_path: Path, lines: list[str], told: str) -> None:
    with pytest.raises(LabelledError) as error:
        read_series(csv(tmp_path, *lines))
    assert told in str(error.value)


def test_labels_come_as_a_list_or_by_the_end_of_the_files_path(tmp_path: Path) -> None:
    folder = tmp_path / "realTweets"
    folder.mkdir()
    series = folder / "one.csv"
    window = ["2026-11-01 00:00:00.000000", "2026-11-01 01:00:00.000000"]
    expected = [(T0, T0 + 60 * MINUTE_MS)]
    assert read_windows(labels(tmp_path, [window]), series) == expected
    assert read_windows(labels(tmp_path, {"realTweets/one.csv": [window], "other/one.csv": []}), series) == expected
    assert read_windows(labels(tmp_path, {"elsewhere/one.csv": [window], "two.csv": []}), series) == expected


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("text", "expected a list of [start, end] or a mapping"),
        ([["2026-11-01 00:00:00"]], "window 1: expected [start, end]"),
        ([["2026-11-01 00:00:00", 5]], "window 1: expected a time such as"),
        ([["2026-11-02 00:00:00", "2026-11-01 00:00:00"]], "window 1: expected an end not before its start"),
        ({"a/two.csv": []}, "expected windows of one.csv, found 1 other names"),
        ({"a/one.csv": [], "b/one.csv": []}, "expected windows of one.csv, found 2 that end so"),
    ],
)
def test_bad_labels_are_refused(tmp_path: Path, value: object, told: str) -> None:
    with pytest.raises(LabelledError) as error:
        read_windows(labels(tmp_path, value), tmp_path / "one.csv")
    assert told in str(error.value)


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelledError, match="cannot be read"):
        read_series(tmp_path / "none.csv")
    (tmp_path / "labels.json").write_text("[")
    with pytest.raises(LabelledError, match="expected JSON"):
        read_windows(tmp_path / "labels.json", tmp_path / "one.csv")


def test_a_window_is_found_by_its_first_alarm_and_both_its_ends_belong_to_it() -> None:
    alarms = [Alarm(at=at * 1000, detector="level", score=1.0) for at in (10, 30, 31, 50)]
    result = evaluate(alarms, [(10_000, 20_000), (25_000, 31_000), (40_000, 45_000)])
    assert (result.windows, result.found, result.false_alarms, result.delays_seconds) == (3, 2, 1, [0.0, 5.0])


def test_the_command_prints_exactly_what_is_asked_for(tmp_path: Path) -> None:
    rows = [(T0 + i * 5 * MINUTE_MS, 20 + i % 7) for i in range(12 * 288)]
    bad = range(T0 + 10 * DAY_MS, T0 + 10 * DAY_MS + 3_600_000)
    lines = [f"{to_rfc3339(at)[:19].replace('T', ' ')},{value * (6 if at in bad else 1)}" for at, value in rows]
    series = csv(tmp_path, "timestamp,value", *lines, lines[0])
    window = [to_rfc3339(bad.start), to_rfc3339(bad.stop)]
    done = CliRunner().invoke(app_of(), ["alerts", "eval", str(series), "--labels", str(labels(tmp_path, [window])), "--json"])
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert list(result) == ["windows", "found", "false_alarms", "delays_seconds", "alarms"]
    assert (result["windows"], result["found"], result["false_alarms"]) == (1, 1, 0)
    assert [list(alarm) for alarm in result["alarms"]] == [["at", "detector", "score"]]
    assert result["alarms"][0]["at"] == to_rfc3339(bad.start + int(result["delays_seconds"][0] * 1000))
    assert "1 rows left out: not later than the one before" in done.stderr
