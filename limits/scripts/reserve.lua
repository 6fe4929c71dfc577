-- Decides a reservation for all of its subjects and takes it.
-- KEYS: rate, held, reserved, spent of each subject.
-- ARGV: id, lease, tokens, nano-USD, subjects; for each: requests and tokens a minute,
-- streams, mask of the hard counters, budgets; for each: counter, amount, hard, lax (1: go
-- on though it is not known what was spent before).
-- Returns 1, then for each subject: day, levels of requests and tokens, when the charge
-- is due, what was given back, and for each budget: spent, known.
-- Or 0, subject, limit, budget, wait, then for each subject its two levels.
-- Or 2, then subject, budget and day of each that must be known first.
local id, long, tokens, usd, n = argument(), number(), argument(), argument(), number()
local n_tokens, n_usd = tonumber(tokens), tonumber(usd)
local subjects, missing, worst = {}, {}, nil

local function refuse(s, limit, budget, wait)
  if not worst or wait > worst[4] then worst = {s, limit, budget, wait} end
end

local function check_rates(s, S)
  S.q, S.t, S.g = 0, 0, 0
  if S.rpm <= 0 and S.tpm <= 0 then return end
  S.q, S.t, S.g = levels(S.rate)
  if S.rpm > 0 then
    S.q_cost = MINUTE / S.rpm
    local wait = S.q_cost > MINUTE and S.q or S.q + S.q_cost - MINUTE
    if wait > PRECISION then refuse(s, 1, 0, wait) end
  end
  if S.tpm > 0 then
    S.t_cost = n_tokens * MINUTE / S.tpm
    local wait = S.t_cost > MINUTE and S.t or S.t + S.t_cost - MINUTE
    if wait > PRECISION then refuse(s, 2, 0, wait) end
  end
end

local function budget_wait(counter, amount, spent, ask)
  if spent < amount and ask <= amount - spent then return STREAM_WAIT end
  if ask > amount or amount <= 0 or counter % 3 == 2 then return FOREVER end
  return counter % 3 == 1 and UNTIL_MONTH or UNTIL_DAY
end

local function check_budget(s, S, j)
  local b = {counter = number(), amount = number(), hard = number() == 1, lax = number() == 1}
  b.window = window(b.counter, S.day)
  local spent, known, text = spending(S.spent, b.window)
  b.known, b.text = known, text
  local others, ask = 0, 0
  if b.hard then
    others = tonumber(redis.call('HGET', S.reserved, 'r:' .. b.window)) or 0
    ask = b.counter < 3 and n_usd or n_tokens
  end
  if spent >= b.amount or spent + others + ask > b.amount then
    refuse(s, 4, j, budget_wait(b.counter, b.amount, spent, ask))
  end
  if not known and not b.lax then
    missing[#missing + 1] = s
    missing[#missing + 1] = j
    missing[#missing + 1] = S.day
  end
  return b
end

for s = 1, n do
  local k = 4 * (s - 1)
  local S = {rate = KEYS[k + 1], held = KEYS[k + 2], reserved = KEYS[k + 3], spent = KEYS[k + 4]}
  S.rpm, S.tpm, S.streams, S.hard = number(), number(), number(), number()
  check_rates(s, S)
  if S.streams > 0 or S.hard > 0 then
    if S.hard > 0 then forget(S.reserved, id) end
    local left = sweep(S.held, S.reserved)
    if S.streams > 0 and left >= S.streams then refuse(s, 3, 0, STREAM_WAIT) end
  end
  S.day, S.budgets = today, {}
  local budgets = number()
  if budgets > 0 then
    local stored = redis.call('HGET', S.spent, 'day')
    S.new_day = not stored or stored < today
    if not S.new_day then S.day = stored end
  end
  for j = 1, budgets do S.budgets[j] = check_budget(s, S, j) end
  subjects[s] = S
end

if worst then
  local reply = {0, worst[1], worst[2], worst[3], whole(math.ceil(worst[4]))}
  for _, S in ipairs(subjects) do
    reply[#reply + 1] = whole(S.q)
    reply[#reply + 1] = whole(S.t)
  end
  return reply
end
if #missing > 0 then return {2, unpack(missing)} end

-- open_day begins a day and drops what nobody settles to any more.
local function open_day(S)
  local oldest = {[0] = date(clock[1] - 3 * 86400), [1] = string.sub(date(clock[1] - 40 * 86400), 1, 7)}
  for _, field in ipairs(redis.call('HKEYS', S.spent)) do
    local w = string.match(field, '^[s?]:[ut]:(%d.*)$')
    if w and w < oldest[#w == 7 and 1 or 0] then redis.call('HDEL', S.spent, field) end
  end
  redis.call('HSET', S.spent, 'day', S.day)
  preserve(S.spent)
end

local reply = {1}
for _, S in ipairs(subjects) do
  if S.q_cost or S.t_cost then
    S.q, S.t = S.q + (S.q_cost or 0), S.t + (S.t_cost or 0)
    keep_levels(S.rate, S.q, S.t, S.g)
  end
  if S.streams > 0 or S.hard > 0 then
    if S.hard > 0 then remember(S.reserved, id, tokens, usd, S.day, S.hard) end
    lease(S.held, S.reserved, id, long)
  end
  reply[#reply + 1] = S.day
  reply[#reply + 1] = whole(S.q)
  reply[#reply + 1] = whole(S.t)
  reply[#reply + 1] = whole(now + S.t)
  reply[#reply + 1] = string.format('%.3f', S.g)
  for _, b in ipairs(S.budgets) do
    if not b.known then
      redis.call('HSET', S.spent, 's:' .. b.window, b.text, '?:' .. b.window, '1')
    end
    reply[#reply + 1] = b.text
    reply[#reply + 1] = b.known and 1 or 0
  end
  if S.new_day then open_day(S) end
end
return reply
