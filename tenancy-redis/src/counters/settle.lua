-- Settles what an operation has taken, once. Answers: 0 done, 1 done before, 2 late; and how many counters start anew.
local state, by, told = known()
local is_done = state ~= 't' and state ~= 'r'
if once == 1 then
    -- What is not known any more was taken long ago, by somebody who settles it now.
    is_done = state == 's' or state == 'g'
end
if is_done then
    return { by == call and tonumber(told) or 1, mended }
end
if flag == 2 and state == 'r' then
    -- A repetition was granted with it.
    remember_as('s', '1', remember)
    return { 1, mended }
end
local outcome = 0
for _, take in ipairs(takes()) do
    outcome = max(outcome, take.kind.settle(take))
end
if flag >= 1 and once == 0 then
    -- All was given back: a repetition takes again.
    remember_as('g', format('%d', outcome), resend)
else
    remember_as('s', format('%d', outcome), remember)
end
return { outcome, mended }
