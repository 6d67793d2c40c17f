-- What wrk sends: the lines of one file for each of its threads, "read <our token>", "exchange <ID token>" or "offline <ID
-- token>" (an exchange that asks for a refresh token), one request for each line. Written before this text: FOLDER, HOST, ONCE (no line is sent twice), DELAY (mean
-- milliseconds between an answer and the next request of the same connection, 0 for none).

local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

local READ = "GET /api/me HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n"
local EXCHANGE = "POST /auth/google HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
  .. "Content-Length: %d\r\n\r\n%s"

local function made_of(line)
  local kind, token = line:match("^(%S+) (%S+)$")
  if kind == "read" then
    return READ:format(HOST, token)
  end
  local scope = kind == "offline" and ',"scope":"offline_access"' or ""
  local body = '{"id_token":"' .. token .. '"' .. scope .. '}'
  return EXCHANGE:format(HOST, #body, body)
end

local lines, kept, position, last = nil, {}, 0, nil
exhausted = 0

-- Read as it goes and not in init(): wrk starts its first thread before the second one's init(), and counts.
function request()
  if lines == nil then
    lines = io.lines(FOLDER .. "/lines." .. number)
  end
  local line = lines and lines()
  if line then
    last = made_of(line)
    if not ONCE then
      table.insert(kept, last)
    end
    return last
  end
  lines = false
  if ONCE then
    exhausted = exhausted + 1
    return last
  end
  position = position % #kept + 1
  return kept[position]
end

if DELAY > 0 then
  math.randomseed(os.time())
  function delay()
    return math.random(0, 2 * DELAY)
  end
end

function done(summary, latency)
  local errors, ran_out = summary.errors, 0
  for _, thread in ipairs(threads) do
    ran_out = ran_out + thread:get("exhausted")
  end
  io.write(string.format(
    "measured requests=%d duration_us=%d connect=%d read=%d write=%d status=%d timeout=%d exhausted=%d p50_us=%d p99_us=%d\n",
    summary.requests, summary.duration, errors.connect, errors.read, errors.write, errors.status, errors.timeout,
    ran_out, latency:percentile(50), latency:percentile(99)))
end
