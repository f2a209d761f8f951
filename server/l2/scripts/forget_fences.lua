-- Removes fences, those that still have their version. KEYS: the list of the slot's fences (a hash);
-- the entry key of each. ARGV: the version of each. Returns how many there were.
local removed = 0
for i = 2, #KEYS do
  local name = string.sub(KEYS[i], string.find(KEYS[i], ':e:', 1, true) + 3)
  if redis.call('HGET', KEYS[1], name) == ARGV[i - 1] then
    redis.call('HDEL', KEYS[1], name)
    redis.call('DEL', KEYS[i])
    removed = removed + 1
  end
end
return removed
