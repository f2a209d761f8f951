-- Gives a lease back. KEYS: lease. ARGV: holder. Returns 1 when the holder had it.
if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
