-- Looks after the keys in KEYS that hold a tombstone: one whose time is over goes, which is no change;
-- one that is older than ARGV[1] milliseconds may be evicted from now on, unless it has no end, as
-- orders of operators have none. By this server's clock, as everything that expires here: a node's
-- may be wrong.
-- Returns for each key about how many bytes it takes, 0 if it holds no tombstone (any more), and 1 if
--   it may be evicted more than five minutes before its time: what is made for less, a drop, or has
--   less left, is relied on by nobody (server/replication/replicated_write.h).
local sub, call, pcall = string.sub, redis.call, redis.pcall
local time = call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local evictable_before = now - tonumber(ARGV[1])
local out = {}
for i = 1, #KEYS do
  local head = pcall('GETRANGE', KEYS[i], 0, 32)
  local bytes, evictable = 0, 0
  if type(head) == 'string' and sub(head, 33, 33) == 'T' then
    local expires_at = tonumber(sub(head, 21, 32), 16)
    if expires_at < now then
      call('UNLINK', KEYS[i])
    else
      local left = call('PTTL', KEYS[i])
      if left ~= -1 then
        evictable = left > 300000 and 1 or 0
      elseif sub(head, 21, 32) == 'ffffffffffff' then
        evictable = 0
      elseif tonumber(sub(head, 1, 12), 16) < evictable_before then  -- The version begins with its time.
        call('PEXPIREAT', KEYS[i], string.format('%.0f', expires_at))
        evictable = 1
      end
      local usage = pcall('MEMORY', 'USAGE', KEYS[i])
      bytes = type(usage) == 'number' and usage or 0
    end
  end
  out[2 * i - 1], out[2 * i] = bytes, evictable
end
return out
