-- Every state of every alert. A state told again replaces itself; how an alert stands now is its highest version: argMax(..., version).
CREATE TABLE IF NOT EXISTS {database}.alerts
(
    block UInt64,
    brand LowCardinality(String),
    alert_id String,
    version UInt32,
    rule LowCardinality(String) COMMENT 'what found it: flow_drop, reverse_flow_rise, pipeline_down, ...',
    state LowCardinality(String) COMMENT 'firing, updated, acknowledged or resolved',
    severity LowCardinality(String),
    from_layer LowCardinality(String) COMMENT 'of the flow it is about, empty for none',
    to_layer LowCardinality(String),
    channel LowCardinality(String) COMMENT 'the one it is about, empty for none or all',
    since DateTime64(3, 'UTC') COMMENT 'when the condition began',
    at DateTime64(3, 'UTC') COMMENT 'when this state was told',
    users_at_stake Nullable(UInt64) COMMENT 'an hour',
    gmv_at_stake Nullable(Int64) COMMENT 'an hour, minor units',
    acknowledged_by String COMMENT 'empty while nobody has taken it on',
    record String COMMENT 'the state whole, as the topic carries it'
)
ENGINE = ReplacingMergeTree
ORDER BY (brand, alert_id, version)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
