-- Activating: the full matrix of layers. Distinct users that left `from_layer` for `to_layer` in the period by a touchpoint of the split,
-- over all users in `from_layer` when the period began (whatever their split; NULL if there were none). A user who moved twice counts
-- once in each cell. The rate may exceed 1: users who entered the layer within the period left it too.
-- Whom a new ladder put elsewhere (kind recompute) moved too. Layers of a former ladder that people moved through come behind those of the
-- ladder in force, with the direction that the transitions tell.
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
    if(255 IN (from_position, to_position), directions[indexOf(cells, (from_layer, to_layer))],
       if(to_position > from_position, 'forward', 'reverse')) AS direction,
    users_moved[indexOf(cells, (from_layer, to_layer))] AS users,
    moves[indexOf(cells, (from_layer, to_layer))] AS transitions,
    toInt64(balance.2[indexOf(balance.1, from_layer)]) + if(from_layer = lowest, toInt64(seen), 0) AS users_before,
    users / nullIf(users_before, 0) AS rate
FROM
(
    SELECT
        split,
        groupArrayIf(cell, moved > 0) AS cells,
        groupArrayIf(people, moved > 0) AS users_moved,
        groupArrayIf(moved, moved > 0) AS moves,
        groupArrayIf(led, moved > 0) AS directions
    FROM
    (
        SELECT
            multiIf({by:String} = 'all', 'all', {by:String} = 'channel', toString(channel), {by:String} = 'campaign', toString(campaign_id),
                    {by:String} = 'store', toString(store_id), {by:String} = 'guide', toString(guide_id), '') AS split,
            (toString(t.from_layer), toString(t.to_layer)) AS cell,
            uniqExact(user_id) AS people,
            count() AS moved,
            argMax(toString(direction), effective_at) AS led
        FROM {database}.transitions AS t
        WHERE brand = {brand:String} AND effective_at >= {from:DateTime64(3, 'UTC')} AND effective_at < {to:DateTime64(3, 'UTC')}
        GROUP BY split, cell
        UNION ALL
        SELECT if({by:String} = 'all', 'all', '') AS split, ('', '') AS cell, 0 AS people, 0 AS moved, '' AS led
    )
    GROUP BY split
)
ARRAY JOIN arrayConcat(
    arrayMap(c -> (c.1, toString(c.2), c.3, toString(c.4)),
             arrayFilter(c -> c.1 != c.3, arrayFlatten(arrayMap(f -> arrayMap(t -> (f.1, f.2, t.1, t.2), ladder), ladder)))),
    arrayMap(c -> (if(has(ladder.2, c.1), ladder.1[indexOf(ladder.2, c.1)], toUInt8(255)), c.1,
                   if(has(ladder.2, c.2), ladder.1[indexOf(ladder.2, c.2)], toUInt8(255)), c.2),
             arrayFilter(c -> NOT (has(ladder.2, c.1) AND has(ladder.2, c.2)), cells))) AS cell
ORDER BY split, from_position, to_position, from_layer, to_layer;
