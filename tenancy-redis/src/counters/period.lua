-- Periods: `Count`. Its key holds `<told> <until> <start> <amount>`, and start and amount of the period before.
--
-- `unit` is the start of the period, `leak` its length, and `keep` how long it is kept from now on.
local period = {}
KIND[1] = period

function period.read(take)
    local start = take.unit
    take.told, take.used = 0, 0
    local value = get(take.key)
    if not value then
        return
    end
    local told, till, latest, amount, rest = match(value, '^(%d+) (%-?%d+) (%-?%d+) (%d+)(.*)$')
    if not told then
        start_anew(take.key)
        return
    end
    take.told, take.till, latest, amount = tonumber(told), tonumber(till), tonumber(latest), tonumber(amount)
    local before, used_before = match(rest, '^ (%-?%d+) (%d+)$')
    before, used_before = tonumber(before), tonumber(used_before)
    if before and before > start then
        -- A clock that was set back beyond what is known: the most that was used goes on.
        latest, amount, before = start, max(amount, used_before), nil
        take.set_back = true
    end
    take.latest, take.latest_used, take.before, take.before_used = latest, amount, before, used_before
    if latest == start then
        take.used = amount
    elseif before == start then
        take.used = used_before
    end
end

local function write(take)
    local longest = now + take.keep + 2 * take.leak
    local till = min(max(take.till or now, now + take.keep), longest)
    local value = format('%d %.0f %.0f %.0f', take.told, till, take.latest, take.latest_used)
    if take.before then
        value = value .. format(' %.0f %.0f', take.before, take.before_used)
    end
    redis.call('SET', take.key, value, 'PX', max(0, ceil((till - now) / 1000)) + slack)
end

local function set(take, used)
    local start = take.unit
    take.used = min(used, take.cap)
    if take.latest == start or not take.latest then
        take.latest, take.latest_used = start, take.used
    elseif take.before == start then
        take.before_used = take.used
    elseif take.latest < start then
        take.before, take.before_used = take.latest, take.latest_used
        take.latest, take.latest_used = start, take.used
    else
        -- Between the two, or older than the only one.
        take.before, take.before_used = start, take.used
    end
    write(take)
end

function period.used(take)
    return take.used
end

function period.refuses(take)
    return take.amount > 0 and take.used + take.amount > take.most
end

function period.take(take)
    if not take.latest or take.latest < take.unit then
        take.told = 0
    end
    local crossed = cross(take, take.used + take.amount)
    set(take, take.used + take.amount)
    return crossed
end

function period.denied(take)
    if take.set_back then
        write(take)
    else
        bound(take.key, max(0, ceil((take.keep + 2 * take.leak) / 1000)) + slack)
    end
end

-- `amount` more whether there is room or not, and `most` less. What is forgotten stays so.
function period.settle(take)
    if take.amount > 0 then
        set(take, take.used + take.amount)
    elseif take.most > 0 and (take.latest == take.unit or take.before == take.unit) then
        set(take, max(0, take.used - take.most))
    end
    return 0
end

period.give_back = period.settle

function period.renew()
    return 0
end
