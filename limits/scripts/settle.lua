-- Settles a batch of reservations, once.
-- KEYS: the number of the process's last batch; rate, held, reserved, spent of each subject.
-- ARGV: number of the batch, subjects; for each: ids and each of them; charges and for
-- each: cost, used (in microseconds), due, given back before; amounts and for each:
-- counter, window without its unit, amount.
-- Returns the number of the batch before this one; 0 when it is not known.
local batch, n = number(), number()
local last = tonumber(redis.call('GET', KEYS[1])) or 0
if batch <= last then return last end
redis.call('SET', KEYS[1], whole(batch), 'EX', 7 * 86400)

local function release(held, reserved)
  local gone = {}
  for i = 1, number() do
    gone[i] = argument()
    forget(reserved, gone[i])
  end
  if #gone == 0 then return end
  redis.call('ZREM', held, unpack(gone))
  if redis.call('EXISTS', held) == 0 then redis.call('DEL', reserved) end
end

local function correct(rate)
  local count = number()
  if count == 0 then return end
  local q, t, g = levels(rate)
  for _ = 1, count do
    local cost, used, due, before = number(), number(), number(), number()
    if used >= cost then
      t = t + used - cost
    else
      local waiting = due - now - (g - before)
      local back = math.max(0, math.min(cost - used, waiting, t))
      t, g = t - back, g + back
    end
  end
  keep_levels(rate, q, t, g)
end

-- spend leaves windows alone that are over and that nobody counts any more. A counter that
-- is new, as after a loss of the data, is marked: it lacks what was spent before.
local function spend(spent)
  for _ = 1, number() do
    local counter, when, amount = number(), argument(), argument()
    local w = window(counter, when)
    local there = redis.call('HEXISTS', spent, 's:' .. w) == 1
    if there or w >= window(counter, today) then
      redis.call('HINCRBY', spent, 's:' .. w, amount)
    end
    if not there and w >= window(counter, today) then
      redis.call('HSET', spent, '?:' .. w, '1')
      preserve(spent)
    end
  end
end

for s = 1, n do
  local k = 1 + 4 * (s - 1)
  release(KEYS[k + 2], KEYS[k + 3])
  correct(KEYS[k + 1])
  spend(KEYS[k + 4])
end
return last
