"""What ClickHouse says: the STAR tables, flows, orders, census and ledger. The text of every query is fixed; values are bound.

Where a brand may be None, all brands together are meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

from msgspec.structs import replace

from schemas.times import DAY_MS, to_rfc3339
from warroom import crowd, crowd_queries, queries, sold_queries
from warroom.crowd import Crowd, Flow, Movers, flows_of
from warroom.figures import (
    Activating,
    By,
    Census,
    Junk,
    LedgerLine,
    Move,
    Orders,
    Returning,
    Scaling,
    StarTables,
    StepSums,
    Stored,
    Triangulating,
    Violation,
)
from warroom.reader import Reader, bound_period
from warroom.sample import WALKED_BY_STAR, Sample, sample_of
from warroom.sold import Buyers, Sold, Sums, returning
from warroom.spans import HOUR_MS, bound_spans

_EVER = (0, 9_999_999_960_000)


class Star(Reader):
    """A reader of one database. Every method raises StoreAway or StoreError (`sinks.errors`)."""

    def scaling(self, brand: str, start: int, end: int, by: By = By.ALL) -> list[Scaling]:
        """Users per layer at `end` against `start`; both whole minutes."""
        found = self.crowd(brand, start, end, by)
        return crowd.scaling(found) if found else self._structs(Scaling, queries.SCALING, _period(brand, start, end, by))

    def triangulating(self, brand: str, start: int, end: int, by: By = By.ALL) -> list[Triangulating]:
        """Each layer's share at `end` and its growth since `start`."""
        return crowd.triangulating(self.scaling(brand, start, end, by), self.layers()[0])

    def activating(self, brand: str, start: int, end: int, by: By = By.ALL) -> list[Activating]:
        """The full matrix of layers: who left which for which from `start` to before `end`."""
        found = self.crowd(brand, start, end, by)
        return crowd.activating(found) if found else self._structs(Activating, queries.ACTIVATING, _period(brand, start, end, by))

    def returning(self, brand: str, start: int, end: int, by: By = By.ALL) -> list[Returning]:
        """Sales from `start` to before `end`, per layer the buyers stood in, and in total."""
        return self._returning(self.crowd(brand, start, end), _period(brand, start, end, by))

    def tables(self, brand: str, start: int, end: int, by: By = By.ALL) -> StarTables:
        """All four of them, for little more than the dearest of them."""
        found, bound = self.crowd(brand, start, end, by), _period(brand, start, end, by)
        scaling = crowd.scaling(found) if found else self._structs(Scaling, queries.SCALING, bound)
        return StarTables(
            scaling=scaling,
            triangulating=crowd.triangulating(scaling, (found.layers if found else self.layers())[0]),
            activating=crowd.activating(found) if found else self._structs(Activating, queries.ACTIVATING, bound),
            returning=self._returning(found or self.crowd(brand, start, end), bound),
        )

    def _returning(self, found: Crowd | None, bound: dict[str, Any]) -> list[Returning]:
        sold = self._sold(found.layers, bound) if found else None
        return self._structs(Returning, queries.RETURNING, bound) if found is None or sold is None else returning(sold, found.stood())

    def _sold(self, layers: list[str], bound: dict[str, Any]) -> Sold | None:
        """What was sold; None if somebody bought who stood in a layer that the ladder has no more."""
        by, start, end = By(bound["split_by"]), bound["from"], bound["to"]
        of_quarter = self._orders_sample(bound["brand"], min(start, end - 90 * DAY_MS), end)
        sample = self._orders_sample(bound["brand"], start, end) if of_quarter.is_partial else of_quarter
        told = {**bound, **bound_spans(start, end), **_numbered(layers), "rank": sample.rank}
        sums = self._structs(Sums, sold_queries.SUMS[by, sample.is_partial], told)
        counted = None
        buyers = self._structs(Buyers, sold_queries.BUYERS[by, of_quarter.is_partial], {**told, "rank": of_quarter.rank})
        with_buyers = by == By.ALL or not sample.is_partial
        if of_quarter.is_partial:
            new = {(one.split, one.layer): one.gmv_new * sample.one_in for one in sums}
            sums, counted = self._sums_of_spans(by, told, new, with_buyers=with_buyers)
        if not with_buyers:
            buyers, counted = [replace(one, users=one.users * of_quarter.one_in) for one in buyers], None
        if not {one.layer for one in sums} <= {*layers}:
            return None
        paid = {(one.split, one.layer): one.gmv for one in sums}
        back = self._rows(sold_queries.REFUNDS[by, sample.is_partial], told) if sums else ()
        spend = sold_queries.SPEND.get(by)
        return Sold(
            by=by,
            layers=layers,
            sums=sums,
            refunds={(split, layer): min(int(sum_) * sample.one_in, paid.get((split, layer), 0)) for split, layer, sum_ in back},
            buyers=buyers,
            spend=None if spend is None else {split: int(cost) for split, cost in self._rows(spend, told)},
            counted=counted,
        )

    def _orders_sample(self, brand: str, start: int, end: int) -> Sample:
        """Of how many users to walk through the orders of a period."""
        hours = bound_spans(start // HOUR_MS * HOUR_MS, -(-end // HOUR_MS) * HOUR_MS)
        return sample_of(int(self._rows(sold_queries.PURCHASES, {"brand": brand, **hours})[0][0]), walked=WALKED_BY_STAR)

    def _sums_of_spans(
        self, by: By, bound: dict[str, Any], new: Mapping[tuple[str, str], int], *, with_buyers: bool
    ) -> tuple[list[Sums], dict[tuple[str, str], int]]:
        """Purchases by split and layer, of which new buyers paid `new`, and how many bought; under "" in all layers."""
        sums, counted = [], {}
        for split, layer, orders, gmv, buyers, is_total in self._rows(sold_queries.SUMS_OF_SPANS[by, with_buyers], bound):
            place = (By.ALL.value if by == By.ALL else split, "" if is_total else layer)
            counted[place] = int(buyers)
            if not is_total:
                gmv_new = min(int(gmv), new.get(place, 0))
                sums.append(Sums(split=place[0], layer=layer, orders=int(orders), gmv=int(gmv), gmv_new=gmv_new))
        return sums, counted

    def layers(self) -> list[str]:
        """The ladder's, lowest first."""
        return [row[0] for row in self._rows(queries.LAYERS)]

    def crowd(self, brand: str, start: int, end: int, by: By = By.ALL) -> Crowd | None:
        """Who stood where, and who moved from `start` to before `end`. None if somebody stood in or moved through a layer that the ladder
        has no more, or it has more than 16, or it is not known under which labels somebody stood: the views tell those."""
        layers = self.layers()
        if by != By.ALL and self._rows(crowd_queries.UNTOLD, {"brand": brand})[0][0]:
            return None
        before, after = (self._heads(brand, at, by) for at in (start, end))
        moved = self._moved(brand, start, end)
        bits = next((bits for bits in crowd_queries.BITS if len(layers) ** 2 <= bits), 0)
        named = {*chain.from_iterable(moved), *chain.from_iterable(chain(before.values(), after.values()))}
        if not bits or not named <= {*layers}:
            return None
        sample = sample_of(sum(moved.values()), walked=WALKED_BY_STAR)
        text = crowd_queries.MOVERS[bits, by, sample.is_partial]
        bound = {**_period(brand, start, end), "layers": len(layers), **_numbered(layers), "rank": sample.rank}
        movers = self._structs(Movers, text, bound)
        told_by_movers = by == By.ALL and not sample.is_partial
        flows = flows_of(layers, movers, moved) if told_by_movers else self._flows(brand, start, end, by, sample)
        return Crowd(by=by, layers=layers, before=before, after=after, movers=movers, flows=flows, one_in=sample.one_in)

    def _heads(self, brand: str, at: int, by: By) -> dict[str, dict[str, int]]:
        """Users by split and layer at an instant."""
        text = crowd_queries.HEADS if by == By.ALL else crowd_queries.HEADS_BY_LABEL
        found: dict[str, dict[str, int]] = {}
        for split, layer, users in self._rows(text, {"brand": brand, "split_by": by.value, **bound_spans(0, at)}):
            found.setdefault(split, {})[layer] = int(users)
        return found

    def _moved(self, brand: str, start: int, end: int) -> dict[tuple[str, str], int]:
        """Transitions of a period by the layers left and entered."""
        rows = self._rows(crowd_queries.MOVED, {"brand": brand, **bound_spans(start, end)})
        return {(left, entered): int(count) for left, entered, count in rows}

    def _flows(self, brand: str, start: int, end: int, by: By, sample: Sample) -> list[Flow]:
        by_label = crowd_queries.FLOWS_OF_SAMPLE if sample.is_partial else crowd_queries.FLOWS_OF_RECORDS
        text = crowd_queries.FLOWS if by == By.ALL else by_label[by]
        return self._structs(Flow, text, {"brand": brand, "split_by": by.value, **bound_spans(start, end), **sample._asdict()})

    def ledger(self, brand: str, start: int, end: int) -> list[LedgerLine]:
        """The ledger's lines of the minute `start` and of every minute before `end` in which anybody moved."""
        return self._structs(LedgerLine, queries.LEDGER, _period(brand, start, end))

    def census(self, brand: str | None = None) -> Census:
        """Users per layer as the ledger closes over all minutes; every layer of the ladder, and R0 with all who were ever seen.
        A layer of a former ladder is among them while anybody stands there."""
        rows = self._rows(queries.CENSUS, _of(brand))
        final = self._rows(queries.FINAL_BEFORE)
        return Census(layers={row[0]: row[1] for row in rows}, final_before=final[0][0])

    def transitions(self, brand: str | None = None) -> int:
        """How many transitions are stored."""
        return int(self._rows(queries.TRANSITIONS, _of(brand))[0][0])

    def flows(self, brand: str | None = None) -> dict[str, int]:
        """Transitions by `R0>R1`, without zeros."""
        return {f"{from_}>{to}": count for from_, to, count in self._rows(queries.FLOWS, _of(brand))}

    def orders(self, brand: str | None = None) -> Orders:
        """Sums over all orders."""
        return self._structs(Orders, queries.ORDERS, _of(brand))[0]

    def steps(self) -> StepSums:
        """Sums over all steps."""
        return self._structs(StepSums, queries.STEPS, {})[0]

    def junk(self, brand: str | None = None, start: int = _EVER[0], end: int = _EVER[1]) -> list[Junk]:
        """What was junk from `start` to before `end` (whole minutes), by channel and type, most first; none where there was none."""
        return self._structs(Junk, queries.JUNK, _period(brand or "", start, end))

    def dead_letters(self) -> dict[str, int]:
        """Records of every brand that could not be processed, by reason."""
        return {row[0]: row[1] for row in self._rows(queries.DEAD_LETTERS)}

    def stored(self) -> dict[int, Stored]:
        """How far each shard is stored, rollups and transitions; version 0 for one that has told nothing."""
        return {row[0]: Stored(version=row[1], watermark=row[2], swept_to=row[3]) for row in self._rows(queries.STORED)}

    def stored_offsets(self) -> dict[tuple[str, int], int]:
        """By topic (without prefix) and partition, the first offset that is not stored, as of the last block that is done."""
        return {(stream, partition): offset for stream, partition, offset in self._rows(queries.STORED_OFFSETS)}

    def history(self, brand: str, user_id: str, limit: int = 1000) -> list[Move]:
        """The latest `limit` transitions of a user, oldest first."""
        return self._structs(Move, queries.HISTORY, {"brand": brand, "user_id": user_id, "limit": limit})[::-1]

    def ledger_balances(self, brand: str | None = None) -> list[Violation]:
        """What does not add up, empty if all does: a closing below zero; a layer's closing other than the users whose last transition led
        there; a user whose transitions do not chain (one lost, one doubled); transitions and flows that differ in number; of all brands
        together also transitions other than the steps tell of."""
        found = [
            Violation(brand=of, where=f"{layer} at {to_rfc3339(minute)}", expected="a closing of 0 or more", found=str(count))
            for of, layer, minute, count in self._rows(queries.NEGATIVE_CLOSINGS, _of(brand))
        ]
        found += [
            Violation(brand=of, where=layer, expected=f"{standing} users by their last transition", found=f"a closing of {closing_}")
            for of, layer, closing_, standing in self._rows(queries.CLOSINGS_AGAINST_USERS, _of(brand))
        ]
        found += [
            Violation(brand=of, where=f"user {user}", expected="transitions that chain", found=chain)
            for of, user, chain in self._rows(queries.BROKEN_CHAINS, _of(brand))
        ]
        found += [
            Violation(brand=of, where="flow_minutes", expected=f"{transitions} transitions", found=str(flows))
            for of, transitions, flows in self._rows(queries.FLOWS_AGAINST_TRANSITIONS, _of(brand))
        ]
        if brand is None:
            found += [
                Violation(brand="", where=f"shard {shard}", expected=f"{told} transitions by its steps", found=str(there))
                for shard, told, there in self._rows(queries.TRANSITIONS_AGAINST_STEPS)
            ]
        return found


def _of(brand: str | None) -> dict[str, Any]:
    return {"brand": brand or ""}


def _numbered(layers: list[str]) -> dict[str, Any]:
    return {"names": layers, "numbers": list(range(len(layers)))}


def _period(brand: str, start: int, end: int, by: By | None = None) -> dict[str, Any]:
    bound = {**bound_period(brand, start, end), "from": start, "to": end}
    return bound if by is None else {**bound, "split_by": By(by).value}
