-- Removes a reservation; when the call was counted, raises the day's counter to what PostgreSQL says. Safe to repeat.
--
-- KEYS: epoch sentinel, day's counter {used, seeded}, calls in flight
-- ARGV: day number, request id, used (0: the call was released)
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
return 1
