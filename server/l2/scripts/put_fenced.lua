-- Stores values if the lease is held with this token: all, or none. KEYS: lease, values. ARGV: token,
-- then for each value '=' and its bytes, or '-' to delete it. Returns 1 when stored.
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
for i = 2, #KEYS do
  if ARGV[i] == '-' then
    redis.call('DEL', KEYS[i])
  else
    redis.call('SET', KEYS[i], string.sub(ARGV[i], 2))
  end
end
return 1
