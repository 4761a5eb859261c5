"""Orders and refunds: what they are about, and what they say."""

from __future__ import annotations

from collections.abc import Callable

from sources.simulator import behaviour
from sources.simulator.crowd import LastOrder
from sources.simulator.labels import field


class Till:
    """Numbers orders and says how much is paid and given back."""

    def __init__(self, seed: int, currencies: list[str], random: Callable[[], float]) -> None:
        self._random = random
        self._currencies = [field("currency", currency) for currency in currencies]
        self._prefix = f"o{seed & 0xFFFFFFFF:x}"
        self._next = 0

    def order(self) -> LastOrder:
        """A new order of one to three pieces."""
        random = self._random
        self._next += 1
        price = behaviour.PRICES[int(random() ** 2 * len(behaviour.PRICES))]
        amount = 0 if random() < behaviour.FREE_ORDER else price * (1 + int(random() ** 3 * 3))
        return LastOrder(f"{self._prefix}-{self._next:08d}", amount)

    def refund(self, order: LastOrder) -> int:
        """What the next refund of `order` asks for: a part of what is left, all of it, or more than was ever paid."""
        rest = order.amount - order.refunded
        way = self._random()
        if way < behaviour.PARTIAL_REFUND and rest > 1:
            return max(1, int(rest * (0.1 + 0.6 * self._random())))
        if way < behaviour.PARTIAL_REFUND + behaviour.BEYOND_PAID_REFUND:
            return order.amount + 100
        return rest

    def fields(self, brand: int, order_id: str, amount: int) -> str:
        """What a purchase or a refund says beside its labels: a piece of JSON that begins with a comma."""
        return f',"order_id":"{order_id}","amount":{amount}{self._currencies[brand]}'
