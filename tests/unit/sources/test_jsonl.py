from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
from collections import Counter
from pathlib import Path

import pytest

from sources.errors import SourceError, UnreadableSource
from sources.jsonl import CUT, MAX_LINE_BYTES, jsonl, read_lines
from sources.opening import open_source

LINES = [b'{"a": "\xe4\xbd\xa0\xe5\xa5\xbd"}', b" {broken \xff\x00", b"\xef\xbb\xbf{}", b"x" * 200_000, b'{"crlf": 1}\r', b'{"last": 1}']
BYTES = b"\n\n  \n" + LINES[0] + b"\n\r\n" + b"\n".join(LINES[1:])


def lines_of(path: Path) -> list[bytes]:
    return list(jsonl(str(path)).lines)


def test_lines_keep_their_bytes_and_order_and_blank_ones_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(BYTES)
    assert lines_of(tmp_path / "a.jsonl") == LINES


@pytest.mark.parametrize(("suffix", "compress"), [(".gz", gzip.compress), (".xz", lzma.compress), (".bz2", bz2.compress)])
def test_compressed_files_are_read_by_their_suffix(tmp_path: Path, suffix: str, compress: type[bytes]) -> None:
    path = tmp_path / f"a.jsonl{suffix}"
    # Two members one after the other, as log rotation and parallel compressors write them.
    path.write_bytes(compress(BYTES + b"\n") + compress(b'{"more": 1}\n'))
    assert lines_of(path) == [*LINES, b'{"more": 1}']


def test_zstd_is_read_where_a_module_for_it_exists(tmp_path: Path) -> None:
    zstd = pytest.importorskip("backports.zstd")
    (tmp_path / "a.jsonl.zst").write_bytes(zstd.compress(BYTES))
    assert lines_of(tmp_path / "a.jsonl.zst") == LINES


def test_without_a_module_for_zstd_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jsonl.zst").write_bytes(b"")
    for module in ("compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UnreadableSource, match=r"recompress it as \.gz or \.xz"):
        jsonl(str(tmp_path / "a.jsonl.zst"))


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"")
    assert lines_of(tmp_path / "a.jsonl") == []


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
def test_a_damaged_file_is_an_error_that_names_the_line(tmp_path: Path, compress: type[bytes]) -> None:
    suffix = ".gz" if compress is gzip.compress else ".xz"
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(compress(b'{"a": 1}\n' * 10_000)[:-20])
    with pytest.raises(UnreadableSource, match=r"after line \d+"):
        lines_of(path)


def test_a_file_that_is_not_what_its_name_says_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(b'{"a": 1}\n')
    with pytest.raises(UnreadableSource):
        lines_of(tmp_path / "a.jsonl.gz")


@pytest.mark.parametrize("length", [MAX_LINE_BYTES - 1, MAX_LINE_BYTES, MAX_LINE_BYTES + 1, MAX_LINE_BYTES * 3])
@pytest.mark.parametrize("ending", [b"\n", b""])
def test_what_kafka_would_not_take_is_cut_and_counted(length: int, ending: bytes) -> None:
    left_out: Counter[str] = Counter()
    lines = list(read_lines(io.BytesIO(b"1\n" + b"x" * length + ending + (b"2" if ending else b"")), "it", left_out))
    assert lines == [b"1", b"x" * min(length, MAX_LINE_BYTES), *([b"2"] if ending else [])]
    assert left_out[CUT] == (length > MAX_LINE_BYTES)


def test_a_name_that_is_nothing_is_an_error_that_lists_what_there_is() -> None:
    with pytest.raises(SourceError, match="complete-journey, cdnow, online-retail, a JSONL file or -"):
        open_source("nothing-of-the-kind")


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"1\n2")))
    assert list(open_source("-").lines) == [b"1", b"2"]
