-- What each label's figures are made of, so that none of them walks through every user's history. `former_...` is what the user's transition
-- before told of its touch: the labels under which they stood in the layer left; where `former_known` is false a build told the record
-- that did not say it. `layer_...` is the same of the layer that a buyer stood in.
ALTER TABLE {database}.transitions
    ADD COLUMN IF NOT EXISTS former_channel LowCardinality(String),
    ADD COLUMN IF NOT EXISTS former_campaign_id LowCardinality(String),
    ADD COLUMN IF NOT EXISTS former_store_id LowCardinality(String),
    ADD COLUMN IF NOT EXISTS former_guide_id LowCardinality(String),
    ADD COLUMN IF NOT EXISTS former_known Bool;

ALTER TABLE {database}.orders
    ADD COLUMN IF NOT EXISTS layer_channel LowCardinality(String),
    ADD COLUMN IF NOT EXISTS layer_store_id LowCardinality(String),
    -- of the user, and of the order as the user's: compared in place of texts where very many orders are gone through
    ADD COLUMN IF NOT EXISTS person UInt64 MATERIALIZED xxh3(user_id),
    ADD COLUMN IF NOT EXISTS order_hash UInt64 MATERIALIZED xxh3(concat(user_id, '\0', order_id));

-- Who entered and who left a layer under a label, by the minute, the hour and eight hours (`minutes` 1, 60, 480): entered less gone, summed
-- up to an instant, is who stands there then; only who was never seen to move is not among them. Who leaves, leaves under the label of
-- the touch that had brought them. `dimension` is channel, campaign, store, guide or place (label: the channel, store_id: the store),
-- or `unknown`: counts transitions of which it is not known what the user left, less those that were filled in since, or `filled`: without
-- figures, shows by its block how far sinks/backfill.py has come. `told` says which part of a transition a row of the inlet tells: '' all,
-- 'filled' all, by the backfill, 'left' what was left, of one that had not known it.
CREATE TABLE IF NOT EXISTS {database}.head_inlet
(
    block UInt64,
    brand LowCardinality(String),
    effective_at DateTime64(3, 'UTC'),
    from_layer LowCardinality(String),
    to_layer LowCardinality(String),
    channel LowCardinality(String),
    campaign_id LowCardinality(String),
    store_id LowCardinality(String),
    guide_id LowCardinality(String),
    former_channel LowCardinality(String),
    former_campaign_id LowCardinality(String),
    former_store_id LowCardinality(String),
    former_guide_id LowCardinality(String),
    former_known Bool,
    told LowCardinality(String) DEFAULT ''
)
ENGINE = Null;

CREATE TABLE IF NOT EXISTS {database}.head_spans
(
    block SimpleAggregateFunction(max, UInt64),
    brand LowCardinality(String),
    minutes UInt16,
    dimension LowCardinality(String),
    begins DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    label LowCardinality(String),
    store_id LowCardinality(String),
    layer LowCardinality(String),
    entered SimpleAggregateFunction(sum, UInt64),
    gone SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY (brand, minutes, dimension, begins, label, store_id, layer)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.head_spans_view TO {database}.head_spans AS
SELECT
    max(m.block) AS block,
    brand,
    toUInt16(length) AS minutes,
    place.1 AS dimension,
    fromUnixTimestamp64Milli(intDiv(minute, length) * (length * 60000), 'UTC') AS begins,
    place.2 AS label,
    place.3 AS store_id,
    place.4 AS layer,
    sum(m.came) AS entered,
    sum(m.went) AS gone
FROM
(
    SELECT max(i.block) AS block, brand, intDiv(toUnixTimestamp64Milli(i.effective_at), 60000) AS minute, told_of.1 AS place,
        countIf(told_of.2) AS came, countIf(NOT told_of.2) AS went
    FROM {database}.head_inlet AS i
    ARRAY JOIN arrayConcat(
        if(told = 'left', [(('unknown', '', '', toString(from_layer)), false)],
           [(('channel', toString(channel), '', toString(to_layer)), true), (('campaign', toString(campaign_id), '', toString(to_layer)), true),
            (('store', toString(store_id), '', toString(to_layer)), true), (('guide', toString(guide_id), '', toString(to_layer)), true),
            (('place', toString(channel), toString(store_id), toString(to_layer)), true)]),
        if(former_known,
           [(('channel', toString(former_channel), '', toString(from_layer)), false),
            (('campaign', toString(former_campaign_id), '', toString(from_layer)), false),
            (('store', toString(former_store_id), '', toString(from_layer)), false),
            (('guide', toString(former_guide_id), '', toString(from_layer)), false),
            (('place', toString(former_channel), toString(former_store_id), toString(from_layer)), false)],
           [(('unknown', '', '', toString(from_layer)), true)]),
        if(told = '', [], [(('filled', '', '', ''), true)])) AS told_of
    GROUP BY brand, minute, place
) AS m
ARRAY JOIN [1, 60, 480] AS length
GROUP BY brand, minutes, dimension, begins, label, store_id, layer;

-- Flows by store and guide, as flow_spans has them by channel and campaign.
CREATE TABLE IF NOT EXISTS {database}.shop_flow_span_inlet
(
    block UInt64,
    brand LowCardinality(String),
    user_id String,
    from_layer LowCardinality(String),
    to_layer LowCardinality(String),
    effective_at DateTime64(3, 'UTC'),
    store_id LowCardinality(String),
    guide_id LowCardinality(String)
)
ENGINE = Null;

CREATE TABLE IF NOT EXISTS {database}.shop_flow_spans
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

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.shop_flow_spans_view TO {database}.shop_flow_spans AS
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
FROM {database}.shop_flow_span_inlet AS i
ARRAY JOIN [(60, 'store', toString(i.store_id)), (60, 'guide', toString(i.guide_id)),
            (480, 'store', toString(i.store_id)), (480, 'guide', toString(i.guide_id))] AS span
GROUP BY brand, minutes, told_by, begins, label, from_layer, to_layer;

-- All transitions of one user in sixteen, in few columns: what distinct users of a long period are estimated from where no sum tells them.
-- `rank` halves them further: 0 is all of them, 1 and above one user in 32, 2 and above one in 64.
CREATE TABLE IF NOT EXISTS {database}.move_sample
(
    block UInt64 CODEC(Delta, ZSTD),
    brand LowCardinality(String),
    user_id String EPHEMERAL,
    person UInt64 DEFAULT xxh3(user_id),
    rank UInt8 DEFAULT arraySum(arrayMap(d -> person % d = 0, [32, 64, 128, 256, 512, 1024])),
    seq UInt64,
    from_layer LowCardinality(String),
    to_layer LowCardinality(String),
    direction LowCardinality(String),
    effective_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    channel LowCardinality(String),
    campaign_id LowCardinality(String),
    store_id LowCardinality(String),
    guide_id LowCardinality(String),
    first_touch_at Nullable(DateTime64(3, 'UTC')),
    INDEX block block TYPE minmax GRANULARITY 16
)
ENGINE = MergeTree
ORDER BY (brand, rank, effective_at, person, seq)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

-- What was sold by layer, channel and store, what the cells of a target tree are held against: channel and store are now those of the touch
-- that brought the buyer to the layer, as heads are counted, and no more those of the order. In place of sales_minutes and sales_spans.
DROP VIEW IF EXISTS {database}.sales_minutes_view;
DROP VIEW IF EXISTS {database}.sales_spans_view;
DROP TABLE IF EXISTS {database}.sales_minutes;
DROP TABLE IF EXISTS {database}.sales_spans;
DROP TABLE IF EXISTS {database}.sales_inlet;
DROP TABLE IF EXISTS {database}.sales_span_inlet;

CREATE TABLE IF NOT EXISTS {database}.cell_inlet
(
    block UInt64,
    type LowCardinality(String),
    brand LowCardinality(String),
    user_id String,
    occurred_at DateTime64(3, 'UTC'),
    amount Int64,
    refunded Int64,
    layer_before LowCardinality(String),
    layer_channel LowCardinality(String),
    layer_store_id LowCardinality(String)
)
ENGINE = Null;

-- By the minute, the hour and eight hours (`minutes` 1, 60, 480).
CREATE TABLE IF NOT EXISTS {database}.cell_spans
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

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.cell_spans_view TO {database}.cell_spans AS
SELECT
    max(i.block) AS block,
    brand,
    toUInt16(span) AS minutes,
    fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(i.occurred_at), minutes * 60000) * (minutes * 60000), 'UTC') AS begins,
    layer_before,
    layer_channel AS channel,
    layer_store_id AS store_id,
    countIf(i.type = 'purchase') AS orders,
    sumIf(i.amount, i.type = 'purchase') AS gmv,
    sum(i.refunded) AS refunded,
    uniqStateIf(bitShiftRight(xxh3(i.user_id), 11), i.type = 'purchase') AS buyers
FROM {database}.cell_inlet AS i
ARRAY JOIN [1, 60, 480] AS span
GROUP BY brand, minutes, begins, layer_before, channel, store_id;

-- Purchases by the layer that the buyer stood in, and of it by label (`dimension` all, channel, campaign, store or guide), by the hour and
-- eight hours.
CREATE TABLE IF NOT EXISTS {database}.purchase_inlet
(
    block UInt64,
    type LowCardinality(String),
    brand LowCardinality(String),
    user_id String,
    occurred_at DateTime64(3, 'UTC'),
    amount Int64,
    layer_before LowCardinality(String),
    channel LowCardinality(String),
    campaign_id LowCardinality(String),
    store_id LowCardinality(String),
    guide_id LowCardinality(String)
)
ENGINE = Null;

CREATE TABLE IF NOT EXISTS {database}.purchase_spans
(
    block SimpleAggregateFunction(max, UInt64),
    brand LowCardinality(String),
    minutes UInt16,
    dimension LowCardinality(String),
    begins DateTime64(3, 'UTC') CODEC(Delta, ZSTD),
    label LowCardinality(String),
    layer_before LowCardinality(String),
    orders SimpleAggregateFunction(sum, UInt64) COMMENT 'purchases: of a row without any, only a refund was told',
    gmv SimpleAggregateFunction(sum, Int64),
    buyers AggregateFunction(uniq, UInt64) COMMENT 'of the upper 53 bits of the XXH3-64 hash of the user id'
)
ENGINE = AggregatingMergeTree
ORDER BY (brand, minutes, dimension, begins, label, layer_before)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.purchase_spans_view TO {database}.purchase_spans AS
SELECT
    max(i.block) AS block,
    brand,
    toUInt16(span.1) AS minutes,
    span.2 AS dimension,
    fromUnixTimestamp64Milli(intDiv(toUnixTimestamp64Milli(i.occurred_at), minutes * 60000) * (minutes * 60000), 'UTC') AS begins,
    span.3 AS label,
    layer_before,
    countIf(i.type = 'purchase') AS orders,
    sumIf(i.amount, i.type = 'purchase') AS gmv,
    uniqStateIf(bitShiftRight(xxh3(i.user_id), 11), i.type = 'purchase') AS buyers
FROM {database}.purchase_inlet AS i
ARRAY JOIN arrayFlatten(arrayMap(length -> arrayMap(place -> (length, place.1, place.2), [
    ('all', ''), ('channel', toString(i.channel)), ('campaign', toString(i.campaign_id)), ('store', toString(i.store_id)),
    ('guide', toString(i.guide_id))]), [60, 480])) AS span
GROUP BY brand, minutes, dimension, begins, label, layer_before;
