"""The file of sources, tokens, signatures, and the memory against replays, by a clock that the test turns."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.signature import signed_headers
from schemas.tokens import hash_token
from sources.collector.access import SeenSignatures, check_signature, source_by_token
from sources.collector.problem import Problem
from sources.collector.sources_file import SourcesError, SourcesFile, load_sources
from tests.told_tally import ToldTally

NOW = 1_794_355_200
HASH = hash_token("rflow_a")
FILE = f"""sources:
  - {{source: a, brands: [acme], tokens: [{HASH}]}}
  - {{source: b, brands: [acme], secret_files: [b.secret, c.secret]}}
"""


@pytest.fixture
def sources(tmp_path: Path) -> SourcesFile:
    (tmp_path / "sources.yaml").write_text(FILE)
    (tmp_path / "b.secret").write_text("the secret before this one")
    (tmp_path / "c.secret").write_text("the secret of today, as it is")
    return SourcesFile(tmp_path / "sources.yaml", ToldTally())


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "sources.yaml:1: expected"),
        ("sources: [{source: A, brands: [x], tokens: []}]", "expected a name .at most 64 small letters"),
        ("sources: [{source: a, brands: [x]}]", "sources.yaml:1: expected one of `tokens`, `secret_files` and `wecom`"),
        ("sources: [{source: a, tokens: [abc], brands: [x]}]", "expected the SHA-256 of a token in hexadecimal"),
        (f"sources:\n- {{source: a, tokens: [{HASH}]}}", "expected `brands`"),
        (f"sources:\n- {{source: a, brands: [x], tokens: [{HASH}], secret_files: [s]}}", "sources.yaml:2: expected one of"),
        (f"sources:\n- {{source: a, brands: [x], tokens: [{HASH}]}}\n- {{source: a, brands: [x], secret_files: [s]}}", ":3: .*'a' again"),
        (
            f"sources:\n- {{source: a, brands: [x], tokens: [{HASH}]}}\n- {{source: b, brands: [x], tokens: [{HASH}]}}",
            ":3: .*a token of its",
        ),
        ("sources: [{source: a, brands: [x], secret_files: [s], rate: 0}]", "expected a number"),
        ("sources: [{source: a, brands: [x], secret_files: [s], colour: red}]", "the unknown key 'colour'"),
    ],
)
def test_a_file_that_cannot_be_is_refused_with_its_line(tmp_path: Path, text: str, mistake: str) -> None:
    (tmp_path / "sources.yaml").write_text(text)
    with pytest.raises(SourcesError, match=mistake):
        load_sources(tmp_path / "sources.yaml")


def test_a_secret_that_cannot_be_read_is_named_and_never_quoted(tmp_path: Path) -> None:
    (tmp_path / "sources.yaml").write_text("sources: [{source: a, brands: [x], secret_files: [s]}]")
    with pytest.raises(SourcesError, match=r"secret_files of a: expected a readable file"):
        SourcesFile(tmp_path / "sources.yaml", ToldTally())
    (tmp_path / "s").write_text("tooshort")
    with pytest.raises(SourcesError, match="found 8") as caught:
        SourcesFile(tmp_path / "sources.yaml", ToldTally())
    assert "tooshort" not in str(caught.value)


def test_a_token_tells_whose_it_is_and_a_path_that_names_another_is_refused(sources: SourcesFile) -> None:
    found = source_by_token(sources, {b"authorization": b"BEARER  rflow_a "}, None)
    assert found is not None
    assert found.name == "a"
    assert source_by_token(sources, {b"authorization": b"Bearer rflow_a"}, "a") is found
    assert source_by_token(sources, {}, "a") is None
    for header, name in ((b"Bearer rflow_a", "b"), (b"Bearer rflow_b", None), (b"Bearer ", None), (b"Bearer \xff", None)):
        with pytest.raises(Problem, match="expected the token"):
            source_by_token(sources, {b"authorization": header}, name)


@pytest.mark.parametrize("secret", ["the secret before this one", "the secret of today, as it is"])
def test_each_of_several_secrets_holds(sources: SourcesFile, secret: str) -> None:
    source = sources.named("b")
    assert source is not None
    headers = {name.encode(): value.encode() for name, value in signed_headers(secret.encode(), "m1", NOW, b"body").items()}
    assert check_signature(source, headers, b"body", NOW) == b"b.m1.%d" % NOW
    with pytest.raises(Problem, match="expected a signature"):
        check_signature(source, headers, b"Body", NOW)
    for off in (-301, 301):
        with pytest.raises(Problem, match="within 300 s"):
            check_signature(source, headers, b"body", NOW + off)


def test_a_request_is_remembered_for_as_long_as_it_could_come_again_and_no_more_than_there_is_room_for() -> None:
    seen = SeenSignatures(most=3)
    seen.add(b"a", NOW)
    with pytest.raises(Problem, match="has been taken before"):
        seen.add(b"a", NOW + 600)
    seen.remove(b"a")
    seen.add(b"a", NOW + 1)
    seen.add(b"b", NOW + 1)
    seen.add(b"c", NOW + 2)
    with pytest.raises(Problem, match="too many") as caught:
        seen.add(b"d", NOW + 3)
    assert caught.value.status == 429
    seen.add(b"d", NOW + 602)
    seen.add(b"a", NOW + 602)


def test_what_cannot_be_used_leaves_what_was_in_force_and_is_told_once(tmp_path: Path, sources: SourcesFile) -> None:
    tally = ToldTally()
    file = SourcesFile(tmp_path / "sources.yaml", tally)
    (tmp_path / "sources.yaml").write_text("sources: 1\n")
    file.look()
    file.look()
    assert (tally.refused_files, file.names()) == (1, ["a", "b"])
    bucket = file.named("a").bucket  # type: ignore[union-attr]
    (tmp_path / "sources.yaml").write_text(FILE + f"  - {{source: c, brands: [acme], tokens: [{hash_token('c')}]}}\n")
    file.look()
    assert file.names() == ["a", "b", "c"]
    assert file.named("a").bucket is bucket  # type: ignore[union-attr]  # what it has left of its rate stays
    (tmp_path / "b.secret").write_text("another secret of the same source")
    file.look()
    assert file.named("b").keys[0] == b"another secret of the same source"  # type: ignore[union-attr]
