#!lua name=@library@
-- Writes stamped copies of what PostgreSQL holds. A guard beside each key holds the stamp of the state that the key
-- shows: GGGGGG.VVVVVVVVVVVVVVVVVVVV, the generation of the caches and a version that only rises, as fixed-width
-- digits, so that they compare as text (numbers in Lua are doubles: wrong from 2^53 on).
--
-- A guard that is missing is made empty and the call refused (AGAIN): only a state that was read after the guard's
-- birth may fill the key, so what an old owner computed before a key was lost can never be the last word.

local ZERO = '000000.00000000000000000000'
local WIDTH = #ZERO
local LATE_MS = 3600000  -- that a guard lives whose own end is past

local function type_of(key)
  return redis.call('TYPE', key)['ok']
end

-- A command's answer; false where the key holds something of another type.
local function answer_of(...)
  local answer = redis.pcall(...)
  if type(answer) ~= 'table' or not answer['err'] then return answer end
  if string.sub(answer['err'], 1, 9) ~= 'WRONGTYPE' then error(answer) end
  return false
end

-- The string at a key; false where there is none, or something of another type.
local function text_of(key)
  return answer_of('GET', key)
end

local function make_guard(guard, expires_ms)
  if expires_ms == '0' then redis.call('SET', guard, ZERO) else redis.call('SET', guard, ZERO, 'PXAT', expires_ms) end
end

-- The guard's stamp; nil, with the guard made, where there was none.
local function stamp_of(guard, expires_ms)
  local held = text_of(guard)
  if held then return held end
  make_guard(guard, expires_ms)
  return nil
end

-- The server's clock.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Answers of several calls; one for all where they are the same.
local function told(answers)
  for i = 2, #answers do
    if answers[i] ~= answers[1] then return answers end
  end
  return answers[1]
end

-- KEYS guards, of which those that are missing are made. Before a state is read that is to fill their keys: AGAIN is
-- spared. They have no end yet, which costs a third of making them: the write that they are made for sets it.
local function guards_make(K)
  local held, missing = redis.call('MGET', unpack(K)), {}
  for i = 1, #K do
    if not held[i] then
      missing[#missing + 1] = K[i]
      missing[#missing + 1] = ZERO
    end
  end
  if #missing > 0 then redis.call('MSET', unpack(missing)) end
  return 'OK'
end

-- KEYS list, guard   ARGV stamp, elements newest first (at most 100: unpack fails from 8,000 on)
local function recent_put(K, A)
  local held = stamp_of(K[2], '0')
  if not held then return 'AGAIN' end
  if held > A[1] then return 'OLDER' end
  if held == A[1] then
    local kind = type_of(K[1])
    if (kind == 'none' or kind == 'list') and redis.call('LLEN', K[1]) == #A - 1 then return 'SAME' end
  end
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

-- `held` is the guard's stamp, false where there is none.
local function put_value(key, guard, held, now, stamp, value, unit, ms, guard_ends)
  local is_past = guard_ends ~= '0' and tonumber(guard_ends) <= now
  if not held then
    if not is_past then
      make_guard(guard, guard_ends)
      return 'AGAIN'
    end
    -- So long past that not even its guard would live: there is nothing to show, and nobody to be guarded from.
    redis.call('DEL', key, guard)
    return 'OK'
  end
  if held > stamp then return 'OLDER' end
  if unit == 'PXAT' and tonumber(ms) <= now then value = '' end
  if held == stamp then
    local kind = type_of(key)
    if (kind == 'string' and value ~= '') or (kind == 'none' and value == '') then return 'SAME' end
  end
  if value == '' then redis.call('DEL', key) else redis.call('SET', key, value, unit, ms) end
  if guard_ends == '0' then
    redis.call('SET', guard, stamp, 'KEEPTTL')
  elseif is_past then
    redis.call('SET', guard, stamp, 'KEEPTTL')
    -- Made for a value that was not past yet: its end is this write's to set.
    if redis.call('PTTL', guard) < 0 then redis.call('PEXPIRE', guard, LATE_MS) end
  else
    redis.call('SET', guard, stamp, 'PXAT', guard_ends)
  end
  return 'OK'
end

-- KEYS string, guard   ARGV stamp, value ('' for none), PX or PXAT, milliseconds, end of the guard (ms; 0: never)
local function value_put(K, A)
  return put_value(K[1], K[2], text_of(K[2]), now_ms(), A[1], A[2], A[3], A[4], A[5])
end

-- The same for many, each five ARGV behind their number: all guards are asked for at once, so no key may come twice (who
-- calls sees to it: a table of those that were there took a tenth of the time).
local function value_put_each(K, A)
  local guards, answers, now = {}, {}, now_ms()
  for i = 2, #K, 2 do guards[i / 2] = K[i] end
  local held = redis.call('MGET', unpack(guards))
  for i = 1, #guards do
    local at = 6 * i - 4
    answers[i] = put_value(K[2 * i - 1], guards[i], held[i], now, A[at], A[at + 1], A[at + 2], A[at + 3], A[at + 4])
  end
  return told(answers)
end

-- ── unread counts ──
-- The guard is a hash: channel -> stamp:count, and '#' the birth it belongs to, '=' the number of fields of the counts,
-- '~' the token of a fill that is under way, '!' the generation of the last one. A hash of counts that is there is complete: it is made by a fill alone,
-- which writes every channel of the user; until then changes are only noted in the guard.

local FIELDS = 1000  -- that one command writes: unpack fails from 8,000 on

local function set_fields(key, fields)
  for from = 1, #fields, FIELDS do
    redis.call('HSET', key, unpack(fields, from, math.min(from + FIELDS - 1, #fields)))
  end
end

-- KEYS counts, guard   ARGV token, birth, force (1: fill anew though it is complete)
local function unread_open(K, A)
  if A[3] == '1' then
    local made = answer_of('HSET', K[2], '~', A[1], '#', A[2])
    -- Two new fields: the guard is new, and what stands beside it is not known to be complete.
    if made == 2 then redis.call('DEL', K[1]) end
    if made then return 'OPEN' end
  end
  if type_of(K[2]) ~= 'hash' then redis.call('DEL', K[1], K[2]) end
  if A[3] ~= '1' and redis.call('HEXISTS', K[2], '~') == 0 and redis.call('HEXISTS', K[2], '=') == 1
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
  local all, held = answer_of('HGETALL', K[2]) or {}, {}
  for i = 1, #all, 2 do held[all[i]] = all[i + 1] end
  if held['~'] ~= A[1] then return 'LOST' end
  local noted, shown, gone = {'!', A[2]}, {}, {'~'}
  local function show(channel, noticed)
    local count = string.sub(noticed, WIDTH + 2)
    if count ~= '0' then
      shown[#shown + 1] = channel
      shown[#shown + 1] = count
    end
  end
  for i = 3, #A, 3 do
    local channel, ours = A[i], A[i + 1] .. ':' .. A[i + 2]
    local noticed = held[channel]
    if not noticed or string.sub(noticed, 1, WIDTH) <= A[i + 1] then
      noticed = ours
      noted[#noted + 1] = channel
      noted[#noted + 1] = ours
    end
    show(channel, noticed)
    held[channel] = nil
  end
  for i = 1, #all, 2 do
    local channel, noticed = all[i], all[i + 1]
    if #channel > 1 and held[channel] then
      -- What an older generation left about channels that are none of the user's.
      if string.sub(noticed, 1, 6) < A[2] then gone[#gone + 1] = channel else show(channel, noticed) end
    end
  end
  noted[#noted + 1] = '='
  noted[#noted + 1] = #shown / 2
  -- The first time there is none: a guard is made where there is none either (`unread_open`).
  if held['='] then redis.call('DEL', K[1]) end
  set_fields(K[1], shown)
  set_fields(K[2], noted)
  for from = 1, #gone, FIELDS do
    redis.call('HDEL', K[2], unpack(gone, from, math.min(from + FIELDS - 1, #gone)))
  end
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

-- KEYS guard. The generation that filled the counts last; empty where none is noted
local function unread_generation(K)
  return type_of(K[1]) == 'hash' and redis.call('HGET', K[1], '!') or ''
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

-- KEYS rate, set of imports' ids   ARGV count, end of the key (ms), end of the set, ids that the count leaves out
-- A message that is itself past counts in a key that a newer one keeps, and may come before it.
local function rate_put(K, A)
  if type_of(K[2]) ~= 'set' then redis.call('DEL', K[2]) end
  if #A > 3 then
    redis.call('SADD', K[2], unpack(A, 4))
    redis.call('PEXPIREAT', K[2], A[3])
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
  local held = text_of(K[2])
  if held and string.sub(held, 1, 6) >= A[1] then return 'KEPT' end
  if not held and type_of(K[2]) == 'hash' then return 'KEPT' end
  redis.call('DEL', K[1])
  return 'OK'
end

local ALONE = {recent_messages = true, channel_members = true, session = true, connection = true, presence = true}

-- ARGV cursor, pattern, prefix, generation (6 digits), count. One step of a scan, without its keys being sent: the next
-- cursor, and names of those among which are all that no generation since has written. Not for a cluster: a function may
-- not ask there for keys that nobody named.
local function older(_, A)
  local page, width = redis.call('SCAN', A[1], 'MATCH', A[2], 'COUNT', A[5]), #A[3]
  local found, keys, guards = {page[1]}, {}, {}
  for i = 1, #page[2] do
    local name = page[2][i]
    local colon = string.find(name, ':', width + 1, true) or width
    local family = string.sub(name, width + 1, colon - 1)
    if ALONE[family] then
      keys[#keys + 1] = name
      guards[#guards + 1] = A[3] .. family .. '_v' .. string.sub(name, colon)
    elseif family == 'unread_counts' then
      if redis.call('EXISTS', A[3] .. 'unread_counts_v' .. string.sub(name, colon)) == 0 then
        found[#found + 1] = name
      end
    elseif family == 'unread_counts_v' and (answer_of('HGET', name, '!') or '') < A[4] then
      found[#found + 1] = name
    end
  end
  for from = 1, #guards, FIELDS do
    local held = redis.call('MGET', unpack(guards, from, math.min(from + FIELDS - 1, #guards)))
    for i = 1, #held do
      if not held[i] or held[i] < A[4] then found[#found + 1] = keys[from + i - 1] end
    end
  end
  return found
end

-- KEYS those of each   ARGV number of arguments and arguments of each; the answers of all, one where all are the same
local function each(one, width)
  return function(K, A)
    local answers, at = {}, 1
    for first = 1, #K, width do
      local last = at + tonumber(A[at])
      answers[#answers + 1] = one({unpack(K, first, first + width - 1)}, {unpack(A, at + 1, last)})
      at = last + 1
    end
    return told(answers)
  end
end

-- One alone, and as many as a caller likes to have done before anybody else's command.
local function register(name, one, width, many)
  redis.register_function('@library@_' .. name, one)
  redis.register_function('@library@_' .. name .. '_each', many or each(one, width))
end

-- (`pairs` is not there while a library is loaded.)
register('recent_put', recent_put, 2)
register('recent_delta', recent_delta, 2)
register('value_put', value_put, 2, value_put_each)
register('unread_open', unread_open, 2)
register('unread_fill', unread_fill, 2)
register('unread_put', unread_put, 2)
register('unread_drop', unread_drop, 2)
register('unread_generation', unread_generation, 1)
register('typing_put', typing_put, 2)
register('rate_put', rate_put, 2)
register('state_swap', state_swap, 1)
register('drop_older', drop_older, 2)
redis.register_function('@library@_guards_make', guards_make)
redis.register_function('@library@_older', older)
