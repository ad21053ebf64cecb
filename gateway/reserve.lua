-- Takes one call from every policy, or nothing from any. One round trip; all times come from this server's clock.
--
-- KEYS: epoch sentinel, day's counter {used, seeded, and of its latest hour with failures: hour, failed}, calls in flight (score: end of lease, ms), burst clock
--       [, account state, requests of this minute]
-- ARGV: day number, request id, lease ms, daily limit (-1: none), burst interval us, burst capacity us, concurrency,
--       failures allowed (-1: no limit), requests a minute allowed (-1: this one is not counted here), n, n field names, n expected values
--       [, reading of PostgreSQL: accept, seen at ms, used, hour, failed, (member, ms left)...]
-- Returns {-1} another epoch | {-2} account state changed, or too many requests | {-3, day} another day | {-4, now ms} read PostgreSQL
--       | {1 reserved or 0 refused, violated bits, used, in flight today, in flight, burst clock us, now us, day}
--
-- A member is "<day>:<request id>", with ":p" behind it when PostgreSQL holds the reservation.
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now_ms = math.floor(now_us / 1000)

if redis.call('EXISTS', KEYS[1]) == 0 then return {-1} end

local fields = tonumber(ARGV[10])
if fields > 0 then
  local found = redis.call('HMGET', KEYS[5], unpack(ARGV, 11, 10 + fields))
  for i = 1, fields do
    if found[i] ~= ARGV[10 + fields + i] then return {-2} end
  end
  local requests_allowed = tonumber(ARGV[9])
  if requests_allowed >= 0 then
    local requests = redis.call('INCR', KEYS[6])
    if requests == 1 then redis.call('EXPIRE', KEYS[6], 120) end
    if requests > requests_allowed then return {-2} end
  end
end

local today = math.floor(time[1] / 86400)
if today ~= tonumber(ARGV[1]) then return {-3, today} end

local counter = redis.call('HMGET', KEYS[2], 'used', 'seeded', 'hour', 'failed')
local used = tonumber(counter[1] or 0)
local hour, failed = math.floor(time[1] / 3600), 0
if tonumber(counter[3]) == hour then failed = tonumber(counter[4]) end
local reading = 11 + 2 * fields
local has_reading = ARGV[reading] ~= nil

if has_reading then
  local seen_ms, used_read = tonumber(ARGV[reading + 1]), tonumber(ARGV[reading + 2])
  -- A call was settled after the reading: its reservation may be in the reading although it has gone.
  if used > used_read and ARGV[reading] == '0' then return {-4, now_ms} end
  used = math.max(used, used_read)
  if tonumber(ARGV[reading + 3]) == hour then failed = math.max(failed, tonumber(ARGV[reading + 4])) end
  redis.call('HSET', KEYS[2], 'used', used, 'seeded', 1, 'hour', hour, 'failed', failed)
  redis.call('EXPIREAT', KEYS[2], (today + 2) * 86400)
  local in_postgres = {}
  for i = reading + 5, #ARGV, 2 do in_postgres[ARGV[i]] = ARGV[i + 1] end
  local held = redis.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES')
  for i = 1, #held, 2 do
    local of_postgres = string.sub(held[i], -2) == ':p'
    if (of_postgres and not in_postgres[held[i]]) or (not of_postgres and tonumber(held[i + 1]) <= seen_ms) then
      redis.call('ZREM', KEYS[3], held[i])
    end
  end
  for member, left_ms in pairs(in_postgres) do
    redis.call('ZADD', KEYS[3], string.format('%.0f', now_ms + left_ms), member)
  end
  if redis.call('EXISTS', KEYS[3]) == 1 then redis.call('EXPIRE', KEYS[3], 172800) end
elseif not counter[2] then
  return {-4, now_ms}
end

local in_flight, day_in_flight, of_postgres, reserved_day = 0, 0, 0, nil
local held = redis.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES')
local separator = #ARGV[1] + 1
for i = 1, #held, 2 do
  local member = held[i]
  -- Its process may have died between counting in PostgreSQL and saying so here: forget it only after reading there.
  if tonumber(held[i + 1]) <= now_ms and not has_reading then return {-4, now_ms} end
  in_flight = in_flight + 1
  if string.sub(member, 1, separator - 1) == ARGV[1] then day_in_flight = day_in_flight + 1 end
  if string.sub(member, -2) == ':p' then of_postgres = of_postgres + 1 end
  if string.sub(member, separator + 1, separator + 32) == ARGV[2] then reserved_day = tonumber(string.sub(member, 1, separator - 1)) end
end

local interval, capacity = tonumber(ARGV[5]), tonumber(ARGV[6])
local tat = math.max(tonumber(redis.call('GET', KEYS[4]) or 0), now_us)
if reserved_day then return {1, 0, used, day_in_flight, in_flight, tat, now_us, reserved_day} end

local violated, limit = 0, tonumber(ARGV[4])
if limit >= 0 and used + day_in_flight + 1 > limit then violated = violated + 1 end
if tat + interval - capacity > now_us then violated = violated + 2 end
if in_flight + 1 > tonumber(ARGV[7]) then violated = violated + 4 end
local failures_allowed = tonumber(ARGV[8])
if failures_allowed >= 0 and failed >= failures_allowed then
  return {0, 8, used, day_in_flight, in_flight, tat, now_us, today}
end
if violated > 0 then
  -- What PostgreSQL held may have gone since it was read: refuse only on a fresh reading.
  if of_postgres > 0 and not has_reading and violated ~= 2 then return {-4, now_ms} end
  return {0, violated, used, day_in_flight, in_flight, tat, now_us, today}
end

tat = tat + interval
-- string.format, because Lua writes large numbers with 14 digits only.
redis.call('SET', KEYS[4], string.format('%.0f', tat), 'PX', math.ceil((tat - now_us) / 1000) + 1000)
redis.call('ZADD', KEYS[3], string.format('%.0f', now_ms + ARGV[3]), ARGV[1] .. ':' .. ARGV[2])
redis.call('EXPIRE', KEYS[3], 172800)
return {1, 0, used, day_in_flight + 1, in_flight + 1, tat, now_us, today}
