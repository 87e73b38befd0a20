import assert from 'node:assert/strict'
import { test } from 'node:test'
import { at, startAdmin } from './admin.fixture.ts'

test('GET / tells clients what they negotiate on, in the types that they decode', async (t) => {
  const { admin } = await startAdmin(t)
  await admin('POST /plugins', { json: { name: 'key-auth' } })
  const { status, body } = await admin('GET /')
  assert.equal(status, 200)
  assert.equal(at(body, 'version'), '3.9.1')
  assert.deepEqual(at(body, 'sallyport'), { version: '0.1.0' })
  assert.equal(at(body, 'edition'), 'community')
  assert.deepEqual(at(body, 'configuration'), { role: 'traditional', database: 'sqlite' })
  assert.deepEqual(at(body, 'plugins', 'available_on_server', 'openid-connect'), { version: '1.2.3', priority: 1000 })
  assert.deepEqual(at(body, 'plugins', 'enabled_in_cluster'), ['key-auth'])
  assert.deepEqual(at(body, 'pids'), { master: process.pid, workers: [1, 2] })
  assert.deepEqual(at(body, 'timers'), { running: 0, pending: 0 })
  for (const name of ['tagline', 'hostname', 'node_id', 'lua_version']) assert.equal(typeof at(body, name), 'string', name)
})

test('/status has the database, memory in the unit asked for, and connections', async (t) => {
  const { admin, status } = await startAdmin(t)
  for (const client of [admin, status]) {
    const { body } = await client('GET /status')
    assert.deepEqual(at(body, 'database'), { reachable: true })
    assert.equal(at(body, 'configuration_hash'), undefined)
    assert.deepEqual(at(body, 'memory', 'workers_lua_vms'), [{ http_allocated_gc: '3.00 MiB', pid: 1 }])
    assert.equal(at(body, 'server', 'total_requests'), 7)
  }
  const memory = async (query: string) =>
    at((await admin(`GET /status?${query}`)).body, 'memory', 'workers_lua_vms', 0, 'http_allocated_gc')
  assert.equal(await memory('unit=k&scale=0'), '3072 KiB')
  assert.equal(await memory('unit=B'), 3 * 1024 * 1024)
  assert.equal((await admin('GET /status?unit.toString=1')).status, 400)
  const bad = await admin('GET /status?unit=V')
  assert.deepEqual([bad.status, bad.body], [400, { message: "invalid unit 'V' (expected 'k/K', 'm/M', or 'g/G')" }])
})

test('without a database /status has the hash of the configuration instead', async (t) => {
  const { admin } = await startAdmin(t, { kind: 'off' })
  const { body } = await admin('GET /status')
  assert.equal(at(body, 'configuration_hash'), '0'.repeat(32))
  assert.equal(at(body, 'database'), undefined)
})

test('/status/ready says why requests should not come, and draining is for good', async (t) => {
  const { status: client } = await startAdmin(t)
  const ready = await client('GET /status/ready')
  assert.deepEqual([ready.status, ready.body], [200, { message: 'ready' }])
  assert.equal((await client('POST /status/ready', { form: 'status=other' })).status, 400)
  assert.equal((await client('POST /status/ready', { raw: 'status=draining', headers: { 'content-type': 'text/plain' } })).status, 415)
  assert.equal((await client('POST /status/ready', { form: 'status=draining' })).status, 204)
  const draining = await client('GET /status/ready')
  assert.deepEqual([draining.status, draining.body], [503, { message: 'draining' }])
})

test('a node without a database is ready when it has a configuration', async (t) => {
  const { admin, status } = await startAdmin(t, { kind: 'off' })
  const empty = await status('GET /status/ready')
  assert.deepEqual([empty.status, empty.body], [503, { message: 'no configuration available (empty configuration present)' }])
  await admin('POST /config', { json: { _format_version: '3.0' } })
  assert.equal((await status('GET /status/ready')).status, 200)
})

test('the Status API has no CORS headers and nothing but status', async (t) => {
  const { status } = await startAdmin(t)
  const answer = await status('GET /status')
  assert.equal(answer.headers['access-control-allow-origin'], undefined)
  assert.equal((await status('GET /services')).status, 404)
  assert.equal((await status('GET /')).status, 404)
})

test('/endpoints lists every path once, sorted by segments', async (t) => {
  const { admin } = await startAdmin(t)
  const data = at((await admin('GET /endpoints')).body, 'data') as string[]
  assert.equal(new Set(data).size, data.length)
  for (const path of [
    '/',
    '/endpoints',
    '/services',
    '/services/{services}/routes/{routes}',
    '/routes/{routes}/service',
    '/plugins/{plugins}/consumer',
    '/tags/{tag}',
  ]) {
    assert.ok(data.includes(path), path)
  }
  assert.ok(data.indexOf('/plugins/{plugins}') < data.indexOf('/plugins/{plugins}/route'))
  assert.deepEqual(data.filter((path) => path.startsWith('/config') || path.startsWith('/consumers')).slice(0, 3), [
    '/config',
    '/consumers',
    '/consumers/{consumers}',
  ])
})

test('schemas of entities and plugins, as lists of one-key objects', async (t) => {
  const { admin } = await startAdmin(t)
  const services = (await admin('GET /schemas/services')).body
  assert.ok(Array.isArray(at(services, 'entity_checks')))
  const names = (at(services, 'fields') as object[]).map((one) => Object.keys(one))
  assert.ok(names.every((keys) => keys.length === 1) && names.flat().includes('retries'))
  const plugin = (await admin('GET /schemas/plugins/openid-connect')).body
  const fields = at(plugin, 'fields') as object[]
  assert.deepEqual(
    fields.map((one) => Object.keys(one)[0]),
    ['consumer', 'protocols', 'config'],
  )
  const config = at(fields[2], 'config', 'fields') as object[]
  assert.ok(config.some((one) => at(one, 'ttl', 'default') === 30))
  const redis = config.map((one) => at(one, 'redis')).find((one) => one !== undefined)
  assert.equal(at(redis, 'shorthand_fields', 0, 'timeout', 'type'), 'integer')
  assert.deepEqual(at((await admin('GET /plugins/schema/openid-connect')).body, 'fields'), config)
  for (const [path, text] of [
    ['/schemas/nope', "No entity named 'nope'"],
    ['/schemas/upstreams', "No entity named 'upstreams'"],
    ['/schemas/consumer_group_plugins', "No entity named 'consumer_group_plugins'"],
    ['/schemas/plugins/nope', "No plugin named 'nope'"],
    ['/schemas/plugins/validate', "No plugin named 'validate'"],
    ['/plugins/schema/nope', "No plugin named 'nope'"],
    ['/schemas/vaults/env', "No vault named 'env'"],
  ] as const) {
    const { status, body } = await admin(`GET ${path}`)
    assert.deepEqual([status, body], [404, { message: text }], path)
  }
  assert.deepEqual((await admin('GET /plugins/enabled')).body, { enabled_plugins: ['key-auth', 'limits', 'openid-connect'] })
})

test('validation stores nothing and looks at no other entity', async (t) => {
  const { admin } = await startAdmin(t)
  const good = [
    ['services', { host: 'h' }],
    ['routes', { paths: ['/'], service: { id: '11111111-1111-4111-8111-111111111111' } }],
    ['plugins', { name: 'key-auth' }],
    ['consumers', { username: 'a' }],
  ] as const
  for (const [name, json] of good) {
    const { status, body } = await admin(`POST /schemas/${name}/validate`, { json })
    assert.deepEqual([status, body], [200, { message: 'schema validation successful' }], name)
  }
  assert.equal(
    (await admin('POST /schemas/plugins/validate', { form: 'name=openid-connect&config.issuer=http://a.test&config.ttl=1' })).status,
    200,
  )
  const bad = await admin('POST /schemas/services/validate', { json: {} })
  assert.deepEqual(
    [bad.status, bad.body],
    [
      400,
      {
        code: 2,
        name: 'schema violation',
        message: 'schema violation (host: required field missing)',
        fields: { host: 'required field missing' },
      },
    ],
  )
  for (const name of ['upstreams', 'vaults']) {
    const { status, body } = await admin(`POST /schemas/${name}/validate`, { json: {} })
    assert.deepEqual([status, body], [404, { message: `No entity named '${name}'` }])
  }
  assert.deepEqual(at((await admin('GET /services')).body, 'data'), [])
})

test('what this gateway does not have is 404 and nothing else', async (t) => {
  const { admin } = await startAdmin(t)
  for (const path of [
    ...[
      '/hmac-auths',
      '/jwts',
      '/oauth2',
      '/mtls-auths',
      '/filter-chains',
      '/partials',
      '/licenses',
      '/cloned-plugins',
      '/custom-plugins',
      '/workspaces',
    ],
    ...['/rbac/users', '/default/services', '/kong', '/ws/kong', '/targets', '/consumers/a/key-auth', '/services/a/consumers'],
  ]) {
    for (const method of ['GET', 'POST']) {
      const { status, body } = await admin(`${method} ${path}`)
      assert.deepEqual([status, body], [404, { message: 'Not found' }], `${method} ${path}`)
    }
  }
})

test('operators: purge, cache keys, control plane, log level', async (t) => {
  let level = 'notice'
  const logLevel = {
    get: () => level,
    set: (wanted: string) => {
      if (wanted !== 'debug') return false
      level = wanted
      return true
    },
  }
  const { admin, calls } = await startAdmin(t, { logLevel })
  assert.equal((await admin('DELETE /cache')).status, 204)
  assert.deepEqual(calls, ['purge'])
  assert.equal((await admin('GET /cache/x')).status, 404)
  assert.equal((await admin('DELETE /cache/x')).status, 204)
  for (const path of ['/clustering/data-planes', '/clustering/status']) {
    const { status, body } = await admin(`GET ${path}`)
    assert.equal(status, 400)
    assert.equal(at(body, 'message'), 'this endpoint is only available when Kong is configured to run as Control Plane for the cluster')
  }
  assert.deepEqual((await admin('GET /debug/node/log-level')).body, { message: 'log level: notice' })
  assert.equal((await admin('PUT /debug/node/log-level/loud')).status, 400)
  assert.deepEqual((await admin('PUT /debug/node/log-level/debug')).body, { message: 'log level changed' })
  assert.equal(level, 'debug')
})
