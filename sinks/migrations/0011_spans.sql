-- Sums per hour and per eight hours, beside those per minute: a figure of a long period is made of as many whole eight hours as it has, the
-- hours at their ends and the minutes at theirs (warroom/spans.py), so that a day of a hundred million transitions costs little more than
-- one of its hours. Eight hours from 16:00 UTC on: a day in Shanghai is three of them. The states of distinct users are those of the
-- minutes: merged by the span or by the minute they give the same figure. `minutes` is the length of a span, 60 or 480. Each has an inlet of its own, as in 0003. What an earlier program stored is filled in by sinks/backfill.py.
CREATE TABLE IF NOT EXISTS {database}.flow_span_inlet AS {database}.flow_inlet ENGINE = Null;

-- `told_by` is what the rows are told apart by beside the layers: all, channel or campaign; `label` is its value, empty for all and for none.
CREATE TABLE IF NOT EXISTS {database}.flow_spans
(
    block SimpleAggregateFunction(max, UInt64),
    brand LowCardinality(String),
    minutes UInt16,
    told_by LowCardinality(String),
    begins DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    label LowCardinality(String),
    from_layer LowCardinality(String),
    to_layer LowCardinality(String),
    transitions SimpleAggregateFunction(sum, UInt64),
    users AggregateFunction(uniq, UInt64) COMMENT 'of the upper 53 bits of the XXH3-64 hash of the user id'
)
ENGINE = AggregatingMergeTree
ORDER BY (brand, minutes, told_by, begins, label, from_layer, to_layer)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.flow_spans_view TO {database}.flow_spans AS
SELECT
    max(i.block) AS block,
    brand,
    toUInt16(span.1) AS minutes,
    span.2 AS told_by,
    fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(i.effective_at), minutes * 60000) * (minutes * 60000), 'UTC') AS begins,
    span.3 AS label,
    from_layer,
    to_layer,
    count() AS transitions,
    uniqState(bitShiftRight(xxh3(user_id), 11)) AS users
FROM {database}.flow_span_inlet AS i
ARRAY JOIN [(60, 'all', ''), (60, 'channel', toString(i.channel)), (60, 'campaign', toString(i.campaign_id)),
            (480, 'all', ''), (480, 'channel', toString(i.channel)), (480, 'campaign', toString(i.campaign_id))] AS span
GROUP BY brand, minutes, told_by, begins, label, from_layer, to_layer;

CREATE TABLE IF NOT EXISTS {database}.move_span_inlet AS {database}.move_inlet ENGINE = Null;

CREATE TABLE IF NOT EXISTS {database}.move_spans
(
    block SimpleAggregateFunction(max, UInt64),
    brand LowCardinality(String),
    minutes UInt16,
    dimension LowCardinality(String) COMMENT 'channel, campaign, store or guide',
    begins DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    label LowCardinality(String),
    direction LowCardinality(String),
    transitions SimpleAggregateFunction(sum, UInt64),
    users AggregateFunction(uniq, UInt64) COMMENT 'of the upper 53 bits of the XXH3-64 hash of the user id'
)
ENGINE = AggregatingMergeTree
ORDER BY (brand, minutes, dimension, begins, label, direction)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.move_spans_view TO {database}.move_spans AS
SELECT
    max(i.block) AS block,
    brand,
    toUInt16(span.1) AS minutes,
    span.2 AS dimension,
    fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(i.effective_at), minutes * 60000) * (minutes * 60000), 'UTC') AS begins,
    span.3 AS label,
    direction,
    count() AS transitions,
    uniqState(bitShiftRight(xxh3(user_id), 11)) AS users
FROM {database}.move_span_inlet AS i
ARRAY JOIN [(60, 'channel', toString(i.channel)), (60, 'campaign', toString(i.campaign_id)), (60, 'store', toString(i.store_id)),
            (60, 'guide', toString(i.guide_id)), (480, 'channel', toString(i.channel)), (480, 'campaign', toString(i.campaign_id)),
            (480, 'store', toString(i.store_id)), (480, 'guide', toString(i.guide_id))] AS span
GROUP BY brand, minutes, dimension, begins, label, direction;

CREATE TABLE IF NOT EXISTS {database}.order_span_inlet AS {database}.order_inlet ENGINE = Null;

-- Money in minor units, refunds and new buyers as in order_minutes.
CREATE TABLE IF NOT EXISTS {database}.order_spans
(
    block SimpleAggregateFunction(max, UInt64),
    brand LowCardinality(String),
    minutes UInt16,
    dimension LowCardinality(String) COMMENT 'all, layer, channel, campaign, store or guide',
    begins DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    label LowCardinality(String),
    orders SimpleAggregateFunction(sum, UInt64),
    gmv SimpleAggregateFunction(sum, Int64),
    gmv_new SimpleAggregateFunction(sum, Int64) COMMENT 'of new buyers',
    refunds SimpleAggregateFunction(sum, Int64),
    buyers AggregateFunction(uniq, UInt64) COMMENT 'of the upper 53 bits of the XXH3-64 hash of the user id'
)
ENGINE = AggregatingMergeTree
ORDER BY (brand, minutes, dimension, begins, label)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.order_spans_view TO {database}.order_spans AS
SELECT
    max(i.block) AS block,
    brand,
    toUInt16(span.1) AS minutes,
    span.2 AS dimension,
    fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(i.occurred_at), minutes * 60000) * (minutes * 60000), 'UTC') AS begins,
    span.3 AS label,
    countIf(type = 'purchase') AS orders,
    sumIf(amount, type = 'purchase') AS gmv,
    sumIf(amount, type = 'purchase' AND first_seen > occurred_at - INTERVAL 24 HOUR) AS gmv_new,
    sum(refunded) AS refunds,
    uniqStateIf(bitShiftRight(xxh3(user_id), 11), type = 'purchase') AS buyers
FROM {database}.order_span_inlet AS i
ARRAY JOIN arrayFlatten(arrayMap(length -> arrayMap(place -> (length, place.1, place.2), [
    ('all', ''), ('layer', toString(i.layer_before)), ('channel', toString(i.channel)), ('campaign', toString(i.campaign_id)),
    ('store', toString(i.store_id)), ('guide', toString(i.guide_id))]), [60, 480])) AS span
GROUP BY brand, minutes, dimension, begins, label;

CREATE TABLE IF NOT EXISTS {database}.sales_span_inlet AS {database}.sales_inlet ENGINE = Null;

CREATE TABLE IF NOT EXISTS {database}.sales_spans
(
    block SimpleAggregateFunction(max, UInt64),
    brand LowCardinality(String),
    minutes UInt16,
    begins DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    layer_before LowCardinality(String),
    channel LowCardinality(String),
    store_id LowCardinality(String),
    orders SimpleAggregateFunction(sum, UInt64) COMMENT 'purchases',
    gmv SimpleAggregateFunction(sum, Int64) COMMENT 'what they paid before refunds, minor units',
    refunded SimpleAggregateFunction(sum, Int64) COMMENT 'dated and labelled as the record that changed it',
    buyers AggregateFunction(uniq, UInt64) COMMENT 'of the purchases: of the upper 53 bits of the XXH3-64 hash of the user id'
)
ENGINE = AggregatingMergeTree
ORDER BY (brand, minutes, begins, layer_before, channel, store_id)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.sales_spans_view TO {database}.sales_spans AS
SELECT
    max(i.block) AS block,
    brand,
    toUInt16(span) AS minutes,
    fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(i.occurred_at), minutes * 60000) * (minutes * 60000), 'UTC') AS begins,
    layer_before, channel, store_id,
    countIf(i.type = 'purchase') AS orders,
    sumIf(i.amount, i.type = 'purchase') AS gmv,
    sum(i.refunded) AS refunded,
    uniqStateIf(bitShiftRight(xxh3(i.user_id), 11), i.type = 'purchase') AS buyers
FROM {database}.sales_span_inlet AS i
ARRAY JOIN [60, 480] AS span
GROUP BY brand, minutes, begins, layer_before, channel, store_id;
