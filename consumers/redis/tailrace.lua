#!lua name=@library@
-- Writes stamped copies of what PostgreSQL holds. A guard beside each key holds the stamp of the state that the key
-- shows: GGGGGG.VVVVVVVVVVVVVVVVVVVV, the generation of the caches and a version that only rises, as fixed-width
-- digits, so that they compare as text (numbers in Lua are doubles: wrong from 2^53 on).
--
-- A guard that is missing is made empty and the call refused (AGAIN): only a state that was read after the guard's
-- birth may fill the key, so what an old owner computed before a key was lost can never be the last word.

local ZERO = '000000.00000000000000000000'
local WIDTH = #ZERO

local function type_of(key)
  return redis.call('TYPE', key)['ok']
end

-- The guard's stamp; nil, with the guard made, where there was none.
local function stamp_of(guard, expires_ms)
  if type_of(guard) == 'string' then return redis.call('GET', guard) end
  redis.call('DEL', guard)
  redis.call('SET', guard, ZERO)
  if expires_ms ~= '0' then redis.call('PEXPIREAT', guard, expires_ms) end
  return nil
end

-- KEYS list, guard   ARGV stamp, elements newest first (at most 100: unpack fails from 8,000 on)
local function recent_put(K, A)
  local held = stamp_of(K[2], '0')
  if not held then return 'AGAIN' end
  local kind = type_of(K[1])
  if held > A[1] then return 'OLDER' end
  if held == A[1] and (kind == 'none' or kind == 'list') and redis.call('LLEN', K[1]) == #A - 1 then return 'SAME' end
  redis.call('DEL', K[1])
  if #A > 1 then redis.call('RPUSH', K[1], unpack(A, 2)) end
  redis.call('SET', K[2], A[1])
  return 'OK'
end

-- KEYS list, guard   ARGV from, to, length of the list at `from`, limit, n, n x (index, element; '' removes), elements
-- to put in front, oldest first. Applies only to the very list that the caller wrote.
local function recent_delta(K, A)
  if type_of(K[1]) ~= 'list' or type_of(K[2]) ~= 'string' then return 'WHOLE' end
  if redis.call('GET', K[2]) ~= A[1] or redis.call('LLEN', K[1]) ~= tonumber(A[3]) then return 'WHOLE' end
  local at, gone = 6, false
  for _ = 1, tonumber(A[5]) do
    redis.call('LSET', K[1], A[at], A[at + 1])
    gone = gone or A[at + 1] == ''
    at = at + 2
  end
  if gone then redis.call('LREM', K[1], 0, '') end
  if A[at] then redis.call('LPUSH', K[1], unpack(A, at)) end
  redis.call('LTRIM', K[1], 0, tonumber(A[4]) - 1)
  redis.call('SET', K[2], A[2])
  return 'OK'
end

-- KEYS string, guard   ARGV stamp, value ('' for none), PX or PXAT, milliseconds, end of the guard (ms; 0: never)
local function value_put(K, A)
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local value, kind, held = A[2], type_of(K[1]), nil
  if A[5] ~= '0' and tonumber(A[5]) <= now then
    -- So long past that not even its guard would live: there is nothing to show, and nobody to be guarded from.
    if type_of(K[2]) ~= 'string' then
      redis.call('DEL', K[1], K[2])
      return 'OK'
    end
    held = redis.call('GET', K[2])
  else
    held = stamp_of(K[2], A[5])
  end
  if not held then return 'AGAIN' end
  if held > A[1] then return 'OLDER' end
  if A[3] == 'PXAT' and tonumber(A[4]) <= now then value = '' end
  local is_same = (kind == 'string' and value ~= '') or (kind == 'none' and value == '')
  if held == A[1] and is_same then return 'SAME' end
  redis.call('DEL', K[1])
  if value ~= '' then redis.call('SET', K[1], value, A[3], A[4]) end
  redis.call('SET', K[2], A[1], 'KEEPTTL')
  if A[5] ~= '0' and tonumber(A[5]) > now then redis.call('PEXPIREAT', K[2], A[5]) end
  return 'OK'
end

-- ── unread counts ──
-- The guard is a hash: channel -> stamp:count, and '#' the birth it belongs to, '=' the number of fields of the counts,
-- '~' the token of a fill that is under way. A hash of counts that is there is complete: it is made by a fill alone,
-- which writes every channel of the user; until then changes are only noted in the guard.

local function write_counts(counts, guard)
  redis.call('DEL', counts)
  local all, n = redis.call('HGETALL', guard), 0
  for i = 1, #all, 2 do
    if #all[i] > 1 then
      local count = string.sub(all[i + 1], WIDTH + 2)
      if count ~= '0' then
        redis.call('HSET', counts, all[i], count)
        n = n + 1
      end
    end
  end
  redis.call('HSET', guard, '=', n)
end

-- KEYS counts, guard   ARGV token, birth, force (1: fill anew though it is complete)
local function unread_open(K, A)
  if type_of(K[2]) ~= 'hash' then redis.call('DEL', K[1], K[2]) end
  local is_open = redis.call('HEXISTS', K[2], '~') == 1
  if A[3] ~= '1' and not is_open and redis.call('HEXISTS', K[2], '=') == 1
      and redis.call('HLEN', K[1]) == tonumber(redis.call('HGET', K[2], '=')) then
    redis.call('HSET', K[2], '#', A[2])
    return 'WARM'
  end
  redis.call('HSET', K[2], '~', A[1], '#', A[2])
  return 'OPEN'
end

local function note(guard, channel, stamp, count)
  local held = redis.call('HGET', guard, channel)
  if held and string.sub(held, 1, WIDTH) > stamp then return false end
  redis.call('HSET', guard, channel, stamp .. ':' .. count)
  return true
end

-- KEYS counts, guard   ARGV token, generation (6 digits), n x (channel, stamp, count): all channels of the user
local function unread_fill(K, A)
  if type_of(K[2]) ~= 'hash' or redis.call('HGET', K[2], '~') ~= A[1] then return 'LOST' end
  local filled = {}
  for i = 3, #A, 3 do
    note(K[2], A[i], A[i + 1], A[i + 2])
    filled[A[i]] = true
  end
  -- What an older generation left about channels that are none of the user's.
  local all = redis.call('HGETALL', K[2])
  for i = 1, #all, 2 do
    if #all[i] > 1 and not filled[all[i]] and string.sub(all[i + 1], 1, 6) < A[2] then
      redis.call('HDEL', K[2], all[i])
    end
  end
  redis.call('HDEL', K[2], '~')
  write_counts(K[1], K[2])
  return 'OK'
end

-- KEYS counts, guard   ARGV n x (channel, stamp, count). OPEN: noted, but whoever opened it may never fill it.
local function unread_put(K, A)
  if type_of(K[2]) ~= 'hash' then return 'COLD' end
  local is_open = redis.call('HEXISTS', K[2], '~') == 1
  local kind = type_of(K[1])
  local fields = redis.call('HGET', K[2], '=') or '0'
  if not is_open and ((kind ~= 'hash' and kind ~= 'none') or redis.call('HLEN', K[1]) ~= tonumber(fields)) then
    redis.call('DEL', K[1], K[2])
    return 'COLD'
  end
  for i = 1, #A, 3 do
    if note(K[2], A[i], A[i + 1], A[i + 2]) and not is_open then
      if A[i + 2] == '0' then redis.call('HDEL', K[1], A[i]) else redis.call('HSET', K[1], A[i], A[i + 2]) end
    end
  end
  if is_open then return 'OPEN' end
  redis.call('HSET', K[2], '=', redis.call('HLEN', K[1]))
  return 'OK'
end

-- KEYS counts, guard   ARGV birth: drops nothing that was born later
local function unread_drop(K, A)
  if type_of(K[2]) == 'hash' and redis.call('HGET', K[2], '#') ~= A[1] then return 'OLDER' end
  redis.call('DEL', K[1], K[2])
  return 'OK'
end

-- ── typing and rates: greatest values, so that order and repetition cannot matter ──

-- KEYS typing, guard   ARGV newest typing (16 digits of microseconds), end of the key (ms), newest post, end of the guard
local function typing_put(K, A)
  local typed, posted = A[1], A[3]
  if type_of(K[2]) == 'string' then
    local held = redis.call('GET', K[2])
    local held_typed, held_posted = string.sub(held, 1, 16), string.sub(held, 18, 33)
    if held_typed > typed then typed = held_typed end
    if held_posted > posted then posted = held_posted end
  end
  if posted >= typed then
    redis.call('DEL', K[1])
  elseif typed == A[1] then
    redis.call('SET', K[1], '1', 'PXAT', A[2])
  end
  redis.call('SET', K[2], typed .. '.' .. posted, 'PXAT', A[4])
  return 'OK'
end

-- KEYS rate, set of late ids   ARGV count, end of the key (ms), ids that the count leaves out
local function rate_put(K, A)
  if type_of(K[2]) ~= 'set' then redis.call('DEL', K[2]) end
  if #A > 2 then
    redis.call('SADD', K[2], unpack(A, 3))
    redis.call('PEXPIREAT', K[2], A[2])
  end
  local count, ends = tonumber(A[1]) + redis.call('SCARD', K[2]), tonumber(A[2])
  if type_of(K[1]) == 'string' then
    count = math.max(count, tonumber(redis.call('GET', K[1])) or 0)
    ends = math.max(ends, redis.call('PEXPIRETIME', K[1]))
  end
  redis.call('SET', K[1], string.format('%d', count), 'PXAT', string.format('%d', ends))
  return 'OK'
end

-- ── the whole store ──

-- KEYS state   ARGV what it must be, what it becomes
local function state_swap(K, A)
  if redis.call('GET', K[1]) ~= A[1] then return 'OTHER' end
  redis.call('SET', K[1], A[2])
  return 'OK'
end

-- KEYS key, guard   ARGV generation (6 digits): drops what no generation since has written
local function drop_older(K, A)
  local kind = type_of(K[2])
  if kind == 'string' and string.sub(redis.call('GET', K[2]), 1, 6) >= A[1] then return 'KEPT' end
  if kind == 'hash' then return 'KEPT' end
  redis.call('DEL', K[1])
  return 'OK'
end

-- (`pairs` is not there while a library is loaded.)
redis.register_function('@library@_recent_put', recent_put)
redis.register_function('@library@_recent_delta', recent_delta)
redis.register_function('@library@_value_put', value_put)
redis.register_function('@library@_unread_open', unread_open)
redis.register_function('@library@_unread_fill', unread_fill)
redis.register_function('@library@_unread_put', unread_put)
redis.register_function('@library@_unread_drop', unread_drop)
redis.register_function('@library@_typing_put', typing_put)
redis.register_function('@library@_rate_put', rate_put)
redis.register_function('@library@_state_swap', state_swap)
redis.register_function('@library@_drop_older', drop_older)
