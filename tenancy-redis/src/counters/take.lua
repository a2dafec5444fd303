-- Takes of all, or of none.
-- Answers: 0 taken, 1 taken before, 2 refused; how many counters start anew; and of each take what is used, how far the
-- clock is behind, whether it refuses, and the threshold that it has reached.
local state, by, told = known()
local all = takes()
local answer = { 0, 0 }

local function add(take, refuses, crossed)
    local size = #answer
    answer[size + 1], answer[size + 2] = take.kind.used(take), take.behind
    answer[size + 3], answer[size + 4] = refuses, crossed
end

-- Once is once, whatever has become of it; what a client repeats is taken again where it was given back.
if state and (once == 1 or state == 't' or state == 'r' or state == 's') then
    local is_this = by == call
    if state == 't' and once == 0 and not is_this then
        for home = 1, homes do
            redis.call('SET', KEYS[home], 'r ' .. by .. ' ' .. told, 'KEEPTTL')
            bound(KEYS[home], remember)
        end
    end
    for place, take in ipairs(all) do
        local crossed = is_this and match(told, '%f[%d]' .. place .. ':(%d+)')
        add(take, 0, tonumber(crossed or 0))
    end
    answer[1], answer[2] = is_this and 0 or 1, mended
    return answer
end

local refused = {}
for place, take in ipairs(all) do
    if take.kind.refuses(take) then
        refused[place], answer[1] = true, 2
    end
end
if answer[1] == 2 or flag == 1 then
    for place, take in ipairs(all) do
        take.kind.denied(take)
        add(take, refused[place] and 1 or 0, 0)
    end
    answer[2] = mended
    return answer
end

local crossings, costs = '', false
for place, take in ipairs(all) do
    local crossed = 0
    if take.amount > 0 then
        crossed, costs = take.kind.take(take), true
    end
    if crossed > 0 then
        crossings = crossings .. format('%d:%d ', place, crossed)
    end
    add(take, 0, crossed)
end
if costs or once == 0 then
    remember_as('t', crossings, remember)
end
answer[2] = mended
return answer
