"""A shard's table of labels: channels, campaigns, stores and guides as small numbers, so that states stay small."""

from __future__ import annotations

from streams.state import LabelRef

MAX_LABELS = 65_536
"""Beyond this many the texts themselves go into the states: a producer that invents labels costs memory, not exactness."""


class Labels:
    """Texts by number and numbers by text. `added` are the texts new since `take_added`, to be stored in the same step."""

    def __init__(self, texts: list[str], *, bound: int = MAX_LABELS) -> None:
        self._texts = list(texts)
        self._numbers: dict[str | None, LabelRef] = {None: None, **{text: i for i, text in enumerate(texts)}}
        self._bound = bound
        self.added: list[str] = []

    def ref(self, text: str | None) -> LabelRef:
        """How a state refers to the text; a new text gets the next number while there is room."""
        try:
            return self._numbers[text]
        except KeyError:
            assert text is not None
        if len(self._texts) >= self._bound:
            return text
        number = len(self._texts)
        self._numbers[text] = number
        self._texts.append(text)
        self.added.append(text)
        return number

    def text(self, ref: LabelRef) -> str | None:
        """The text behind a reference. Raises IndexError for a number the table never gave."""
        return self._texts[ref] if type(ref) is int else ref  # type: ignore[return-value]

    def take_added(self) -> list[str]:
        """The texts added since the last call."""
        added, self.added = self.added, []
        return added
