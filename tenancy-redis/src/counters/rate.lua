-- Rates: `Bucket`, a bucket that leaks. Its key holds `<at> <used> <unit> <credit> <told>`.
--
-- `used` is in parts of which `unit` make one; `leak` of them leak in a microsecond. `credit` is what has leaked beyond whole
-- ones: 0 unless `leak` has a fraction.
local rate = {}
KIND[0] = rate

-- How far apart two readings of one clock may be, so that the later one is not taken for a clock that was set back.
local JITTER = 1000000

function rate.read(take)
    take.at, take.used, take.credit, take.told = now, 0, 0, 0
    local value = get(take.key)
    if not value then
        return
    end
    local at, used, unit, credit, told = match(value, '^(%-?%d+) (%d+) (%d+) (%S+) (%d+)$')
    at, used, unit, credit = tonumber(at), tonumber(used), tonumber(unit), tonumber(credit)
    if not at or unit < 1 or not credit or not (credit >= 0 and credit < 1) then
        start_anew(take.key)
        return
    end
    if unit ~= take.unit then
        -- Of another limit: whole units stay, and a part of one does not become less.
        local whole = floor(used / unit)
        local part = ceil((used - whole * unit) / unit * take.unit)
        used, credit = whole * take.unit + min(part, take.unit), 0
    end
    used = min(used, take.cap)
    local elapsed = now - at
    if elapsed < 0 then
        if elapsed >= -JITTER then
            take.at, take.behind = at, -elapsed
        else
            take.set_back = true
        end
        elapsed = 0
    end
    local leaked = elapsed * take.leak + credit
    if leaked >= used then
        return
    end
    local whole = floor(leaked)
    take.used, take.credit, take.told = used - whole, leaked - whole, tonumber(told)
end

-- How long a key is kept: until nothing is used any more. Redis takes no longer spans than some 10^5 years.
local function span(take)
    return min(ceil(take.used / take.leak / 1000), 2 ^ 52) + slack
end

local function write(take)
    if take.used <= 0 then
        redis.call('DEL', take.key)
        return
    end
    local value = format('%.0f %.0f %.0f %.17g %d', take.at, take.used, take.unit, take.credit, take.told)
    redis.call('SET', take.key, value, 'PX', span(take))
end

function rate.used(take)
    return take.used
end

function rate.refuses(take)
    return take.amount > 0 and take.used > take.most
end

function rate.take(take)
    take.used = take.used + take.amount
    local crossed = cross(take, ceil(take.used / take.unit))
    write(take)
    return crossed
end

function rate.denied(take)
    if take.set_back then
        write(take)
    else
        bound(take.key, span(take))
    end
end

-- `amount` more whether there is room or not, and `most` less.
function rate.settle(take)
    take.used = max(0, min(take.used + take.amount, take.cap) - take.most)
    write(take)
    return 0
end

rate.give_back = rate.settle

function rate.renew()
    return 0
end
