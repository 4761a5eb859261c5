"""What the desk asks of Redis in one piece: Lua scripts, each all or nothing. Their keys share one hash tag.

heads     hash      promotion id -> its newest version
records   hash      VERSION:ID -> the version's JSON; every version is kept
outbox    stream    (id, version) of what Kafka has not acknowledged, in the order of the changes
claims    hash      who is publishing now -> what and since when (JSON)
meta      hash      `recovered`: the topic has been read into this Redis
"""

from __future__ import annotations

SAVE = """
-- KEYS heads records outbox meta; ARGV id, expected version, record. -> 'saved' | 'unknown redis' | version found
if redis.call('HEXISTS', KEYS[4], 'recovered') == 0 then return 'unknown redis' end
local head = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
if head ~= tonumber(ARGV[2]) then return head end
local version = head + 1
redis.call('HSET', KEYS[2], version .. ':' .. ARGV[1], ARGV[3])
redis.call('HSET', KEYS[1], ARGV[1], version)
redis.call('XADD', KEYS[3], '*', 'id', ARGV[1], 'version', version)
return 'saved'
"""

CLAIM = """
-- KEYS heads records outbox claims; ARGV token, milliseconds after which a claim is of somebody who never came back.
-- -> what is to be published, in order: [entry, id, version, record]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local claims = redis.call('HGETALL', KEYS[4])
for i = 1, #claims, 2 do
    local claim = cjson.decode(claims[i + 1])
    if claims[i] ~= ARGV[1] and now - claim['at'] > tonumber(ARGV[2]) then
        -- what they had in hand may have come to the topic after a newer version: tell the newest again
        for _, id in ipairs(claim['ids']) do
            redis.call('XADD', KEYS[3], '*', 'id', id, 'version', redis.call('HGET', KEYS[1], id))
        end
        redis.call('HDEL', KEYS[4], claims[i])
    end
end
local found, ids = {}, {}
for _, entry in ipairs(redis.call('XRANGE', KEYS[3], '-', '+')) do
    local id, version = entry[2][2], entry[2][4]
    found[#found + 1] = {entry[1], id, version, redis.call('HGET', KEYS[2], version .. ':' .. id)}
    ids[#ids + 1] = id
end
if #found == 0 then
    redis.call('HDEL', KEYS[4], ARGV[1])
else
    redis.call('HSET', KEYS[4], ARGV[1], cjson.encode({at = now, ids = ids}))
end
return found
"""

SETTLE = """
-- KEYS heads outbox claims; ARGV token, then for each record acknowledged: entry, id, version. -> how many still wait
local last = {}
for i = 2, #ARGV, 3 do
    redis.call('XDEL', KEYS[2], ARGV[i])
    last[ARGV[i + 1]] = tonumber(ARGV[i + 2])
end
for id, version in pairs(last) do
    local head = tonumber(redis.call('HGET', KEYS[1], id) or '0')
    -- somebody else was faster with a newer version, and this one may stand behind it: tell the newest again
    if head > version then redis.call('XADD', KEYS[2], '*', 'id', id, 'version', head) end
end
redis.call('HDEL', KEYS[3], ARGV[1])
return redis.call('XLEN', KEYS[2])
"""

TAKE_IN = """
-- KEYS heads records outbox meta; ARGV for each version on the topic: id, version, record. -> [versions that Redis did not have, queued]
local new, told = 0, {}
for i = 1, #ARGV, 3 do
    local id, version = ARGV[i], tonumber(ARGV[i + 1])
    new = new + redis.call('HSETNX', KEYS[2], version .. ':' .. id, ARGV[i + 2])
    if version > tonumber(redis.call('HGET', KEYS[1], id) or '0') then redis.call('HSET', KEYS[1], id, version) end
    told[id] = math.max(told[id] or 0, version)
end
local queued = 0
local heads = redis.call('HGETALL', KEYS[1])
for i = 1, #heads, 2 do
    -- what this Redis has and the topic has not
    for version = (told[heads[i]] or 0) + 1, tonumber(heads[i + 1]) do
        if redis.call('HEXISTS', KEYS[2], version .. ':' .. heads[i]) == 1 then
            redis.call('XADD', KEYS[3], '*', 'id', heads[i], 'version', version)
            queued = queued + 1
        end
    end
end
redis.call('HSET', KEYS[4], 'recovered', '1')
return {new, queued}
"""

VERSIONS = """
-- KEYS heads records meta; ARGV id. -> nil if this Redis has not been recovered, else every version kept, oldest first
if redis.call('HEXISTS', KEYS[3], 'recovered') == 0 then return false end
local found = {}
for version = 1, tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0') do
    local record = redis.call('HGET', KEYS[2], version .. ':' .. ARGV[1])
    if record then found[#found + 1] = record end
end
return found
"""

HEADS = """
-- KEYS heads records meta. -> nil if this Redis has not been recovered, else the newest version of every promotion
if redis.call('HEXISTS', KEYS[3], 'recovered') == 0 then return false end
local found = {}
local heads = redis.call('HGETALL', KEYS[1])
for i = 1, #heads, 2 do
    found[#found + 1] = redis.call('HGET', KEYS[2], heads[i + 1] .. ':' .. heads[i])
end
return found
"""
