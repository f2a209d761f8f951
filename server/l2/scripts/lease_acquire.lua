-- Takes or renews a lease. KEYS: lease (a hash), token counter. ARGV: holder, address, ttl in ms, HTTP
-- address, note, most notes, the highest token that the caller has heard of, its claim (LeaseClaim:
-- 0 takes, 1 insists, 2 leads, 3 looks). Every new holding raises the token. Returns {1 if held by the
-- caller, 2 if so and the counter was lost, else 0; token, holder, address, HTTP address, Redis' time in
-- ms}, and to the holder the id and the note of each other one that left a note since. A free lease that
-- was not taken has the holder ''. A holder of an older release has no HTTP address, and
-- leaves the notes.
local claim = tonumber(ARGV[8])
local time = redis.call('TIME')
local now = time[1] .. string.format('%03d', math.floor(tonumber(time[2]) / 1000))
local holder = redis.call('HGET', KEYS[1], 'holder')
if not holder and claim == 3 then
  return {0, redis.call('GET', KEYS[2]) or '0', '', '', '', now}
end
if holder and (holder ~= ARGV[1] or claim == 3) then
  local field = 'note:' .. ARGV[1]
  if ARGV[5] ~= '' and redis.call('HLEN', KEYS[1]) < 4 + tonumber(ARGV[6]) then
    redis.call('HSET', KEYS[1], field, ARGV[5])
  end
  local lease = redis.call('HMGET', KEYS[1], 'token', 'address', 'http')
  return {0, lease[1], holder, lease[2], lease[3] or '', now}
end
local code = 1
local token = holder and redis.call('HGET', KEYS[1], 'token')
if not holder then
  local lost = tonumber(redis.call('GET', KEYS[2]) or '0') < tonumber(ARGV[7])
  if claim == 0 and lost then return {0, ARGV[7], '', '', '', now} end
  if lost then
    code = 2
    redis.call('SET', KEYS[2], ARGV[7])
  end
  if lost and claim == 2 then
    token = ARGV[7]
  else
    token = tostring(redis.call('INCR', KEYS[2]))
  end
end
local answer = {code, token, ARGV[1], ARGV[2], ARGV[4], now}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  if string.sub(fields[i], 1, 5) == 'note:' then
    answer[#answer + 1] = string.sub(fields[i], 6)
    answer[#answer + 1] = fields[i + 1]
    redis.call('HDEL', KEYS[1], fields[i])
  end
end
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'address', ARGV[2], 'token', token, 'http', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return answer
