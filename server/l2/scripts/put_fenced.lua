-- Stores a value if the lease is held with this token. KEYS: lease, value. ARGV: token, value.
-- Returns 1 when stored.
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2])
return 1
