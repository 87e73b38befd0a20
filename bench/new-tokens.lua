-- wrk: every request brings a bearer token of its own, 44 characters long. The argument makes the tokens of one run differ from those of all others.
local prefix
local count = 0

function init(args)
  prefix = 'Bearer ' .. args[1]
end

function request()
  count = count + 1
  wrk.headers['Authorization'] = string.format('%s%012d', prefix, count)
  return wrk.format()
end
