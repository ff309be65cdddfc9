-- wrk's creates for many owners by turns, and what became of them, as JSON. Arguments: PATH BEARER FIRST COUNT BODY.
local requests, at, threads = {}, 0, {}
statuses, unasked = {}, 0 -- by status; how many 503 came without Retry-After

function setup(thread) threads[#threads + 1] = thread end

function init(args)
    local headers = { ["Authorization"] = "Bearer " .. args[2], ["Content-Type"] = "application/json" }
    for i = 1, tonumber(args[4]) do
        local own = args[1]:gsub("{owner}", string.format("%d", tonumber(args[3]) + i - 1))
        requests[i] = wrk.format("POST", own, headers, args[5])
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end

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
