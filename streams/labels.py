"""A shard's table of labels: channels, campaigns, stores and guides as small numbers, so that states stay small."""

from __future__ import annotations

from streams.state import LabelRef

MAX_LABELS = 65_536
"""Beyond this many the texts themselves go into the states: a producer that invents labels costs memory, not exactness."""


class Labels(dict[str | None, LabelRef]):
    """How states refer to each text: `labels[text]`. A new text gets the next number while there is room; no text stays none.

    `added` are the texts new since `take_added`, to be stored in the same step.
    """

    def __init__(self, texts: list[str], *, bound: int = MAX_LABELS) -> None:
        numbers: dict[str | None, LabelRef] = {text: i for i, text in enumerate(texts)}
        super().__init__(numbers)
        self[None] = None
        self.added: list[str] = []
        self._texts = list(texts)
        self._bound = bound

    def __missing__(self, text: str | None) -> LabelRef:
        assert text is not None
        if len(self._texts) >= self._bound:
            return text
        number = self[text] = len(self._texts)
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
