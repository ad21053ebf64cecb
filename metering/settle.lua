-- Removes a call in flight; then tells what PostgreSQL says of the window. Safe to repeat.
--
-- KEYS: the window's counter, calls in flight
-- ARGV: window, request id, used (-1: PostgreSQL refused to count it, so the counter here is too low; 0: it was released)
redis.call('ZREM', KEYS[2], ARGV[1] .. ':' .. ARGV[2])
local used = tonumber(ARGV[3])
if used < 0 then
  redis.call('DEL', KEYS[1])
elseif used > tonumber(redis.call('GET', KEYS[1]) or 0) then
  redis.call('SET', KEYS[1], used, 'EX', 172800)
end
return 1
