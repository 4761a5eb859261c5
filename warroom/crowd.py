"""Who stood in which layer of a brand when a period began and ended, and who moved within it: what the STAR figures of people follow from.

Headcounts and transitions are sums. Distinct users come from one walk over the period's own transitions, in which users who did alike
are taken together, or over a sample of users where that were too long (`warroom.sample`). Pure. What each figure means is in
`sinks/migrations/0005_star.sql`, whose views say the same, more slowly.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property

from msgspec import Struct

from warroom.figures import Activating, By, Scaling, Triangulating

Heads = Mapping[str, Mapping[str, int]]
"""Users by split and layer, without zeros."""


class Movers(Struct, frozen=True, kw_only=True):
    """How many `users` did alike: the layer that they left first and the one they came to last, both by number; whether they were first
    touched within the period; and every move, a bit each: number of the layer left x number of layers + number of the layer entered.
    With `moves` 0 they are told by the split to which they came last instead."""

    first: int
    last: int
    is_new: bool
    moves: int
    users: int
    split: str = By.ALL.value


class Flow(Struct, frozen=True, kw_only=True):
    """How many distinct users and transitions went from one layer to another by touchpoints of a split."""

    split: str
    from_layer: str
    to_layer: str
    users: int
    transitions: int


class Crowd(Struct, frozen=True, kw_only=True, dict=True):
    """A brand's period; `layers` lowest first, the rest by their names. Who was seen and never moved stands in the lowest, in no split.
    `movers` are one user in `one_in`."""

    by: By
    layers: list[str]
    before: Heads
    after: Heads
    movers: list[Movers]
    flows: list[Flow]
    one_in: int = 1

    @property
    def nobody(self) -> str:
        """The split of users without labels."""
        return By.ALL.value if self.by == By.ALL else ""

    @cached_property
    def began(self) -> Counter[str]:
        """Users by layer when the period began, of all splits."""
        return _whole(self.before)

    @property
    def seen(self) -> int:
        """Everybody who had been seen when the period ended."""
        return sum(_whole(self.after).values())

    @property
    def newcomers(self) -> int:
        """Who was seen for the first time within the period."""
        return self.seen - sum(self.began.values())

    def stood(self) -> dict[str, int]:
        """Users of all splits who stood in a layer at any time of the period; under "" all who were seen."""
        found = {"": self.seen}
        for number, layer in enumerate(self.layers):
            column = sum(1 << (left * len(self.layers) + number) for left in range(len(self.layers)))
            came = sum(group.users for group in self.movers if group.first != number and group.moves & column)
            users = self.began[layer] + came * self.one_in + (self.newcomers if number == 0 else 0)
            found[layer] = min(users, self.seen)
        return found

    def new(self) -> Counter[tuple[str, str]]:
        """Users first touched within the period by the split and layer in which they stand at its end; without a transition, in the
        lowest layer and in no split."""
        found: Counter[tuple[str, str]] = Counter()
        for group in self.movers:
            if group.is_new and bool(group.moves) == (self.by == By.ALL):
                found[group.split, self.layers[group.last]] += group.users * self.one_in
        found[self.nobody, self.layers[0]] += max(0, self.newcomers - found.total())
        return found


def flows_of(layers: Sequence[str], movers: Sequence[Movers], transitions: Mapping[tuple[str, str], int]) -> list[Flow]:
    """The whole brand's flows, told by everybody's moves."""
    return [
        Flow(
            split=By.ALL.value,
            from_layer=from_layer,
            to_layer=to_layer,
            users=sum(group.users for group in movers if group.moves >> (left * len(layers) + entered) & 1),
            transitions=transitions.get((from_layer, to_layer), 0),
        )
        for left, from_layer in enumerate(layers)
        for entered, to_layer in enumerate(layers)
        if left != entered
    ]


def scaling(crowd: Crowd) -> list[Scaling]:
    """Users per split and layer at the end against the beginning."""
    fresh = crowd.new()
    lines = []
    for split in sorted({crowd.nobody, *crowd.before, *crowd.after}):
        for layer in crowd.layers:
            users, before = (heads.get(split, {}).get(layer, 0) for heads in (crowd.after, crowd.before))
            new = min(users, fresh[split, layer])
            growth = users / before - 1 if before else None
            lines.append(
                Scaling(split=split, layer=layer, users=users, users_before=before, growth=growth, new_users=new, known_users=users - new)
            )
    return lines


def triangulating(lines: Sequence[Scaling], lowest: str) -> list[Triangulating]:
    """Each layer's share of its split, from who stands where."""
    totals: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for line in lines:
        total = totals[line.split]
        total[0] += line.users
        total[1] += line.users_before
        total[2] += 0 if line.layer == lowest else line.users
    return [
        Triangulating(
            split=line.split,
            layer=line.layer,
            users=line.users,
            users_before=line.users_before,
            share=_over(line.users, totals[line.split][0]),
            share_before=_over(line.users_before, totals[line.split][1]),
            crowd_share=None if line.layer == lowest else _over(line.users, totals[line.split][2]),
            growth=line.growth,
        )
        for line in lines
    ]


def activating(crowd: Crowd) -> list[Activating]:
    """The full matrix of layers of every split."""
    flows = {(flow.split, flow.from_layer, flow.to_layer): flow for flow in crowd.flows}
    lines = []
    for split in sorted({crowd.nobody, *(flow.split for flow in crowd.flows)}):
        for left, from_layer in enumerate(crowd.layers):
            for entered, to_layer in enumerate(crowd.layers):
                if left != entered:
                    flow, before = flows.get((split, from_layer, to_layer)), crowd.began[from_layer]
                    users = flow.users if flow else 0
                    lines.append(
                        Activating(
                            split=split,
                            from_layer=from_layer,
                            to_layer=to_layer,
                            direction="forward" if entered > left else "reverse",
                            users=users,
                            transitions=flow.transitions if flow else 0,
                            users_before=before,
                            rate=_over(users, before),
                        )
                    )
    return lines


def _whole(heads: Heads) -> Counter[str]:
    found: Counter[str] = Counter()
    for of_split in heads.values():
        found.update(of_split)
    return found


def _over(part: int, whole: int) -> float | None:
    return part / whole if whole else None
