-- What each script begins with: its arguments, the clock, and keys that hold something else.
--
-- KEYS: `homes` records of the operation, and then of each take one key, or two where it is of several holders.
-- ARGV: 1 numbers of the call, 2 its name, 3 the operation, 4… the takes; numbers are packed as doubles, which are exact up
-- to 2^53. Times are microseconds, and spans of keys milliseconds.
local now, remember, resend, slack, once, flag, homes = struct.unpack('<ddddddd', ARGV[1])
local call, operation = ARGV[2], ARGV[3]
if now ~= now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end
local floor, ceil, min, max = math.floor, math.ceil, math.min, math.max
local format, match = string.format, string.match
-- How a limit is counted, by number.
local KIND = {}
-- How many counters could not be read, and start anew.
local mended = 0

-- Whether a read failed because the key holds something else. Other errors end the script.
local function is_other(answer)
    if type(answer) ~= 'table' or not answer.err then
        return false
    end
    if string.sub(answer.err, 1, 9) ~= 'WRONGTYPE' then
        error(answer.err)
    end
    return true
end

local function start_anew(...)
    mended = mended + 1
    redis.call('DEL', ...)
end

local function get(key)
    local value = redis.pcall('GET', key)
    if is_other(value) then
        start_anew(key)
        return false
    end
    return value
end

-- Of a key that was found without an expiry, and is not written now.
local function bound(key, span)
    if redis.call('PTTL', key) == -1 then
        redis.call('PEXPIRE', key, span)
    end
end

-- What is known of the operation: its state, the call that left it, and what that call was told.
-- t: taken. r: taken, and a repetition was granted. s: taken and settled. g: given back. f: what was kept is free again.
local function known()
    return match(get(KEYS[1]) or '', '^(%l) (%S+) ?(.*)$')
end

local function remember_as(state, told, span)
    local record = state .. ' ' .. call .. ' ' .. told
    for home = 1, homes do
        redis.call('SET', KEYS[home], record, 'PX', span)
    end
end

-- The takes, read.
local function takes()
    local all, place = {}, homes + 1
    for index = 4, #ARGV do
        local packed = ARGV[index]
        local kind, amount, most, unit, leak, cap, keep, warn = struct.unpack('<ddddddd', packed)
        local take = {
            key = KEYS[place], kind = KIND[kind], amount = amount, most = most, unit = unit, leak = leak,
            cap = cap, keep = keep, packed = packed, warn = warn, behind = 0,
        }
        place = place + 1
        if kind >= 2 then
            take.ends = KEYS[place]
            place = place + 1
        end
        take.kind.read(take)
        all[index - 3] = take
    end
    return all
end

-- The highest threshold that so much use reaches, in percent; 0 for none.
local function reached(take, used)
    local highest, at, packed = 0, take.warn, take.packed
    while at <= #packed do
        local percent, least
        percent, least, at = struct.unpack('<dd', packed, at)
        if used >= least and percent > highest then
            highest = percent
        end
    end
    return highest
end

-- Notes that so much is used now; the threshold that is told for it.
local function cross(take, used)
    local percent = reached(take, used)
    if percent > take.told then
        take.told = percent
        return percent
    end
    return 0
end
