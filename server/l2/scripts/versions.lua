-- The version (the first 20 bytes) of the record under every key in KEYS, '' for one that is missing or
-- of a foreign type.
local out = {}
for i = 1, #KEYS do
  local version = redis.pcall('GETRANGE', KEYS[i], 0, 19)
  out[i] = type(version) == 'string' and version or ''
end
return out
