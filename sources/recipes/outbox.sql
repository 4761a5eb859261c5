-- What debezium-outbox.json reads: the shop writes a touchpoint in the same transaction as the order itself, and may delete the row at once.
CREATE TABLE rflow_outbox (
    event_id   uuid PRIMARY KEY,
    kind       text  NOT NULL CHECK (kind IN ('exposure', 'interaction', 'membership', 'order')),
    user_id    text  NOT NULL,
    touchpoint jsonb NOT NULL
);
