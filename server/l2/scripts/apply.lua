-- Applies writes in order, each only if it is newer than what is stored, and appends each applied
-- one to the changelog of its slot. server/l2/apply_batch.h packs the arguments.
--
-- KEYS: n entry keys; the log keys of their slots; the cursor key when a cursor is given; m:changes,
--   the count of changes, which moves before any log does (not on Redis Cluster).
-- ARGV: now (12 hex digits of milliseconds), maximal length of a log, n, cursor ('' or 'ms-seq'),
--   then for each write:
--     meta      kind ('P' put, 'Q' put that the changelog is not told of, 'T' touch), condition
--               ('n' none, 'a' if absent, 'v' if version), expected version (20 hex digits, only
--               for 'v'), and if the stored value may be dead by a fence '|' and the fence's clock
--               (16 hex digits): only what is newer is live
--     log       index of its log key in KEYS
--     px        milliseconds until Redis may forget the key; 0: never. Of a tombstone that is never
--               forgotten by itself the changelog tells under another name ('d')
--     data      P: the record; T: the first 32 bytes of the new header; the clock of the version that
--               it replaces goes to the value's end, once
-- Returns for each write: 'O' applied; 'S' .. stored version, stale; 'C' .. live version or nothing,
--   condition does not hold; 'A' nothing to touch; 'E' .. error of this key alone.
-- Versions are lower-case hex of one length, so they compare as text.

local now = ARGV[1]
local max_length = ARGV[2]
local n = tonumber(ARGV[3])
local cursor = ARGV[4]
local sub, find = string.sub, string.find
local call, pcall = redis.call, redis.pcall
local counted = KEYS[#KEYS] == 'm:changes'
local cursor_key = KEYS[counted and #KEYS - 1 or #KEYS]
local retry = false
local out = {}

local function apply(key, meta, log, px, data)
  local head = pcall('GETRANGE', key, 0, 32)
  if type(head) == 'table' then return 'E' .. head.err end
  local stored, live, kind = '', false, ''
  if #head == 33 and find(head, '^[0-9a-f]+[VUTN]$') then
    stored, kind = sub(head, 1, 20), sub(head, 33)
    live = (kind == 'V' or kind == 'U') and sub(head, 21, 32) > now
    local fence = live and sub(meta, -17, -17) == '|' and sub(meta, -16)
    if fence then
      -- A touched value is as old as its write, whose clock is at its end.
      local written = kind == 'U' and call('GETRANGE', key, -16, -1) or sub(stored, 1, 16)
      if written <= fence then live = false end
    end
  end

  local version = sub(data, 1, 20)
  if stored == version then return 'S' .. stored end
  local condition = sub(meta, 2, 2)
  if condition == 'a' and live then return 'C' .. stored end
  if condition == 'v' and not (live and stored == sub(meta, 3, 22)) then
    return 'C' .. (live and stored or '')
  end
  local touch = sub(meta, 1, 1) == 'T'
  if touch and not live then return 'A' end
  if stored > version then return 'S' .. stored end

  -- The log first: an entry without its change is harmless, a change without its entry is lost.
  local name = sub(key, find(key, ':e:', 1, true) + 3)
  if sub(meta, 1, 1) ~= 'Q' then
    local field = px == '0' and sub(data, 33, 33) == 'T' and 'd' or 'c'
    local added = pcall('XADD', log, 'MAXLEN', '~', max_length, '*', field, version .. name)
    if type(added) == 'table' and added.err then return 'E' .. added.err end
  end
  if touch then
    call('SETRANGE', key, 0, data .. 'U')
    if kind == 'V' then call('APPEND', key, sub(stored, 1, 16)) end
    if px ~= '0' then call('PEXPIRE', key, px) else call('PERSIST', key) end
  elseif px ~= '0' then
    call('SET', key, data, 'PX', px)
  else
    call('SET', key, data)
  end
  -- Fences are listed as well, beside the log, so that a node that starts finds them all.
  if sub(name, 1, 15) == '_meridian.fence' then
    local list = sub(log, 1, -4) .. 'fences'
    if sub(data, 33, 33) == 'V' then
      call('HSET', list, name, version)
    else
      call('HDEL', list, name)
    end
  end
  return 'O'
end

if n > 0 and counted then
  local count = pcall('INCR', KEYS[#KEYS])
  if type(count) == 'table' then return count end
end

for i = 1, n do
  local at = 1 + i * 4
  local result = apply(KEYS[i], ARGV[at], KEYS[tonumber(ARGV[at + 1])], ARGV[at + 2], ARGV[at + 3])
  -- A key of a foreign type stays as it is for ever; any other error may pass, so the cursor waits.
  if sub(result, 1, 1) == 'E' and sub(result, 2, 10) ~= 'WRONGTYPE' then retry = true end
  out[i] = result
end

if cursor ~= '' and not retry then
  local ms, sequence = string.match(cursor, '^(%d+)-(%d+)$')
  ms, sequence = tonumber(ms), tonumber(sequence)
  local stored = pcall('GET', cursor_key)
  local stored_ms, stored_sequence
  if type(stored) == 'string' then
    stored_ms, stored_sequence = string.match(stored, '^(%d+)-(%d+)$')
    stored_ms, stored_sequence = tonumber(stored_ms), tonumber(stored_sequence)
  end
  if not stored_ms or ms > stored_ms or (ms == stored_ms and sequence > stored_sequence) then
    call('SET', cursor_key, cursor)
  end
end
return out
