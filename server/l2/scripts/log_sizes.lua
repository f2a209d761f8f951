-- For every stream in KEYS its length and about how many bytes it takes, one after the other; 0 for one
-- that is missing.
local out = {}
for i = 1, #KEYS do
  local length = redis.pcall('XLEN', KEYS[i])
  out[2 * i - 1] = type(length) == 'number' and length or 0
  local bytes = redis.pcall('MEMORY', 'USAGE', KEYS[i])
  out[2 * i] = type(bytes) == 'number' and bytes or 0
end
return out
