-- Forgets the oldest entries of the streams in KEYS until about so many are left of each as ARGV says.
for i = 1, #KEYS do redis.pcall('XTRIM', KEYS[i], 'MAXLEN', '~', ARGV[i]) end
return 'OK'
