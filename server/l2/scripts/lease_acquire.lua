-- Takes or renews a lease. KEYS: lease (a hash), token counter. ARGV: holder, address, ttl in ms.
-- Every new holding raises the token. Returns {1 if held by the caller, token, holder, address}.
local holder = redis.call('HGET', KEYS[1], 'holder')
if holder and holder ~= ARGV[1] then
  local lease = redis.call('HMGET', KEYS[1], 'token', 'address')
  return {0, lease[1], holder, lease[2]}
end
local token = holder and redis.call('HGET', KEYS[1], 'token') or tostring(redis.call('INCR', KEYS[2]))
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'address', ARGV[2], 'token', token)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {1, token, ARGV[1], ARGV[2]}
