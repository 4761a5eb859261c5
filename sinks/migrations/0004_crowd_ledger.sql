-- The ledger of a brand: per minute and layer, opening + users_in - users_out = closing.
-- `from` and `to` are whole minutes, `to` excluded. Shown are the minute `from` and every minute in which anybody moved, each with all
-- layers. A user counts into the lowest layer in the minute of their starting clock, and moves from there.
-- A minute is provisional until every shard has swept every clock past it (that is, finished the sweep of a turn after it): until
-- then decays may be found that are dated in it. `swept_to` is such a turn, and every clock stands at it or later; what is found from
-- then on is dated at the clock, so the minutes before it are final. A shard that has not told of a sweep keeps all minutes provisional.
CREATE OR REPLACE VIEW {database}.crowd_ledger AS
WITH
    (SELECT layer FROM {database}.current_layers ORDER BY position LIMIT 1) AS lowest,
    (SELECT groupArray((position, layer)) FROM {database}.current_layers) AS ladder,
    (SELECT min(swept) FROM (SELECT max(swept_to) AS swept FROM {database}.shards GROUP BY shard)) AS final_before
SELECT
    minute,
    layer,
    position,
    toInt64(closing - users_in + users_out) AS opening,
    users_in,
    users_out,
    toInt64(sum(users_in - users_out) OVER (PARTITION BY layer ORDER BY minute)) + opened AS closing,
    minute >= final_before AS provisional
FROM
(
    SELECT
        minute,
        step.2 AS layer,
        step.1 AS position,
        toInt64(ins[indexOf(layers, layer)]) AS users_in,
        toInt64(outs[indexOf(layers, layer)]) AS users_out,
        toInt64(openings[indexOf(layers, layer)]) AS opened_here,
        sum(opened_here) OVER (PARTITION BY layer) AS opened
    FROM
    (
        SELECT minute, groupArray(layer) AS layers, groupArray(i) AS ins, groupArray(o) AS outs, groupArray(opened) AS openings
        FROM
        (
            -- everything before `from` is folded into the opening of the first minute
            SELECT
                greatest(at, {from:DateTime64(3, 'UTC')}) AS minute,
                layer,
                sumIf(entered, at >= {from:DateTime64(3, 'UTC')}) AS i,
                sumIf(gone, at >= {from:DateTime64(3, 'UTC')}) AS o,
                toInt64(sumIf(entered, at < {from:DateTime64(3, 'UTC')})) - toInt64(sumIf(gone, at < {from:DateTime64(3, 'UTC')})) AS opened
            FROM
            (
                SELECT minute AS at, toString(to_layer) AS layer, transitions AS entered, 0 AS gone FROM {database}.flow_minutes
                WHERE brand = {brand:String} AND minute < {to:DateTime64(3, 'UTC')}
                UNION ALL
                SELECT minute AS at, toString(from_layer) AS layer, 0 AS entered, transitions AS gone FROM {database}.flow_minutes
                WHERE brand = {brand:String} AND minute < {to:DateTime64(3, 'UTC')}
                UNION ALL
                SELECT minute AS at, toString(lowest) AS layer, users AS entered, 0 AS gone FROM {database}.new_users
                WHERE brand = {brand:String} AND minute < {to:DateTime64(3, 'UTC')}
                UNION ALL
                SELECT {from:DateTime64(3, 'UTC')} AS at, toString(lowest) AS layer, 0 AS entered, 0 AS gone
            )
            GROUP BY minute, layer
        )
        GROUP BY minute
    )
    -- layers of a former ladder that people still moved through come behind those of the ladder in force
    ARRAY JOIN arrayConcat(ladder, arrayMap(l -> (toUInt8(255), l), arrayFilter(l -> NOT has(ladder.2, l), layers))) AS step
)
ORDER BY minute, position, layer;
