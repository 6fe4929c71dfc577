-- Renews leases. What is not there any more, as after a loss of the data, is taken again.
-- KEYS: held, reserved of each subject.
-- ARGV: lease, subjects; for each: reservations; for each: id, tokens, nano-USD, day, mask,
-- and whether the amounts may have changed.
local long, n = number(), number()
for s = 1, n do
  local held, reserved = KEYS[2 * s - 1], KEYS[2 * s]
  for _ = 1, number() do
    local id, tokens, usd, day, mask, changed = argument(), argument(), argument(), argument(), number(), number()
    local new = redis.call('ZADD', held, whole(now + long), id) == 1
    if mask > 0 and (new or changed == 1) then remember(reserved, id, tokens, usd, day, mask) end
  end
  local ttl = whole(math.ceil(long / 1000) + 1000)
  redis.call('PEXPIRE', held, ttl)
  redis.call('PEXPIRE', reserved, ttl)
end
return 1
