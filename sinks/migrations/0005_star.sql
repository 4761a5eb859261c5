-- The STAR model as parameterised views: brand, the period from `from` to before `to` (whole minutes), and `by`, the dimension to split
-- by: all, channel, campaign, store or guide. `split` is the value of that dimension, 'all' for all, empty for records without it.

-- Headcount: who stood where at `to` and at `from`. A user stands where their last transition before that instant put them, and belongs
-- to the channel (campaign ...) of the touchpoint behind it, so a headcount over all splits is the ledger's. Users who never left the
-- lowest layer have no transition and no labels: they are what the ledger has beyond the rest. A user is new if first touched within
-- the period.
CREATE OR REPLACE VIEW {database}.star_headcount AS
WITH
    (SELECT groupArray((position, layer)) FROM {database}.current_layers) AS ladder,
    (SELECT layer FROM {database}.current_layers ORDER BY position LIMIT 1) AS lowest,
    if({by:String} = 'all', 'all', '') AS unlabelled,
    (SELECT (sumIf(users, minute < {to:DateTime64(3, 'UTC')}), sumIf(users, minute < {from:DateTime64(3, 'UTC')})) FROM {database}.new_users
     WHERE brand = {brand:String}) AS seen
SELECT
    split,
    layer,
    position,
    toInt64(moved + if(layer = lowest AND split = unlabelled, seen.1 - sum(moved) OVER (), 0)) AS users,
    toInt64(moved_before + if(layer = lowest AND split = unlabelled, seen.2 - sum(moved_before) OVER (), 0)) AS users_before,
    toInt64(least(users, moved_new + if(layer = lowest AND split = unlabelled, greatest(0, seen.1 - seen.2 - sum(moved_new) OVER ()), 0)))
        AS new_users
FROM
(
    SELECT
        split,
        step.2 AS layer,
        step.1 AS position,
        toInt64(nows[indexOf(layers, layer)]) AS moved,
        toInt64(befores[indexOf(layers, layer)]) AS moved_before,
        toInt64(news[indexOf(layers, layer)]) AS moved_new
    FROM
    (
        SELECT split, groupArray(layer) AS layers, groupArray(now) AS nows, groupArray(before) AS befores, groupArray(fresh) AS news
        FROM
        (
            SELECT place.1 AS layer, place.2 AS split, sum(place.3) AS now, sum(place.4) AS before, sum(place.5) AS fresh
            FROM
            (
                SELECT arrayJoin([
                    (argMax(to_layer, seq), argMax(label, seq), 1, 0,
                     toUInt8(coalesce(argMax(first_touch_at, seq), min(effective_at)) >= {from:DateTime64(3, 'UTC')})),
                    (argMaxIf(to_layer, seq, effective_at < {from:DateTime64(3, 'UTC')}),
                     argMaxIf(label, seq, effective_at < {from:DateTime64(3, 'UTC')}),
                     0, 1, 0)]) AS place
                FROM
                (
                    SELECT
                        user_id, seq, effective_at, first_touch_at, toString(to_layer) AS to_layer,
                        multiIf({by:String} = 'all', 'all', {by:String} = 'channel', toString(channel), {by:String} = 'campaign', toString(campaign_id),
                                {by:String} = 'store', toString(store_id), {by:String} = 'guide', toString(guide_id), '') AS label
                    FROM {database}.transitions
                    WHERE brand = {brand:String} AND effective_at < {to:DateTime64(3, 'UTC')}
                )
                GROUP BY user_id
            )
            WHERE layer != ''
            GROUP BY layer, split
            UNION ALL
            SELECT toString(lowest) AS layer, unlabelled AS split, 0 AS now, 0 AS before, 0 AS fresh
        )
        GROUP BY split
    )
    ARRAY JOIN arrayConcat(ladder, arrayMap(l -> (toUInt8(255), l), arrayFilter(l -> NOT has(ladder.2, l), layers))) AS step
);

-- Scaling: users per layer at `to`, their growth against `from` (NULL where there were none), and how many of them are new in the period.
CREATE OR REPLACE VIEW {database}.star_scaling AS
SELECT
    split,
    layer,
    position,
    users,
    users_before,
    users / nullIf(users_before, 0) - 1 AS growth,
    new_users,
    users - new_users AS known_users
FROM {database}.star_headcount(brand = {brand:String}, `from` = {from:DateTime64(3, 'UTC')}, `to` = {to:DateTime64(3, 'UTC')}, `by` = {by:String})
ORDER BY split, position, layer;

-- Triangulating: each layer's share of all users of its split at `to` and at `from`, its share of the crowd (those above the lowest layer),
-- and its growth. NULL where there is nothing to divide by.
CREATE OR REPLACE VIEW {database}.star_triangulating AS
SELECT
    split,
    layer,
    position,
    users,
    users_before,
    users / nullIf(sum(users) OVER (PARTITION BY split), 0) AS share,
    users_before / nullIf(sum(users_before) OVER (PARTITION BY split), 0) AS share_before,
    if(position = 0, NULL, users / nullIf(sum(if(position = 0, 0, users)) OVER (PARTITION BY split), 0)) AS crowd_share,
    users / nullIf(users_before, 0) - 1 AS growth
FROM {database}.star_headcount(brand = {brand:String}, `from` = {from:DateTime64(3, 'UTC')}, `to` = {to:DateTime64(3, 'UTC')}, `by` = {by:String})
ORDER BY split, position, layer;

-- Activating: the full matrix of layers. Distinct users that left `from_layer` for `to_layer` in the period by a touchpoint of the split,
-- over all users in `from_layer` when the period began (whatever their split; NULL if there were none). A user who moved twice counts
-- once in each cell. The rate may exceed 1: users who entered the layer within the period left it too.
CREATE OR REPLACE VIEW {database}.star_activating AS
WITH
    (SELECT groupArray((position, layer)) FROM {database}.current_layers) AS ladder,
    (SELECT layer FROM {database}.current_layers ORDER BY position LIMIT 1) AS lowest,
    (SELECT sum(users) FROM {database}.new_users WHERE brand = {brand:String} AND minute < {from:DateTime64(3, 'UTC')}) AS seen,
    (
        SELECT sumMap([toString(to_layer), toString(from_layer)], [toInt64(transitions), -toInt64(transitions)]) FROM {database}.flow_minutes
        WHERE brand = {brand:String} AND minute < {from:DateTime64(3, 'UTC')}
    ) AS balance
SELECT
    split,
    cell.2 AS from_layer,
    cell.4 AS to_layer,
    cell.1 AS from_position,
    cell.3 AS to_position,
    if(to_position > from_position, 'forward', 'reverse') AS direction,
    users_moved[indexOf(cells, (from_layer, to_layer))] AS users,
    moves[indexOf(cells, (from_layer, to_layer))] AS transitions,
    toInt64(balance.2[indexOf(balance.1, from_layer)]) + if(from_layer = lowest, toInt64(seen), 0) AS users_before,
    users / nullIf(users_before, 0) AS rate
FROM
(
    SELECT split, groupArrayIf(cell, moved > 0) AS cells, groupArrayIf(people, moved > 0) AS users_moved, groupArrayIf(moved, moved > 0) AS moves
    FROM
    (
        SELECT
            multiIf({by:String} = 'all', 'all', {by:String} = 'channel', toString(channel), {by:String} = 'campaign', toString(campaign_id),
                    {by:String} = 'store', toString(store_id), {by:String} = 'guide', toString(guide_id), '') AS split,
            (toString(t.from_layer), toString(t.to_layer)) AS cell,
            uniqExact(user_id) AS people,
            count() AS moved
        FROM {database}.transitions AS t
        WHERE brand = {brand:String} AND effective_at >= {from:DateTime64(3, 'UTC')} AND effective_at < {to:DateTime64(3, 'UTC')}
        GROUP BY split, cell
        UNION ALL
        SELECT if({by:String} = 'all', 'all', '') AS split, ('', '') AS cell, 0 AS people, 0 AS moved
    )
    GROUP BY split
)
ARRAY JOIN arrayFilter(c -> c.1 != c.3, arrayFlatten(arrayMap(f -> arrayMap(t -> (f.1, f.2, t.1, t.2), ladder), ladder))) AS cell
ORDER BY split, from_position, to_position;

-- Returning: the orders bought in the period, per layer that the buyer stood in before buying; layer '' is their total. Minor units.
--   gmv              paid amounts before refunds; gmv_share its part of the split's
--   refunds          what has been refunded of these orders until now, whenever that was
--   orders, buyers   purchases (those of 0 and refunded ones included), distinct users among them; order_value = gmv / orders
--   stood            distinct users of the brand that stood in the layer at any time of the period, whatever their split; of the total
--                    row, every user seen before `to`
--   conversion_rate  buyers / stood, so that stood x conversion_rate x orders a buyer x order_value is the GMV
--   repurchase_*     of the split's buyers in the 7, 30, 90 days before `to`, the part that bought at least twice in them; total row only
--   spend, roi       cost of the days that begin within the period, gmv / spend; total row only, NULL by store and guide: spend has neither
--   gmv_new          GMV of users first seen within the period; gmv_new_share its part of the row's
CREATE OR REPLACE VIEW {database}.star_returning AS
WITH
    (SELECT groupArray((position, layer)) FROM {database}.current_layers) AS ladder,
    (SELECT layer FROM {database}.current_layers ORDER BY position LIMIT 1) AS lowest,
    (SELECT sum(users) FROM {database}.new_users WHERE brand = {brand:String} AND minute < {to:DateTime64(3, 'UTC')}) AS seen,
    (
        -- layer -> users that stood there; '' counts every user with a transition
        SELECT sumMap(places, arrayMap(p -> 1, places)) FROM
        (
            SELECT arrayDistinct(arrayConcat(
                [''],
                [argMaxIf(toString(to_layer), seq, effective_at < {from:DateTime64(3, 'UTC')})],
                groupUniqArrayIf(toString(from_layer), effective_at >= {from:DateTime64(3, 'UTC')}),
                groupUniqArrayIf(toString(to_layer), effective_at >= {from:DateTime64(3, 'UTC')}))) AS places
            FROM {database}.transitions
            WHERE brand = {brand:String} AND effective_at < {to:DateTime64(3, 'UTC')}
            GROUP BY user_id
        )
    ) AS stood_in
SELECT
    split,
    step.2 AS layer,
    step.1 AS position,
    indexOf(layers, layer) AS at,
    gmvs[at] AS gmv,
    gmv / nullIf(gmvs[indexOf(layers, '')], 0) AS gmv_share,
    refundeds[at] AS refunds,
    order_counts[at] AS orders,
    buyer_counts[at] AS buyers,
    gmv / nullIf(orders, 0) AS order_value,
    multiIf(layer = '', toInt64(seen),
            layer = lowest, toInt64(seen) - toInt64(stood_in.2[indexOf(stood_in.1, '')]) + toInt64(stood_in.2[indexOf(stood_in.1, layer)]),
            toInt64(stood_in.2[indexOf(stood_in.1, layer)])) AS stood,
    buyers / nullIf(stood, 0) AS conversion_rate,
    if(layer = '', weeks.2 / nullIf(weeks.1, 0), NULL) AS repurchase_week,
    if(layer = '', months.2 / nullIf(months.1, 0), NULL) AS repurchase_month,
    if(layer = '', quarters.2 / nullIf(quarters.1, 0), NULL) AS repurchase_quarter,
    if(layer = '' AND {by:String} IN ('all', 'channel', 'campaign'), costs, NULL) AS spend,
    gmv / nullIf(spend, 0) AS roi,
    gmvs_new[at] AS gmv_new,
    gmv_new / nullIf(gmv, 0) AS gmv_new_share
FROM
(
    SELECT
        split,
        groupArrayIf(layer, bought) AS layers,
        groupArrayIf(toInt64(paid), bought) AS gmvs,
        groupArrayIf(toInt64(returned), bought) AS refundeds,
        groupArrayIf(toInt64(purchases), bought) AS order_counts,
        groupArrayIf(toInt64(people), bought) AS buyer_counts,
        groupArrayIf(toInt64(paid_new), bought) AS gmvs_new,
        toInt64(sum(cost)) AS costs,
        (sum(week.1), sum(week.2)) AS weeks,
        (sum(month.1), sum(month.2)) AS months,
        (sum(quarter.1), sum(quarter.2)) AS quarters
    FROM
    (
        SELECT
            label AS split, toString(layer_before) AS layer, true AS bought,
            sum(amount) AS paid, sum(returned) AS returned, count() AS purchases, uniqExact(user_id) AS people,
            sumIf(amount, first_seen >= {from:DateTime64(3, 'UTC')} AND first_seen < {to:DateTime64(3, 'UTC')}) AS paid_new,
            0 AS cost, (0, 0) AS week, (0, 0) AS month, (0, 0) AS quarter
        FROM
        (
            SELECT
                multiIf({by:String} = 'all', 'all', {by:String} = 'channel', toString(channel), {by:String} = 'campaign', toString(campaign_id),
                        {by:String} = 'store', toString(store_id), {by:String} = 'guide', toString(guide_id), '') AS label,
                layer_before, amount, first_seen, user_id, order_id
            FROM {database}.orders
            WHERE brand = {brand:String} AND type = 'purchase'
                AND occurred_at >= {from:DateTime64(3, 'UTC')} AND occurred_at < {to:DateTime64(3, 'UTC')}
        ) AS purchase
        LEFT JOIN
        (
            SELECT user_id, order_id, sum(refunded) AS returned FROM {database}.orders
            WHERE brand = {brand:String} AND refunded != 0
            GROUP BY user_id, order_id
        ) AS refund USING (user_id, order_id)
        GROUP BY GROUPING SETS ((split, layer), (split))
        UNION ALL
        SELECT
            split, '' AS layer, false AS bought, 0, 0, 0, 0, 0, 0 AS cost,
            (countIf(in_week > 0), countIf(in_week > 1)) AS week,
            (countIf(in_month > 0), countIf(in_month > 1)) AS month,
            (countIf(in_quarter > 0), countIf(in_quarter > 1)) AS quarter
        FROM
        (
            SELECT
                multiIf({by:String} = 'all', 'all', {by:String} = 'channel', toString(channel), {by:String} = 'campaign', toString(campaign_id),
                        {by:String} = 'store', toString(store_id), {by:String} = 'guide', toString(guide_id), '') AS split,
                countIf(occurred_at >= {to:DateTime64(3, 'UTC')} - INTERVAL 7 DAY) AS in_week,
                countIf(occurred_at >= {to:DateTime64(3, 'UTC')} - INTERVAL 30 DAY) AS in_month,
                count() AS in_quarter
            FROM {database}.orders
            WHERE brand = {brand:String} AND type = 'purchase'
                AND occurred_at >= {to:DateTime64(3, 'UTC')} - INTERVAL 90 DAY AND occurred_at < {to:DateTime64(3, 'UTC')}
            GROUP BY split, user_id
        )
        GROUP BY split
        UNION ALL
        SELECT
            multiIf({by:String} = 'all', 'all', {by:String} = 'channel', toString(channel), {by:String} = 'campaign', toString(campaign_id), '') AS split,
            '' AS layer, false AS bought, 0, 0, 0, 0, 0, sum(amount) AS cost, (0, 0), (0, 0), (0, 0)
        FROM {database}.spend FINAL
        WHERE brand = {brand:String} AND begins_at >= {from:DateTime64(3, 'UTC')} AND begins_at < {to:DateTime64(3, 'UTC')}
        GROUP BY split
        UNION ALL
        SELECT if({by:String} = 'all', 'all', '') AS split, '' AS layer, false AS bought, 0, 0, 0, 0, 0, 0, (0, 0), (0, 0), (0, 0)
    )
    GROUP BY split
)
ARRAY JOIN arrayConcat([(toInt16(-1), '')], arrayMap(l -> (toInt16(l.1), toString(l.2)), ladder),
                       arrayMap(l -> (toInt16(255), l), arrayFilter(l -> l != '' AND NOT has(ladder.2, l), layers))) AS step
ORDER BY split, position, layer;
