"""A shard's labels: numbers while there is room, the texts themselves beyond it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.labels import Labels

texts = st.one_of(st.none(), st.text(max_size=3))


@given(st.lists(texts, max_size=30), st.integers(0, 8), st.integers(0, 30))
def test_a_reference_leads_back_to_its_text_whoever_reads_it_later(asked: list[str | None], bound: int, cut: int) -> None:
    stored: list[str] = []
    refs = []
    for part in (asked[:cut], asked[cut:]):  # two steps, the second with what the first has stored
        labels = Labels(stored, bound=bound)
        refs += [labels[text] for text in part]
        stored += labels.take_added()
        assert labels.take_added() == []
    assert len(stored) == len(set(stored)) <= bound
    assert [Labels(stored, bound=bound).text(ref) for ref in refs] == asked
    assert all(type(ref) is int for text, ref in zip(asked, refs, strict=True) if text in stored)


def test_known_texts_are_not_added_again() -> None:
    labels = Labels(["a", "b"])
    assert [labels["b"], labels["c"], labels["a"], labels["c"]] == [1, 2, 0, 2]
    assert labels.take_added() == ["c"]
