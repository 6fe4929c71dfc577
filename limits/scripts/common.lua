-- What the scripts share. A subject has four keys:
--   rate      hash: q and t, the levels of requests and tokens in microseconds; a, when
--             they were right; g, what was ever given back of the tokens
--   held      sorted set: reservations by the time their leases end, in microseconds
--   reserved  hash: i:ID, what a reservation has of hard budgets; r:WINDOW, their sums
--   spent     hash: s:WINDOW, what was spent; ?:WINDOW is there while that may lack what
--             was spent before; day, the latest day seen
-- A WINDOW is u: or t: for the unit (nano-USD, tokens) and 2026-11-21, 2026-11 or total.
-- A counter is a number: 0, 1, 2 are the day, month and total of the money, 3, 4, 5 those
-- of the tokens. Several are the bits of a mask.
local MINUTE = 60000000
local PRECISION = 1
local UNTIL_DAY, UNTIL_MONTH, FOREVER = 1e15, 2e15, 3e15
local STREAM_WAIT = 1000000
local KEEP = 70 * 86400

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

local function whole(n) return string.format('%.0f', n) end

local function date(seconds)
  local z = math.floor(seconds / 86400) + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local day = doy - math.floor((153 * mp + 2) / 5) + 1
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02d', year, month, day)
end

local today = date(tonumber(clock[1]))

local function window(counter, day)
  local unit = counter < 3 and 'u:' or 't:'
  local period = counter % 3
  if period == 0 then return unit .. day end
  if period == 1 then return unit .. string.sub(day, 1, 7) end
  return unit .. 'total'
end

local function has(mask, counter) return math.floor(mask / 2 ^ counter) % 2 == 1 end

-- levels of a rate at this moment. A clock that went back only stands still.
local function levels(key)
  local f = redis.call('HMGET', key, 'q', 't', 'a', 'g')
  local passed = math.max(0, now - (tonumber(f[3]) or now))
  local q = math.max(0, (tonumber(f[1]) or 0) - passed)
  local t = math.max(0, (tonumber(f[2]) or 0) - passed)
  return q, t, tonumber(f[4]) or 0
end

local function keep_levels(key, q, t, g)
  local most = math.max(q, t)
  if most < PRECISION then
    redis.call('DEL', key)
    return
  end
  redis.call('HSET', key, 'q', string.format('%.3f', q), 't', string.format('%.3f', t),
    'a', whole(now), 'g', string.format('%.3f', g))
  redis.call('PEXPIRE', key, whole(math.ceil(most / 1000) + 1))
end

-- add changes the sums by what a reservation has, with the sign before it.
local function add(key, tokens, usd, day, mask, sign)
  for counter = 0, 5 do
    local amount = counter < 3 and usd or tokens
    if has(mask, counter) and amount ~= '0' then
      redis.call('HINCRBY', key, 'r:' .. window(counter, day), sign .. amount)
    end
  end
end

local function mine(key, id)
  local text = redis.call('HGET', key, 'i:' .. id)
  if not text then return '0', '0', '', 0, false end
  local tokens, usd, day, mask = string.match(text, '^(%d+) (%d+) (%S+) (%d+)$')
  return tokens, usd, day, tonumber(mask), true
end

local function forget(key, id)
  local tokens, usd, day, mask, there = mine(key, id)
  if there then
    add(key, tokens, usd, day, mask, '-')
    redis.call('HDEL', key, 'i:' .. id)
  end
end

local function remember(key, id, tokens, usd, day, mask)
  forget(key, id)
  redis.call('HSET', key, 'i:' .. id, tokens .. ' ' .. usd .. ' ' .. day .. ' ' .. whole(mask))
  add(key, tokens, usd, day, mask, '')
end

-- sweep drops the leases that are over and returns how many are left. Sums without any
-- reservation are dropped too, wherever they came from.
local function sweep(held, reserved)
  local gone = redis.call('ZRANGEBYSCORE', held, '-inf', whole(now), 'LIMIT', 0, 1000)
  if #gone > 0 then
    for _, id in ipairs(gone) do forget(reserved, id) end
    redis.call('ZREM', held, unpack(gone))
  end
  local left = redis.call('ZCARD', held)
  if left == 0 then redis.call('DEL', reserved) end
  return left
end

-- lease holds a reservation for that long. The sums end with the last lease.
local function lease(held, reserved, id, long)
  redis.call('ZADD', held, whole(now + long), id)
  local ttl = whole(math.ceil(long / 1000) + 1000)
  redis.call('PEXPIRE', held, ttl)
  redis.call('PEXPIRE', reserved, ttl)
end

-- spending of a window: the number, whether it is known, and its text.
local function spending(key, w)
  local f = redis.call('HMGET', key, 's:' .. w, '?:' .. w)
  return tonumber(f[1]) or 0, (f[1] and not f[2]) and true or false, f[1] or '0'
end

-- preserve keeps what was spent for as long as somebody may ask.
local function preserve(key)
  if redis.call('HEXISTS', key, 's:u:total') == 1 or redis.call('HEXISTS', key, 's:t:total') == 1 then
    redis.call('PERSIST', key)
  else
    redis.call('EXPIRE', key, KEEP)
  end
end

local next_argument = 0
local function argument()
  next_argument = next_argument + 1
  return ARGV[next_argument]
end
local function number() return tonumber(argument()) end
