"""A shortfall as one sentence, in Chinese or English. Pure."""

from __future__ import annotations

from collections.abc import Callable

from warroom import wording
from warroom.shortfall import Contribution, Factor, Shortfall
from warroom.targets import Scope
from warroom.wording import Language

ON_PLAN = 0.005
"""A gap below this part of the plan so far is none worth a sentence."""
TOLD = 0.6
"""Causes are named, largest first, until they explain this part of the gap, three at most."""
_MOST_CAUSES = 3
_ALL = 1.005
"""A part of the gap beyond this is told in money: others make up for some of it."""

Label = Callable[[Scope, Language], str]
"""What people call a channel or store."""


def sentence(found: Shortfall, label: Label, currency: str = "CNY", language: Language = "zh") -> str:
    """One sentence: how much is missing (or more), what mainly makes it, and which channel it is most in."""
    return (_Chinese if language == "zh" else _English)(found, label, currency).text()


class _Chinese:
    language: Language = "zh"

    def __init__(self, found: Shortfall, label: Label, currency: str) -> None:
        self._found = found
        self._label = label
        self._currency = currency
        self._sign = 1 if found.missing >= 0 else -1

    def text(self) -> str:
        found = self._found
        if found.planned <= 0:
            return self.not_begun()
        if abs(found.missing) < ON_PLAN * found.planned:
            return self.on_plan()
        return self.head() + self.joined([self.cause(one) for one in self._causes()], self._place())

    def _causes(self) -> list[Contribution]:
        """The largest on the side of the gap, until enough of it is told."""
        told, causes = 0.0, []
        for one in self._found.contributions:
            if one.missing * self._sign <= 0:
                continue
            causes.append(one)
            told += one.missing
            if abs(told) >= TOLD * abs(self._found.missing) or len(causes) == _MOST_CAUSES:
                break
        return causes

    def _place(self) -> str:
        """Which leaf the gap is most in; empty where there is but one, or none stands out."""
        scopes = self._found.by_scope()
        if len(scopes) < 2:
            return ""
        scope, missing = max(scopes.items(), key=lambda item: item[1] * self._sign)
        if missing * self._sign <= 0:
            return ""
        return self.place(self._label(scope, self.language), missing, missing / self._found.missing)

    def money(self, minor: float) -> str:
        return wording.money(abs(minor), self._currency, self.language)

    def value(self, one: Contribution, value: float | None) -> str:
        if value is None:
            return "–"
        if one.factor is Factor.HEADCOUNT:
            return wording.count(value, self.language)
        return wording.rate(value) if one.factor is Factor.CONVERSION_RATE else wording.money(value, self._currency, self.language)

    def not_begun(self) -> str:
        return "尚未开始，还没有到期的目标" + (f"；已成交 {self.money(self._found.actual)}" if self._found.actual else "")

    def on_plan(self) -> str:
        return f"与计划持平：实际 {self.money(self._found.actual)}，计划 {self.money(self._found.planned)}"

    def head(self) -> str:
        more = "少" if self._sign > 0 else "多"
        planned, actual = self.money(self._found.planned), self.money(self._found.actual)
        return f"比计划{more} {self.money(self._found.missing)}（计划 {planned}，实际 {actual}）"

    def cause(self, one: Contribution) -> str:
        name = {Factor.HEADCOUNT: "人数", Factor.CONVERSION_RATE: "转化率", Factor.ORDER_VALUE: "笔单价"}[one.factor]
        place = self._label(one.scope, "zh")
        where = f"{place} {one.layer}" if place else one.layer
        return f"{where} {name} {self.value(one, one.actual)}（计划 {self.value(one, one.planned)}）"

    def place(self, label: str, missing: float, share: float) -> str:
        if share > _ALL:
            return f"{label}一处就{'少' if self._sign > 0 else '多'} {self.money(missing)}"
        return f"{label}占{'缺口' if self._sign > 0 else '超出部分'}的 {wording.whole_rate(share)}"

    def joined(self, causes: list[str], place: str) -> str:
        told = "：主要因为 " + "、".join(causes) if causes else "，都来自目标之外的渠道或分层"
        return told + (f"，{place}" if place else "")


class _English(_Chinese):
    language: Language = "en"

    def not_begun(self) -> str:
        return "Not begun: nothing is due yet" + (f"; {self.money(self._found.actual)} sold" if self._found.actual else "")

    def on_plan(self) -> str:
        return f"On plan: {self.money(self._found.actual)} against {self.money(self._found.planned)}"

    def head(self) -> str:
        side = "below" if self._sign > 0 else "above"
        actual, planned = self.money(self._found.actual), self.money(self._found.planned)
        return f"{self.money(self._found.missing)} {side} plan ({actual} against {planned})"

    def cause(self, one: Contribution) -> str:
        name = {Factor.HEADCOUNT: "users", Factor.CONVERSION_RATE: "conversion rate", Factor.ORDER_VALUE: "order value"}[one.factor]
        place = self._label(one.scope, "en")
        where = f"{place} {one.layer}" if place else one.layer
        return f"{where} {name} {self.value(one, one.actual)} (plan {self.value(one, one.planned)})"

    def place(self, label: str, missing: float, share: float) -> str:
        side = "short" if self._sign > 0 else "ahead"
        if share > _ALL:
            return f"{label} alone is {self.money(missing)} {side}"
        return f"{label} is {wording.whole_rate(share)} of the gap"

    def joined(self, causes: list[str], place: str) -> str:
        told = ", mainly because of " + ", ".join(causes) if causes else ", all of it from outside the target"
        return told + (f"; {place}" if place else "")
