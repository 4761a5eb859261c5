"""Which deduplication tokens are taken back after a kill: those whose part never came to be, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.stack.clickhouse_recovery import Record, orphans, take_back_orphans


def added(part: str, block: str) -> Record:
    return Record("1", part, block)


def dropped(part: str, block: str) -> Record:
    return Record("2", part, block)


@pytest.mark.parametrize(
    ("records", "parts", "taken_back"),
    [
        ([], [], []),
        ([added("all_1_1_0", "a")], ["all_1_1_0"], []),
        ([added("all_1_1_0", "a")], [], [dropped("all_1_1_0", "a")]),
        ([added("all_1_1_0", "a")], ["tmp_insert_all_1_1_0", "detached"], [dropped("all_1_1_0", "a")]),
        ([added("all_1_1_0", "a"), added("all_2_2_0", "b"), added("all_3_3_0", "c")], ["all_1_2_1"], [dropped("all_3_3_0", "c")]),
        ([added("all_2_2_0", "b")], ["all_1_5_2_7"], []),
        ([added("all_2_2_1", "b")], ["all_3_5_2"], [dropped("all_2_2_1", "b")]),
        ([added("202610_1_1_0", "a"), added("202611_1_1_0", "b")], ["202610_1_1_0"], [dropped("202611_1_1_0", "b")]),
        ([added("all_1_1_0", "a"), dropped("all_1_1_0", "a")], [], []),
        ([added("all_1_1_0", "a"), dropped("all_1_1_0", "a"), added("all_1_1_0", "a")], ["all_1_1_0"], []),
    ],
)
def test_tokens_without_a_part_are_taken_back(records: list[Record], parts: list[str], taken_back: list[Record]) -> None:
    assert orphans(records, parts) == taken_back


def table(folder: Path, log: str, *parts: str) -> Path:
    home = folder / "store" / "abc" / "abc-def"
    (home / "deduplication_logs").mkdir(parents=True)
    (home / "deduplication_logs" / "deduplication_log_9.txt").write_text("1\tall_1_1_0\ta\n")
    written = home / "deduplication_logs" / "deduplication_log_10.txt"
    written.write_text(log)
    for part in parts:
        (home / part).mkdir()
    return written


def test_the_log_gets_the_lines_the_engine_would_have_written(tmp_path: Path) -> None:
    log = table(tmp_path, "1\tall_2_2_0\tb\n1\tall_3_3_0\tc\n", "all_1_2_1")
    assert take_back_orphans(tmp_path) == 1
    assert log.read_text() == "1\tall_2_2_0\tb\n1\tall_3_3_0\tc\n2\tall_3_3_0\tc\n"
    assert take_back_orphans(tmp_path) == 0


def test_a_line_that_was_cut_off_goes(tmp_path: Path) -> None:
    log = table(tmp_path, "1\tall_2_2_0\tb\n1\tall_3_3", "all_1_2_1")
    assert take_back_orphans(tmp_path) == 0
    assert log.read_text() == "1\tall_2_2_0\tb\n"


def test_a_folder_without_tables_has_none(tmp_path: Path) -> None:
    assert take_back_orphans(tmp_path / "new") == 0
