-- What several have at once: `Leases`, and the reservations of `Holdings`, which also keep what is committed.
--
-- The key is a hash: `kept`, `sum` of what runs or is reserved, `told`, and `<amount> <lasts>` of each operation. `ends` is a
-- sorted set of when each of them ends. `unit` is how long one lasts, and `keep` how long a key is kept that keeps something.
local leases, holdings = {}, { keeps = true }
KIND[2], KIND[3] = leases, holdings

local OWN = 3 -- kept, sum, told

local function read(take)
    local key, ends = take.key, take.ends
    take.kept, take.sum, take.told, take.count = 0, 0, 0, 0
    local found = redis.pcall('HMGET', key, 'kept', 'sum', 'told')
    local last = redis.pcall('ZREVRANGE', ends, 0, 0, 'WITHSCORES')
    local other, others = is_other(found), is_other(last)
    if other or others then
        start_anew(other and key or ends)
        if other and others then
            redis.call('DEL', ends)
        end
        found = other and {} or found
        last = others and {} or last
    end
    if not (found[1] or found[2] or found[3] or last[1]) then
        if redis.call('EXISTS', key) == 1 then
            start_anew(key)
        end
        return
    end
    local kept, sum, told = tonumber(found[1]), tonumber(found[2]), tonumber(found[3])
    local count = redis.call('ZCARD', ends)
    local is_right = kept and sum and told and kept >= 0 and sum >= 0 and kept <= take.cap
    if not is_right or redis.call('HLEN', key) ~= OWN + count then
        -- One of the two is gone or is nonsense. What is kept stays, and reservations are gone.
        start_anew(key, ends)
        if take.kind.keeps and kept and kept > 0 and kept <= take.cap then
            take.kept = kept
            redis.call('HSET', key, 'kept', format('%.0f', kept), 'sum', '0', 'told', '0')
            redis.call('PEXPIRE', key, take.keep)
        end
        return
    end
    take.kept, take.sum, take.told, take.count = kept, sum, told, count
    take.last = tonumber(last[2])
    if count == 0 then
        return
    end
    while true do
        local ended = redis.call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, 500)
        if #ended == 0 then
            break
        end
        for _, value in ipairs(redis.call('HMGET', key, unpack(ended))) do
            sum = sum - (tonumber(match(value or '', '^(%d+)')) or 0)
        end
        count = count - #ended
        redis.call('ZREM', ends, unpack(ended))
        redis.call('HDEL', key, unpack(ended))
        take.sum, take.count = max(0, sum), count
        redis.call('HSET', key, 'sum', format('%.0f', take.sum))
    end
    if count == 0 then
        take.sum, take.last = 0, nil
        if kept == 0 then
            redis.call('DEL', key)
            take.told = 0
        else
            redis.call('HSET', key, 'sum', '0')
        end
        return
    end
    if take.last > now + take.unit then
        -- The clock was set back, or they last shorter now.
        local beyond = '(' .. format('%.0f', now + take.unit)
        local late = redis.call('ZRANGEBYSCORE', ends, beyond, '+inf')
        for _, one in ipairs(late) do
            local lasts = take.unit
            if take.kind.keeps then
                local value = redis.call('HGET', key, one) or ''
                lasts = tonumber(match(value, ' (%d+)$')) or lasts
            end
            if tonumber(redis.call('ZSCORE', ends, one)) > now + lasts then
                redis.call('ZADD', ends, now + lasts, one)
            end
        end
        take.last = tonumber(redis.call('ZREVRANGE', ends, 0, 0, 'WITHSCORES')[2])
    end
end

local function used(take)
    return take.kept + take.sum
end

-- Has both keys end when the last of them does; what keeps something, later.
local function expire(take)
    local span = slack
    if take.last then
        span = max(0, ceil((take.last - now) / 1000)) + slack
        redis.call('PEXPIRE', take.ends, span)
    end
    if take.kept > 0 then
        span = max(span, take.keep)
    end
    redis.call('PEXPIRE', take.key, span)
end

-- Writes what all of them have in common, or nothing where nothing is left.
local function write(take)
    if take.count == 0 and take.kept == 0 then
        redis.call('DEL', take.key, take.ends)
        return
    end
    local sum, kept = format('%.0f', take.sum), format('%.0f', take.kept)
    redis.call('HSET', take.key, 'sum', sum, 'kept', kept, 'told', take.told)
    expire(take)
end

local function refuses(take)
    if take.amount == 0 then
        return false
    end
    take.holds = take.count > 0 and redis.call('ZSCORE', take.ends, operation)
    return not take.holds and used(take) + take.amount > take.most
end

local function begin(take)
    local crossed
    if take.holds then
        crossed = cross(take, used(take))
    else
        crossed = cross(take, used(take) + take.amount)
        local till = now + take.unit
        take.sum, take.count = take.sum + take.amount, take.count + 1
        take.last = max(take.last or till, till)
        redis.call('HSET', take.key, operation, format('%.0f %.0f', take.amount, take.unit))
        redis.call('ZADD', take.ends, till, operation)
    end
    write(take)
    return crossed
end

local function denied(take)
    if take.count > 0 or take.kept > 0 then
        expire(take)
    end
end

-- Ends what this operation has; whether it had anything.
local function finish(take)
    local value = take.count > 0 and redis.call('HGET', take.key, operation)
    if not value then
        return false
    end
    redis.call('HDEL', take.key, operation)
    redis.call('ZREM', take.ends, operation)
    take.sum = max(0, take.sum - (tonumber(match(value, '^(%d+)')) or 0))
    take.count = take.count - 1
    if take.count == 0 then
        take.sum, take.last = 0, nil
    end
    return true
end

local function renew(take)
    local value = take.count > 0 and redis.call('HGET', take.key, operation)
    if not value then
        return 2
    end
    local lasts = take.kind.keeps and tonumber(match(value, ' (%d+)$')) or take.unit
    redis.call('ZADD', take.ends, now + lasts, operation)
    take.last = max(take.last, now + lasts)
    expire(take)
    return 0
end

for _, kind in ipairs({ leases, holdings }) do
    kind.read, kind.used, kind.refuses, kind.take = read, used, refuses, begin
    kind.denied, kind.renew = denied, renew
end

function leases.settle(take)
    if finish(take) then
        write(take)
    end
    return 0
end

function leases.give_back()
    return 0
end

-- A threshold below which a holding has fallen is told again.
local function lower(take)
    take.told = min(take.told, reached(take, used(take)))
    write(take)
end

-- Keeps `amount` of what was reserved, which may have ended: it is kept all the same.
function holdings.settle(take)
    local was_reserved = finish(take)
    take.kept = min(take.kept + take.amount, take.cap)
    if was_reserved or take.amount > 0 then
        lower(take)
    end
    return (was_reserved or take.amount == 0) and 0 or 2
end

-- Frees `most` of what is kept.
function holdings.give_back(take)
    if take.kept > 0 then
        take.kept = max(0, take.kept - take.most)
        lower(take)
    end
    return 0
end
