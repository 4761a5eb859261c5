"""The tables that a block fills: what is inserted into what, column by column. The DDL is in `migrations/`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from clickhouse_connect.datatypes.base import ClickHouseType
from clickhouse_connect.datatypes.registry import get_from_name

_LABEL = "String"
"""Labels are sent plain: the server builds the dictionaries of its LowCardinality columns faster than a client does."""

_TIME = "DateTime64(3, 'UTC')"


@dataclass(frozen=True)
class Table:
    """Rows are inserted into `inlet` and end in `name`, which keeps in `block` the block they came in.

    Columns are in the order of a row, without `block`. Times are epoch milliseconds.
    """

    name: str
    inlet: str
    columns: tuple[tuple[str, str], ...]

    @cached_property
    def column_names(self) -> list[str]:
        """Names as inserted: `block`, then the row's."""
        return ["block", *(name for name, _ in self.columns)]

    @cached_property
    def column_types(self) -> list[ClickHouseType]:
        """Types as sent, in the order of `column_names`."""
        return [get_from_name("UInt64"), *(get_from_name(type_) for _, type_ in self.columns)]


NEW_USERS = Table("new_users", "new_users", (("minute", _TIME), ("brand", _LABEL), ("users", "UInt64")))

TOUCH_MINUTES = Table(
    "touch_minutes",
    "touch_inlet",
    (
        ("minute", _TIME),
        ("brand", _LABEL),
        ("type", _LABEL),
        ("channel", _LABEL),
        ("campaign_id", _LABEL),
        ("store_id", _LABEL),
        ("layer_before", _LABEL),
        ("touchpoints", "UInt64"),
        ("users", "Array(UInt64)"),
    ),
)

ORDERS = Table(
    "orders",
    "orders",
    (
        ("shard", "UInt32"),
        ("version", "UInt64"),
        ("event_id", "String"),
        ("type", _LABEL),
        ("brand", _LABEL),
        ("user_id", "String"),
        ("order_id", "String"),
        ("occurred_at", _TIME),
        ("amount", "Int64"),
        ("refunded", "Int64"),
        ("currency", _LABEL),
        ("layer_before", _LABEL),
        ("first_seen", _TIME),
        ("channel", _LABEL),
        ("campaign_id", _LABEL),
        ("store_id", _LABEL),
        ("guide_id", _LABEL),
        ("first_touch_at", f"Nullable({_TIME})"),
        ("first_channel", _LABEL),
        ("first_campaign_id", _LABEL),
        ("first_store_id", _LABEL),
        ("first_guide_id", _LABEL),
        ("last_touch_at", f"Nullable({_TIME})"),
        ("last_channel", _LABEL),
        ("last_campaign_id", _LABEL),
        ("last_store_id", _LABEL),
        ("last_guide_id", _LABEL),
        ("layer_channel", _LABEL),
        ("layer_store_id", _LABEL),
    ),
)

JUNK_MINUTES = Table(
    "junk_minutes",
    "junk_minutes",
    (("minute", _TIME), ("brand", _LABEL), ("type", _LABEL), ("channel", _LABEL), ("records", "UInt64")),
)

STEPS = Table(
    "steps",
    "steps",
    (
        ("shard", "UInt32"),
        ("version", "UInt64"),
        ("ladder", _LABEL),
        ("detected_at", _TIME),
        ("watermark", f"Nullable({_TIME})"),
        ("swept_to", f"Nullable({_TIME})"),
        ("offsets", "Map(String, Int64)"),
        ("applied", "UInt64"),
        ("duplicates", "UInt64"),
        ("junk", "UInt64"),
        ("late", "UInt64"),
        ("dead_letters", "Map(String, UInt64)"),
        ("forwarded", "UInt64"),
        ("ticks", "UInt64"),
        ("transitions", "UInt64"),
    ),
)

SHARDS = Table("shards", "shards", (("shard", "UInt32"), ("version", "UInt64"), ("watermark", _TIME), ("swept_to", _TIME)))

TRANSITIONS = Table(
    "transitions",
    "transitions",
    (
        ("shard", "UInt32"),
        ("version", "UInt64"),
        ("index", "UInt32"),
        ("brand", _LABEL),
        ("user_id", "String"),
        ("seq", "UInt64"),
        ("from_layer", _LABEL),
        ("to_layer", _LABEL),
        ("direction", _LABEL),
        ("kind", _LABEL),
        ("occurred_at", _TIME),
        ("effective_at", _TIME),
        ("detected_at", _TIME),
        ("late", "Bool"),
        ("dwell_ms", "Nullable(Int64)"),
        ("ladder", _LABEL),
        ("cause_event_id", "String"),
        ("cause_type", _LABEL),
        ("cause_topic", _LABEL),
        ("cause_partition", "Nullable(UInt32)"),
        ("cause_offset", "Nullable(Int64)"),
        ("cause_at", f"Nullable({_TIME})"),
        ("channel", _LABEL),
        ("campaign_id", _LABEL),
        ("store_id", _LABEL),
        ("guide_id", _LABEL),
        ("first_channel", _LABEL),
        ("first_campaign_id", _LABEL),
        ("first_touch_at", f"Nullable({_TIME})"),
        ("former_channel", _LABEL),
        ("former_campaign_id", _LABEL),
        ("former_store_id", _LABEL),
        ("former_guide_id", _LABEL),
        ("former_known", "Bool"),
    ),
)


def _part(name: str, inlet: str, source: Table, columns: str) -> Table:
    """A table that takes some of another's columns."""
    wanted = columns.split()
    return Table(name, inlet, tuple(column for column in source.columns if column[0] in wanted))


FLOW_MINUTES = _part("flow_minutes", "flow_inlet", TRANSITIONS, "brand user_id from_layer to_layer kind effective_at channel campaign_id")

MOVE_MINUTES = _part(
    "move_minutes", "move_inlet", TRANSITIONS, "brand user_id direction effective_at channel campaign_id store_id guide_id"
)

USER_LAYERS = _part(
    "user_layers",
    "user_layers",
    TRANSITIONS,
    "brand user_id seq to_layer effective_at channel campaign_id store_id guide_id first_channel first_campaign_id",
)

ORDER_MINUTES = _part(
    "order_minutes",
    "order_inlet",
    ORDERS,
    "type brand user_id occurred_at amount refunded layer_before first_seen channel campaign_id store_id guide_id",
)

FLOW_SPANS, MOVE_SPANS, ORDER_SPANS = (
    Table(minutes.name.replace("minutes", "spans"), minutes.inlet.replace("inlet", "span_inlet"), minutes.columns)
    for minutes in (FLOW_MINUTES, MOVE_MINUTES, ORDER_MINUTES)
)
"""The same by the hour and by eight hours, from the same columns."""

SHOP_FLOW_SPANS = _part(
    "shop_flow_spans", "shop_flow_span_inlet", TRANSITIONS, "brand user_id from_layer to_layer effective_at store_id guide_id"
)

HEAD_SPANS = _part(
    "head_spans",
    "head_inlet",
    TRANSITIONS,
    "brand from_layer to_layer effective_at channel campaign_id store_id guide_id"
    " former_channel former_campaign_id former_store_id former_guide_id former_known",
)

MOVE_SAMPLE = _part(
    "move_sample",
    "move_sample",
    TRANSITIONS,
    "brand user_id seq from_layer to_layer direction effective_at channel campaign_id store_id guide_id first_touch_at",
)
ORDER_SAMPLE = _part(
    "order_sample",
    "order_sample",
    ORDERS,
    "type brand user_id order_id occurred_at amount refunded layer_before first_seen channel campaign_id store_id guide_id",
)
SAMPLES = (MOVE_SAMPLE, ORDER_SAMPLE)
SAMPLED_ONE_IN = 16
"""SAMPLES take the users the XXH3-64 hash of whose id is a multiple of this."""

PURCHASE_SPANS = _part(
    "purchase_spans",
    "purchase_inlet",
    ORDERS,
    "type brand user_id occurred_at amount layer_before channel campaign_id store_id guide_id",
)

CELL_SPANS = _part(
    "cell_spans", "cell_inlet", ORDERS, "type brand user_id occurred_at amount refunded layer_before layer_channel layer_store_id"
)
"""Channel and store are those of the touch that brought the buyer to `layer_before`, not those of the order."""

PROMOTIONS = Table(
    "promotions",
    "promotions",
    (
        ("promotion_id", "String"),
        ("version", "UInt32"),
        ("brand", _LABEL),
        ("name", "String"),
        ("changed_by", "String"),
        ("changed_at", _TIME),
        ("reason", "String"),
        ("effective_from", _TIME),
        ("window_from", _TIME),
        ("window_to", _TIME),
        ("target_gmv", "Int64"),
        ("record", "String"),
    ),
)

ALERTS = Table(
    "alerts",
    "alerts",
    (
        ("brand", _LABEL),
        ("alert_id", "String"),
        ("version", "UInt32"),
        ("rule", _LABEL),
        ("state", _LABEL),
        ("severity", _LABEL),
        ("from_layer", _LABEL),
        ("to_layer", _LABEL),
        ("channel", _LABEL),
        ("since", _TIME),
        ("at", _TIME),
        ("users_at_stake", "Nullable(UInt64)"),
        ("gmv_at_stake", "Nullable(Int64)"),
        ("acknowledged_by", "String"),
        ("record", "String"),
    ),
)

SPEND = Table(
    "spend",
    "spend",
    (
        ("revision", "UInt64"),
        ("spend_id", "String"),
        ("brand", _LABEL),
        ("day", "Date32"),
        ("begins_at", _TIME),
        ("channel", _LABEL),
        ("campaign_id", _LABEL),
        ("amount", "Int64"),
        ("currency", _LABEL),
    ),
)

TABLES: tuple[Table, ...] = (
    NEW_USERS,
    TRANSITIONS,
    FLOW_MINUTES,
    FLOW_SPANS,
    MOVE_MINUTES,
    MOVE_SPANS,
    SHOP_FLOW_SPANS,
    HEAD_SPANS,
    MOVE_SAMPLE,
    USER_LAYERS,
    TOUCH_MINUTES,
    ORDERS,
    ORDER_MINUTES,
    ORDER_SPANS,
    CELL_SPANS,
    PURCHASE_SPANS,
    ORDER_SAMPLE,
    JUNK_MINUTES,
    SPEND,
    PROMOTIONS,
    ALERTS,
    STEPS,
    SHARDS,
)
"""In the order in which a block fills them: users come before their moves, and `shards`, which says how far all is stored, last."""

PARTS: tuple[tuple[Table, Table], ...] = (
    (TRANSITIONS, FLOW_MINUTES),
    (TRANSITIONS, FLOW_SPANS),
    (TRANSITIONS, MOVE_MINUTES),
    (TRANSITIONS, MOVE_SPANS),
    (TRANSITIONS, SHOP_FLOW_SPANS),
    (TRANSITIONS, HEAD_SPANS),
    (TRANSITIONS, MOVE_SAMPLE),
    (TRANSITIONS, USER_LAYERS),
    (ORDERS, ORDER_MINUTES),
    (ORDERS, ORDER_SPANS),
    (ORDERS, CELL_SPANS),
    (ORDERS, PURCHASE_SPANS),
    (ORDERS, ORDER_SAMPLE),
)
"""A table and another that is filled with some of its columns; SAMPLES with some of its rows."""
