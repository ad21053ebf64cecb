-- Removes a call in flight; then tells what PostgreSQL counted. Safe to repeat.
--
-- KEYS: the window's counter, calls in flight, failures of the hour
-- ARGV: window, request id,
--       used (-1: PostgreSQL refused to count it, so the counter here is too low; 0: it was not counted),
--       failures of the hour (0: it did not fail)
redis.call('ZREM', KEYS[2], ARGV[1] .. ':' .. ARGV[2])

local used = tonumber(ARGV[3])
if used < 0 then
  redis.call('DEL', KEYS[1])
elseif used > tonumber(redis.call('GET', KEYS[1]) or 0) then
  redis.call('SET', KEYS[1], used, 'EX', 172800)
end

local failures = tonumber(ARGV[4])
if failures > tonumber(redis.call('GET', KEYS[3]) or 0) then redis.call('SET', KEYS[3], failures, 'EX', 7200) end
return 1
