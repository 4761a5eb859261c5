"""The bench of labelled series: what is counted, that everybody is judged by the same rule, that made series are what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.labelled import BASELINES, DETECTORS, alarms_of, folder, measure, rows
from bench.made_series import DAYS, made_counts, made_figure
from schemas.times import DAY_MS, HOUR_MS, MINUTE_MS, to_rfc3339
from warroom.alerts.labelled import LabelledError, Series

STEP = 10 * MINUTE_MS
SAMPLES = [(i * STEP, 100.0 + i % 7 + (900 if 800 <= i < 806 else 0)) for i in range(1_200)]
WINDOW = [to_rfc3339(800 * STEP), to_rfc3339(812 * STEP)]


@pytest.fixture
def labelled(tmp_path: Path) -> tuple[Path, Path]:
    series = tmp_path / "all" / "real" / "one.csv"
    series.parent.mkdir(parents=True)
    series.write_text("timestamp,value\n" + "".join(f"{to_rfc3339(at)},{value}\n" for at, value in SAMPLES))
    (series.parent / "unknown.csv").write_text("anything")
    labels = tmp_path / "windows.json"
    labels.write_text(json.dumps({"real/one.csv": [WINDOW]}))
    return tmp_path / "all", labels


def test_a_plain_spike_is_found_by_everybody_who_looks_at_single_values(labelled: tuple[Path, Path]) -> None:
    found = measure(*labelled, made=())
    assert {name for _, name in found} == set(DETECTORS)
    for (_, name), one in found.items():
        assert (one.series, one.windows) == (1, 1)
        assert one.found == 1 or name == "relative entropy"
    assert {row[1]: row[3] for row in rows(found)[1:]}["rflow"] == "1 (100%)"


def test_files_without_labels_are_counted_and_labels_must_be_a_mapping(
    labelled: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path, labels = labelled
    assert [name for name, *_ in folder(path, labels)] == ["real/one.csv"]
    assert "1 files that the labels do not name" in capsys.readouterr().err
    labels.write_text("[]")
    with pytest.raises(LabelledError, match="expected a mapping"):
        list(folder(path, labels))


@pytest.mark.parametrize("name", BASELINES)
def test_an_episode_is_one_alarm(name: str) -> None:
    long = [(i * STEP, 1000.0 * (1 + i % 2) if 800 <= i < 900 else 100.0 + i % 7) for i in range(1_200)]
    assert len(alarms_of(name, Series(long, STEP, 0, 0))) <= 2


@pytest.mark.parametrize("seed", range(3))
def test_made_series_are_the_same_every_time_and_as_long_as_they_say(seed: int) -> None:
    for make in (made_counts, made_figure):
        one = make(seed)
        assert one == make(seed)
        assert one != make(seed + 50)
        assert len(one.series.samples) * one.series.step_ms == DAYS[one.series.step_ms // MINUTE_MS] * DAY_MS
        assert len(one.windows) == len(one.kinds) >= 2
        last = one.series.samples[-1][0]
        assert all(one.series.samples[0][0] + 3 * DAY_MS < begin < end <= last + HOUR_MS for begin, end in one.windows)


def test_a_drop_takes_what_it_says() -> None:
    one = next(one for one in map(made_counts, range(50)) if "50%" in one.kinds and one.series.step_ms == HOUR_MS)
    begin, end = one.windows[one.kinds.index("50%")]
    values = dict(one.series.samples)
    hours = [at for at in values if begin <= at < end and at - 7 * DAY_MS in values]
    now, before = (sum(values[at - back] for at in hours) for back in (0, 7 * DAY_MS))
    assert 0.3 < now / before < 0.7
