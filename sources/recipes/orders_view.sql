-- A shop's order and refund tables as touchpoints: what kafka-connect-jdbc.json reads. Names of tables and columns are to be your own's;
-- those after AS are the contract's. Every row is told once it has `seq`, so a row is never changed: a refund is a row of its own.
CREATE VIEW rflow_orders AS
SELECT
    p.seq                                       AS seq,
    CONCAT('order:', p.order_id)                AS event_id,
    'purchase'                                  AS type,
    'acme'                                      AS brand,
    p.buyer_id                                  AS user_id,
    CAST(UNIX_TIMESTAMP(p.paid_at) * 1000 AS SIGNED) AS occurred_at,
    p.order_id                                  AS order_id,
    CAST(p.paid_fen AS SIGNED)                  AS amount,
    'CNY'                                       AS currency,
    p.channel                                   AS channel,
    p.store_id                                  AS store_id
FROM payments p
UNION ALL
SELECT
    r.seq                                       AS seq,
    CONCAT('refund:', r.refund_id)              AS event_id,
    'refund'                                    AS type,
    'acme'                                      AS brand,
    o.buyer_id                                  AS user_id,
    CAST(UNIX_TIMESTAMP(r.refunded_at) * 1000 AS SIGNED) AS occurred_at,
    r.order_id                                  AS order_id,
    CAST(r.refund_fen AS SIGNED)                AS amount,
    'CNY'                                       AS currency,
    o.channel                                   AS channel,
    o.store_id                                  AS store_id
FROM refunds r JOIN payments o ON o.order_id = r.order_id;
