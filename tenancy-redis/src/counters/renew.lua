-- Gives leases and reservations of an operation their full time again. Answers: 0 done, 2 one has ended; and how many
-- counters start anew.
local outcome = 0
for _, take in ipairs(takes()) do
    outcome = max(outcome, take.kind.renew(take))
end
return { outcome, mended }
