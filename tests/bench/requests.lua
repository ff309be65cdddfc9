-- wrk's requests: one for each of many owners, by turns, made before the clock starts.
-- Arguments: METHOD PATH BEARER FIRST COUNT [BODY]; {owner} and {id} in the path stand for the owner and for the owner's schedule.
local requests, at = {}, 0

function init(args)
    local method, path, bearer, first, count, body = args[1], args[2], args[3], tonumber(args[4]), tonumber(args[5]), args[6]
    local headers = { ["Authorization"] = "Bearer " .. bearer, ["Content-Type"] = body and "application/json" or nil }
    for i = 1, count do
        local own = path:gsub("{owner}", string.format("%d", first + i - 1)):gsub("{id}", tostring(i))
        requests[i] = wrk.format(method, own, headers, body)
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end
