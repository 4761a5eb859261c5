"""An upgrade in the middle of everybody's story: what a release has stored is read, and what comes after is as if nothing had been."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from streams.errors import StateTooNew, StateUnreadable
from streams.formats import FORMAT, KNOWN
from streams.meta import Meta, decode_meta, encode_meta
from streams.outbox import outputs
from streams.state import decode_state
from tests.golden.fold_engine import MemoryShard
from tests.released import keep
from tests.released.state import FILE, KEPT_ENTRIES, Story, brought_back, go_on, kept_states, stories

RELEASED = sorted(path.parent for path in Path(keep.__file__).parent.glob(f"v*_*/{FILE}"))
STORIES = {story.name: story for story in stories()}


def kept_stories() -> list[Any]:
    """Those of every release that are still told as they were."""
    told = [(release, name, kept) for release in RELEASED for name, kept in kept_states(release).items() if name in STORIES]
    return [pytest.param(STORIES[name], kept, id=f"{release.name} {name}") for release, name, kept in told]


def test_each_release_kept_nearly_every_story_that_is_told_today() -> None:
    assert RELEASED
    for release in RELEASED:
        kept = kept_states(release)
        assert len(kept.keys() & STORIES.keys()) > 0.9 * len(kept), "a story that was changed is a new story: leave the old one in place"


@pytest.mark.parametrize(("story", "kept"), kept_stories())
def test_a_release_goes_on_from_what_an_earlier_one_has_stored(story: Story, kept: dict[str, Any]) -> None:
    whole = story.begun()
    before = len(whole.transitions)
    assert kept["half"] == story.half
    shard = brought_back(story, kept)
    assert said(shard) == said(whole)

    go_on(shard, story, story.half)
    go_on(whole, story, story.half)
    assert shard.transitions == whole.transitions[before:]
    assert (shard.users(), shard.roster, shard.labels, shard.meta) == (whole.users(), whole.roster, whole.labels, whole.meta)


@pytest.mark.parametrize("story", list(STORIES.values()), ids=list(STORIES))
def test_states_of_a_build_that_did_not_know_what_brought_the_user_are_gone_on_from(story: Story) -> None:
    shard, whole = story.begun(), story.begun()
    known = {user: state.seq for user, state in whole.users().items()}
    shard.states = {user: msgspec.msgpack.encode(msgspec.msgpack.decode(state)[:-4]) for user, state in shard.states.items()}
    before = len(whole.transitions)
    go_on(shard, story, story.half)
    go_on(whole, story, story.half)
    untold = [
        replace(transition, former_touch=None) if transition.seq == known.get((transition.brand, transition.user_id), 0) + 1 else transition
        for transition in whole.transitions[before:]
    ]
    assert shard.transitions[before:] == untold


def said(shard: MemoryShard) -> list[object]:
    """All that what is left of its outbox would publish."""
    return [output for entry in shard.entries[-KEPT_ENTRIES:] for output in outputs(entry)]


def test_the_kept_states_use_every_field_that_a_state_has() -> None:
    for release in RELEASED:
        used: set[str] = set()
        for kept in kept_states(release).values():
            for user in brought_back(STORIES[next(iter(STORIES))], kept).states.values():
                state = decode_state(user)
                used |= {name for name in state.__struct_fields__ if getattr(state, name) not in (None, [], b"")}
        assert used == set(decode_state(user).__struct_fields__)


def test_what_a_later_release_has_written_is_refused_with_words() -> None:
    newer = {**encode_meta(Meta(version=7)), "format": b"%d" % (KNOWN + 1), "offsets": b'{"of": "another kind"}'}
    with pytest.raises(StateTooNew, match=rf"expected .* form {KNOWN} or an earlier one, .* found form {KNOWN + 1}: a later release"):
        decode_meta(newer)


def test_the_form_written_is_one_that_is_read() -> None:
    assert 1 <= FORMAT <= KNOWN <= FORMAT + 1


@pytest.mark.parametrize("told", [b"null", b'"1"', b"1.5", b"{", b""])
def test_a_form_that_is_no_number_is_unreadable(told: bytes) -> None:
    with pytest.raises(StateUnreadable, match="expected a shard's meta as this release writes it"):
        decode_meta({**encode_meta(Meta()), "format": told})


def test_a_meta_from_before_forms_were_told_is_in_the_first_and_is_written_in_todays() -> None:
    first = {name: value for name, value in encode_meta(Meta(version=7)).items() if name != "format"}
    assert decode_meta(first) == Meta(version=7)
    assert msgspec.json.decode(encode_meta(decode_meta(first))["format"]) == FORMAT
