-- Stores values if the lease is held with this token: all, or none. KEYS: lease, values. ARGV: token,
-- then for each value '=' and its bytes, '+' and its bytes to store it where there is none, or '-' to
-- delete it. Returns 1 when stored.
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
for i = 2, #KEYS do
  local what = string.sub(ARGV[i], 1, 1)
  if what == '-' then
    redis.call('DEL', KEYS[i])
  elseif what == '+' then
    redis.call('SETNX', KEYS[i], string.sub(ARGV[i], 2))
  else
    redis.call('SET', KEYS[i], string.sub(ARGV[i], 2))
  end
end
return 1
