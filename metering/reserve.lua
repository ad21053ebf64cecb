-- Takes one call from every policy, or nothing from any. One round trip; leases and the burst run by this server's clock.
--
-- What is held here only saves work: PostgreSQL refuses to count a call beyond the limit, whatever was admitted here.
--
-- KEYS: the window's counter, calls in flight (score: end of lease, ms), burst clock, failures of the hour
--       [, account state [, requests of this minute]]
-- ARGV: window, request id, lease ms, limit (-1: none), burst interval us, burst capacity us, concurrency,
--       failures allowed (-1: no limit), requests allowed (-1: this one is not counted here),
--       n, n field names, n expected values [, what PostgreSQL has counted, failures of the hour that it has counted]
-- Returns {-1} account state changed, or too many requests | {-2} say what PostgreSQL has counted
--       | {1 reserved or 0 refused, violated bits, used, in flight of the window, in flight, burst clock us, now us}
--
-- A call in flight is "<window>:<request id>".
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now_ms = math.floor(now_us / 1000)

local fields = tonumber(ARGV[10])
if fields > 0 then
  local found = redis.call('HMGET', KEYS[5], unpack(ARGV, 11, 10 + fields))
  for i = 1, fields do
    if found[i] ~= ARGV[10 + fields + i] then return {-1} end
  end
end
local requests_allowed = tonumber(ARGV[9])
if requests_allowed >= 0 then
  local requests = redis.call('INCR', KEYS[6])
  if requests == 1 then redis.call('EXPIRE', KEYS[6], 120) end
  if requests > requests_allowed then return {-1} end
end

local used = tonumber(redis.call('GET', KEYS[1]) or -1)
local failures = tonumber(redis.call('GET', KEYS[4]) or 0)
if ARGV[11 + 2 * fields] then
  used = math.max(used, tonumber(ARGV[11 + 2 * fields]))
  failures = math.max(failures, tonumber(ARGV[12 + 2 * fields]))
  redis.call('SET', KEYS[1], used, 'EX', 172800)
  redis.call('SET', KEYS[4], failures, 'EX', 7200)
end
if used < 0 then return {-2} end

redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now_ms)
local held, in_window, reserved = redis.call('ZRANGE', KEYS[2], 0, -1), 0, false
local own = ARGV[1] .. ':' .. ARGV[2]
for i = 1, #held do
  if string.sub(held[i], 1, #ARGV[1] + 1) == ARGV[1] .. ':' then in_window = in_window + 1 end
  if held[i] == own then reserved = true end
end

local interval, capacity = tonumber(ARGV[5]), tonumber(ARGV[6])
local tat = math.max(tonumber(redis.call('GET', KEYS[3]) or 0), now_us)
if reserved then return {1, 0, used, in_window, #held, tat, now_us} end

local violated, limit = 0, tonumber(ARGV[4])
if limit >= 0 and used + in_window + 1 > limit then violated = violated + 1 end
if tat + interval - capacity > now_us then violated = violated + 2 end
if #held + 1 > tonumber(ARGV[7]) then violated = violated + 4 end
local failures_allowed = tonumber(ARGV[8])
if failures_allowed >= 0 and failures >= failures_allowed then violated = violated + 8 end
if violated > 0 then return {0, violated, used, in_window, #held, tat, now_us} end

tat = tat + interval
-- string.format, because Lua writes large numbers with 14 digits only.
redis.call('SET', KEYS[3], string.format('%.0f', tat), 'PX', math.ceil((tat - now_us) / 1000) + 1000)
redis.call('ZADD', KEYS[2], string.format('%.0f', now_ms + ARGV[3]), own)
redis.call('EXPIRE', KEYS[2], 172800)
return {1, 0, used, in_window + 1, #held + 1, tat, now_us}
