-- Sets what was spent before in a window that lacks it.
-- KEYS: spent. ARGV: counter, window without its unit, amount, what the window had when the
-- amount was asked for; an amount of -1 changes nothing.
-- Returns what the window has.
local counter, w, amount, had = number(), argument(), number(), number()
w = (counter < 3 and 'u:' or 't:') .. w
local spent, known, text = spending(KEYS[1], w)
if known or amount < 0 then return text end
local since = math.max(0, spent - had)
redis.call('HSET', KEYS[1], 's:' .. w, whole(math.max(spent, amount + since)))
redis.call('HDEL', KEYS[1], '?:' .. w)
preserve(KEYS[1])
return text
