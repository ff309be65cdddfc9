-- wrk's requests: one for each of many owners, by turns, made before the clock starts.
-- Arguments: METHOD PATH BEARER FIRST COUNT BODY IF_NONE_MATCH, the last two may be empty; {owner} and {id} in the path stand for the owner and for the owner's schedule.
local requests, at = {}, 0

function init(args)
    local method, path, bearer, first, count = args[1], args[2], args[3], tonumber(args[4]), tonumber(args[5])
    local body = args[6] ~= "" and args[6] or nil
    local headers = { ["Authorization"] = "Bearer " .. bearer, ["Content-Type"] = body and "application/json",
                      ["If-None-Match"] = args[7] ~= "" and args[7] or nil }
    for i = 1, count do
        local own = path:gsub("{owner}", string.format("%d", first + i - 1)):gsub("{id}", tostring(i))
        requests[i] = wrk.format(method, own, headers, body)
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end
