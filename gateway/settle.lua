-- Removes a reservation; when the call was counted, raises the day's counter to what PostgreSQL says. Safe to repeat.
--
-- KEYS: epoch sentinel, day's counter {used, seeded, hour, failed}, calls in flight
-- ARGV: day number, request id, used (0: the call was released), hour number, failures of that hour (0: it did not fail)
-- Returns -1 another epoch | 1 done
if redis.call('EXISTS', KEYS[1]) == 0 then return -1 end
local member = ARGV[1] .. ':' .. ARGV[2]
redis.call('ZREM', KEYS[3], member, member .. ':p')
local used = tonumber(ARGV[3])
-- Written even before the first reading of PostgreSQL: a reading made earlier would not know of this call.
if used > tonumber(redis.call('HGET', KEYS[2], 'used') or 0) then
  redis.call('HSET', KEYS[2], 'used', used)
  redis.call('EXPIREAT', KEYS[2], (ARGV[1] + 2) * 86400)
end
local hour, failed = tonumber(ARGV[4]), tonumber(ARGV[5])
if failed > 0 then
  local known = redis.call('HMGET', KEYS[2], 'hour', 'failed')
  local known_hour = tonumber(known[1] or 0)
  if hour > known_hour or (hour == known_hour and failed > tonumber(known[2])) then
    redis.call('HSET', KEYS[2], 'hour', hour, 'failed', failed)
    redis.call('EXPIREAT', KEYS[2], (ARGV[1] + 2) * 86400)
  end
end
return 1
