-- The id of the last entry that every stream in KEYS ever had, '' for one that is missing. Also of a
-- stream that was trimmed to nothing: who has read less has lost something.
local out = {}
for i = 1, #KEYS do
  local info = redis.pcall('XINFO', 'STREAM', KEYS[i])
  out[i] = ''
  if not info.err then
    for j = 1, #info, 2 do
      if info[j] == 'last-generated-id' then out[i] = info[j + 1] end
    end
  end
end
return out
