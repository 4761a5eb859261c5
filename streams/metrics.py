"""Every metric rflow exposes: name, kind, unit and meaning, in one place. Nothing else declares one."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from schemas.deadletter import Reason

_STEP_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

# --- every process --------------------------------------------------------------------------------------------------------------
PROCESS = Gauge(
    "rflow_process_info",
    "1: what this process is (worker, sink, warroom, alerts, subscription, collector), and of which release.",
    ["process", "version"],
)
PARTITIONS = Gauge("rflow_partitions", "Partitions of every topic, and so shards, as this process was told.")

# --- the shard step -------------------------------------------------------------------------------------------------------------
STEPS = Counter("rflow_steps", "Steps applied to Redis.", ["shard"])
STEP_CONFLICTS = Counter("rflow_step_conflicts", "Steps thrown away because someone else had moved the shard.", ["shard"])
STEP_UNKNOWN = Counter("rflow_step_replies_lost", "Steps whose reply was lost, settled by reading meta.", ["shard"])
EVENTS = Counter(
    "rflow_events",
    "Records taken, by type and outcome (applied, duplicate, junk, late, dead_letter, forwarded, tick).",
    ["type", "outcome"],
)
JUNK = Counter("rflow_junk", "Records beyond what their user may have in a minute, by channel (other: one not in the ladder).", ["channel"])
STEP_SECONDS = Histogram(
    "rflow_step_seconds",
    "Seconds a step spent in each phase (fetch, decode, read, fold, apply, publish).",
    ["phase"],
    buckets=_STEP_BUCKETS,
)
TRANSITIONS = Counter("rflow_transitions", "Transitions found, by layer left, layer entered and kind.", ["brand", "from", "to", "kind"])
DEAD_LETTERS = Counter(
    "rflow_dead_letters",
    "Records that could not be processed, by reason. Alarm: sum by (reason) (increase(rflow_dead_letters_total[10m])) > 0.",
    ["reason"],
)
for _reason in Reason:
    # Told from the start as 0, so that the first one is an increase too.
    DEAD_LETTERS.labels(_reason.value)
REPLAYS = Counter(
    "rflow_replays",
    "Replayed dead letters, by outcome (taken, repeated: a letter replayed before, refused: a dead letter again).",
    ["outcome"],
)
DROPPED_EVIDENCE = Counter(
    "rflow_dropped_evidence", "Evidence beyond a user's bound that was dropped, by what (orders, relations, refunds).", ["what"]
)
HEADS_FORCED = Counter("rflow_heads_forced", "Heads taken in live mode because they had been held for the longest time allowed.", ["shard"])
RECOMPUTED = Counter("rflow_recomputed_users", "Users put under a new ladder, by whether their layer changed (moved, stayed).", ["outcome"])
RECOMPUTED_SHORT = Counter(
    "rflow_recomputed_short", "Users put under a new ladder that asks for more pieces of an evidence than were kept of them."
)
SPANS = Counter("rflow_spans", "Spans of traces, by whether the collector has taken them (sent, lost).", ["result"])
LAG_RECORDS = Gauge("rflow_lag_records", "Records between the applied offset and the end of the log.", ["shard", "topic"])
LAG_SECONDS = Gauge("rflow_lag_seconds", "Wall clock less the shard's watermark.", ["shard"])
WATERMARK = Gauge("rflow_watermark_seconds", "The shard's watermark, in seconds since the epoch.", ["shard"])
OUTBOX_DEPTH = Gauge("rflow_outbox_entries", "Outbox entries that Kafka has not acknowledged.", ["shard"])
USERS = Gauge("rflow_users", "Users by brand and layer in the shards this worker holds.", ["brand", "layer"])
SHARDS = Gauge("rflow_shards", "Shards this worker holds.")
SHARDS_STOPPED = Gauge("rflow_shards_stopped", "Of these, shards that wait for an operator's decision; /healthz tells why.")
WATCHDOG = Counter("rflow_watchdog_trips", "Times the watchdog found a shard without progress although its logs held more.", ["shard"])

REDIS_DURABLE = Gauge(
    "rflow_redis_durable",
    "1 if Redis has on disk what it has answered (appendonly yes, appendfsync always), 0 if not; absent where it does not tell.",
    ["shard"],
)
REPLICA_WAITS = Counter(
    "rflow_replica_waits", "Times too few replicas had a step within the timeout: they were asked again before it was published.", ["shard"]
)
REWINDS = Counter(
    "rflow_rewinds", "Times Redis had forgotten published versions and the shard went on above them (--on-rewind).", ["shard"]
)
REWOUND_VERSIONS = Counter("rflow_rewound_versions", "Published versions that Redis had forgotten then.", ["shard"])
GAP_RECORDS = Counter("rflow_gap_records", "Input records lost to retention and passed over (--on-gap continue).", ["shard", "topic"])
FOREIGN_RECORDS = Counter(
    "rflow_foreign_records", "Records on an output topic that rflow did not write, seen when a shard was taken.", ["topic"]
)

# --- the ClickHouse sink --------------------------------------------------------------------------------------------------------
SINK_BLOCKS = Counter("rflow_sink_blocks", "Blocks stored in ClickHouse, by stream.", ["stream"])
SINK_ROWS = Counter("rflow_sink_rows", "Rows stored in ClickHouse, by table.", ["table"])
SINK_DUPLICATES = Counter("rflow_sink_records_repeated", "Records dropped by the subscriber's rule, by stream.", ["stream"])
SINK_FORGOTTEN = Counter(
    "rflow_sink_forgotten_records",
    "Records passed over because a restored Redis has forgotten their steps and tells them again, by stream.",
    ["stream"],
)
SINK_ERRORS = Counter("rflow_sink_errors", "Failed requests to ClickHouse.")
SINK_LAG_RECORDS = Gauge("rflow_sink_lag_records", "Records between what is stored and the end of the log.", ["stream", "partition"])
SINK_LAG_SECONDS = Gauge("rflow_sink_lag_seconds", "Age of the oldest record fetched and not yet stored.")
SINK_UP = Gauge("rflow_sink_clickhouse_up", "1 while ClickHouse answers, 0 while the sink waits for it.")
SINK_SECONDS = Histogram("rflow_sink_block_seconds", "Seconds from the intent row to the confirmed block.", buckets=_STEP_BUCKETS)
SINK_BAD_RECORDS = Counter("rflow_sink_bad_records", "Records of our own topics that could not be read, by stream.", ["stream"])
SINK_GAPS = Counter("rflow_sink_gaps", "Gaps in the log that were accepted (--on-gap continue), by stream.", ["stream"])

# --- the war room -----------------------------------------------------------------------------------------------------------------
WARROOM_VIEWERS = Gauge("rflow_warroom_viewers", "Open streams of the live snapshot.")
WARROOM_QUERIES = Counter(
    "rflow_warroom_queries", "Queries sent to ClickHouse, for the live snapshot (live) or on request (api).", ["kind"]
)
WARROOM_TICK_SECONDS = Histogram("rflow_warroom_tick_seconds", "Seconds to compute the snapshots that are watched.", buckets=_STEP_BUCKETS)
WARROOM_SNAPSHOT_BYTES = Gauge("rflow_warroom_snapshot_bytes", "Size of the last snapshot, as it goes to every viewer.")
WARROOM_REQUESTS = Counter("rflow_warroom_requests", "Requests answered, by endpoint and status.", ["endpoint", "status"])
WARROOM_BUSY = Counter("rflow_warroom_requests_refused_busy", "Requests refused because as many as are allowed were waiting for a server.")
WARROOM_LEFT_BEHIND = Counter("rflow_warroom_subscribers_left_behind", "Followers of transitions told to begin anew: they were too slow.")

# --- the collector ----------------------------------------------------------------------------------------------------------------
COLLECT_RECORDS = Counter(
    "rflow_collect_records",
    "Records posted, by source and outcome: accepted, a dead letter's reason, brand_not_allowed, channel_not_allowed, tick_not_allowed, "
    "not_acknowledged, kafka_away, pressure, rate, or unmapped (told by another system, and no touchpoint).",
    ["source", "outcome"],
)
COLLECT_REQUESTS = Counter("rflow_collect_requests", "Requests answered, by endpoint and status.", ["endpoint", "status"])
COLLECT_SECONDS = Histogram(
    "rflow_collect_request_seconds",
    "Seconds from the first byte of a request to its answer, Kafka's acknowledgement included.",
    ["endpoint"],
    buckets=_STEP_BUCKETS,
)
COLLECT_IN_FLIGHT = Gauge("rflow_collect_in_flight_records", "Records held until Kafka has acknowledged them.")
COLLECT_HELD_BYTES = Gauge("rflow_collect_held_bytes", "Bytes of bodies held until they are answered.")
COLLECT_KAFKA_UP = Gauge("rflow_collect_kafka_up", "1 while Kafka acknowledges what is posted, 0 while requests are refused for it.")
COLLECT_SOURCES_REFUSED = Counter(
    "rflow_collect_sources_refused", "Times the file of the collector's sources had changed and could not be used."
)

# --- subscriptions ----------------------------------------------------------------------------------------------------------------
SUBSCRIPTION_TRANSITIONS = Counter(
    "rflow_subscription_transitions",
    "Records of the topic, by what a subscription makes of them (wanted, unwanted, repeat, unreadable).",
    ["subscription", "outcome"],
)
SUBSCRIPTION_REQUESTS = Counter(
    "rflow_subscription_requests", "Requests to a webhook, by what became of them (taken, failed, refused).", ["subscription", "fate"]
)
SUBSCRIPTION_DEAD_LETTERS = Counter(
    "rflow_subscription_dead_letters", "Transitions that a webhook did not take and that lie among its dead letters.", ["subscription"]
)
SUBSCRIPTION_MISSED = Counter(
    "rflow_subscription_missed_records", "Records lost to retention and passed over (--on-gap continue).", ["subscription"]
)
SUBSCRIPTION_WAITING = Gauge("rflow_subscription_waiting", "Transitions read and not yet taken by the webhook.", ["subscription"])
SUBSCRIPTION_LAG_RECORDS = Gauge(
    "rflow_subscription_lag_records", "Records between what was read and the ends of the logs.", ["subscription"]
)
SUBSCRIPTION_PAUSED = Gauge("rflow_subscription_paused", "1 while a webhook that takes nothing is told less often.", ["subscription"])
SUBSCRIPTION_SECONDS = Histogram("rflow_subscription_request_seconds", "Seconds a request to a webhook took.", buckets=_STEP_BUCKETS)

# --- alerts -------------------------------------------------------------------------------------------------------------------------
ALERTS = Counter("rflow_alerts", "States of alerts told, by rule and state (firing, updated, resolved).", ["rule", "state"])
ALERT_MESSAGES = Counter(
    "rflow_alert_messages", "States of alerts by channel and what came of them (sent, silent, refused, doubtful).", ["channel", "outcome"]
)
ALERT_RULES_VERSION = Gauge("rflow_alert_rules_version", "Version of the alert rules in force, as their file states it.")
ALERT_RULES_REFUSED = Counter("rflow_alert_rules_refused", "Times the file of alert rules had changed and could not be used.")
