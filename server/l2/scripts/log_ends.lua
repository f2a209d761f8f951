-- The id of the last entry of every stream in KEYS, '' for one that is empty or missing.
local out = {}
for i = 1, #KEYS do
  local last = redis.call('XREVRANGE', KEYS[i], '+', '-', 'COUNT', 1)
  out[i] = last[1] and last[1][1] or ''
end
return out
