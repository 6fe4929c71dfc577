-- Raises what a reservation has of hard budgets, and renews its lease.
-- KEYS: held, reserved, spent of each subject that has some.
-- ARGV: id, lease, tokens, nano-USD, subjects; for each: day, mask, budgets; for each:
-- counter, amount, lax.
-- Returns 1, or 0, subject, budget and what was spent, or 2 and subject, budget and day of
-- each that must be known first. Budgets are counted among those that were passed.
local id, long, tokens, usd, n = argument(), number(), argument(), argument(), number()
local subjects, missing = {}, {}

for s = 1, n do
  local k = 3 * (s - 1)
  local S = {held = KEYS[k + 1], reserved = KEYS[k + 2], spent = KEYS[k + 3]}
  S.day, S.mask = argument(), number()
  sweep(S.held, S.reserved)
  local my_tokens, my_usd, my_day, my_mask = mine(S.reserved, id)
  for j = 1, number() do
    local counter, amount, lax = number(), number(), number() == 1
    local w = window(counter, S.day)
    local spent, known, text = spending(S.spent, w)
    local all, has_now = tonumber(redis.call('HGET', S.reserved, 'r:' .. w)) or 0, 0
    if has(my_mask, counter) and my_day == S.day then has_now = tonumber(counter < 3 and my_usd or my_tokens) end
    local more = tonumber(counter < 3 and usd or tokens) - has_now
    if more > 0 and spent + all + more > amount then return {0, s, j, text} end
    if not known and not lax then
      missing[#missing + 1] = s
      missing[#missing + 1] = j
      missing[#missing + 1] = S.day
    end
  end
  subjects[s] = S
end
if #missing > 0 then return {2, unpack(missing)} end

for _, S in ipairs(subjects) do
  remember(S.reserved, id, tokens, usd, S.day, S.mask)
  lease(S.held, S.reserved, id, long)
end
return {1}
