-- Removes a call in flight; then tells what PostgreSQL counted. Safe to repeat.
--
-- KEYS: the window's counter, calls in flight, failures of the hour
-- ARGV: window, request id,
--       used (-1: PostgreSQL refused to count it, so the counter here is too low; 0: it was not counted),
--       failures (-1: it did not fail; 0: it failed, and PostgreSQL could not be told)
redis.call('ZREM', KEYS[2], ARGV[1] .. ':' .. ARGV[2])

local used = tonumber(ARGV[3])
if used < 0 then
  redis.call('DEL', KEYS[1])
elseif used > tonumber(redis.call('GET', KEYS[1]) or 0) then
  redis.call('SET', KEYS[1], used, 'EX', 172800)
end

local failures = tonumber(ARGV[4])
if failures >= 0 then
  local known = tonumber(redis.call('GET', KEYS[3]) or 0)
  redis.call('SET', KEYS[3], math.max(failures, known + (failures == 0 and 1 or 0)), 'EX', 7200)
end
return 1
