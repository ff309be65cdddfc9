-- The creates of tests/bench/requests.lua, with its arguments, and what became of them, as JSON.
dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "../bench/requests.lua")

local threads = {}
statuses, unasked = {}, 0 -- by status; how many 503 came without Retry-After

function setup(thread) threads[#threads + 1] = thread end

function response(status, headers)
    statuses[status] = (statuses[status] or 0) + 1
    if status == 503 and not headers["Retry-After"] then unasked = unasked + 1 end
end

function done(summary, latency)
    local counts = {}
    for status, count in pairs(threads[1]:get("statuses")) do counts[#counts + 1] = string.format('"%d": %d', status, count) end
    local errors = summary.errors
    print(string.format('RESULT {"statuses": {%s}, "unasked": %d, "longest_s": %.3f, "timeouts": %d, "broken": %d}',
        table.concat(counts, ", "), threads[1]:get("unasked"), latency.max / 1e6, errors.timeout,
        errors.connect + errors.read + errors.write))
end
