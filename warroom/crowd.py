"""Who stood in which layer of a brand when a period began and ended, and who moved within it: what the STAR figures of people follow from.

Headcounts and transitions are sums. Distinct users come from one walk over the period's own transitions, in which users who did alike
are taken together. Pure. What each figure means is in `sinks/migrations/0005_star.sql`, whose views say the same, more slowly.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from msgspec import Struct

from warroom.figures import Activating, By, Scaling, Triangulating


class Movers(Struct, frozen=True, kw_only=True):
    """How many `users` did alike: the layer that they left first and the one they came to last, both by number; whether they were first
    touched within the period; and every move, a bit each: number of the layer left x number of layers + number of the layer entered."""

    first: int
    last: int
    is_new: bool
    moves: int
    users: int


class Crowd(Struct, frozen=True, kw_only=True):
    """A brand's period; `layers` lowest first, the rest by their names. Who was seen and never moved stands in the lowest."""

    layers: list[str]
    before: dict[str, int]
    after: dict[str, int]
    transitions: dict[tuple[str, str], int]
    movers: list[Movers]

    @property
    def seen(self) -> int:
        """Everybody who had been seen when the period ended."""
        return sum(self.after.values())

    def distinct(self, left: int, entered: int) -> int:
        """Users who went from one layer to another, by number."""
        bit = 1 << (left * len(self.layers) + entered)
        return sum(group.users for group in self.movers if group.moves & bit)

    def stood(self) -> dict[str, int]:
        """Users who stood in a layer at any time of the period; under "" all who were seen."""
        newcomers = self.seen - sum(self.before.values())
        found = {"": self.seen}
        for number, layer in enumerate(self.layers):
            column = sum(1 << (left * len(self.layers) + number) for left in range(len(self.layers)))
            came = sum(group.users for group in self.movers if group.first != number and group.moves & column)
            found[layer] = self.before.get(layer, 0) + came + (newcomers if number == 0 else 0)
        return found


def scaling(crowd: Crowd) -> list[Scaling]:
    """Users per layer at the end against the beginning, of the whole brand."""
    fresh: defaultdict[int, int] = defaultdict(int)
    for group in crowd.movers:
        if group.is_new:
            fresh[group.last] += group.users
    # newcomers without a transition stand in the lowest layer
    fresh[0] += max(0, crowd.seen - sum(crowd.before.values()) - sum(fresh.values()))
    lines = []
    for number, layer in enumerate(crowd.layers):
        users, before = crowd.after.get(layer, 0), crowd.before.get(layer, 0)
        new = min(users, fresh[number])
        growth = users / before - 1 if before else None
        lines.append(
            Scaling(
                split=By.ALL.value, layer=layer, users=users, users_before=before, growth=growth, new_users=new, known_users=users - new
            )
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
    """The full matrix of layers, of the whole brand."""
    lines = []
    for left, from_layer in enumerate(crowd.layers):
        for entered, to_layer in enumerate(crowd.layers):
            if left != entered:
                users, before = crowd.distinct(left, entered), crowd.before.get(from_layer, 0)
                lines.append(
                    Activating(
                        split=By.ALL.value,
                        from_layer=from_layer,
                        to_layer=to_layer,
                        direction="forward" if entered > left else "reverse",
                        users=users,
                        transitions=crowd.transitions.get((from_layer, to_layer), 0),
                        users_before=before,
                        rate=_over(users, before),
                    )
                )
    return lines


def _over(part: int, whole: int) -> float | None:
    return part / whole if whole else None
