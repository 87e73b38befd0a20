import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { startAdmin } from './admin.fixture.ts'
import type { Answer } from './endpoint.ts'

/** Sends bytes and reads until the server closes; for what no client would send. */
async function rawExchange(origin: string, text: string): Promise<string> {
  const { hostname, port } = new URL(origin)
  const socket = connect(Number(port), hostname)
  socket.setEncoding('utf8')
  let received = ''
  socket.on('data', (chunk: string) => {
    received += chunk
  })
  socket.end(text)
  await once(socket, 'close')
  return received
}

test('an unknown path is 404 for every method, a known one 405 for the methods it lacks', async (t) => {
  const { admin } = await startAdmin(t)
  for (const method of ['GET', 'POST', 'DELETE', 'PUT', 'PATCH', 'PROPFIND', 'OPTIONS']) {
    const { status, body } = await admin(`${method} /nope`)
    assert.deepEqual([status, body], [404, { message: 'Not found' }], method)
  }
  for (const target of ['DELETE /services', 'PUT /services', 'POST /services/x', 'POST /', 'PROPFIND /services', 'POST /tags']) {
    const { status, body } = await admin(target)
    assert.deepEqual([status, body], [405, { message: 'Method not allowed' }], target)
  }
})

test('HEAD is GET without the body', async (t) => {
  const { admin } = await startAdmin(t)
  const get = await admin('GET /services')
  const head = await admin('HEAD /services')
  assert.equal(head.status, 200)
  assert.equal(head.text, '')
  assert.equal(head.headers['content-length'], get.headers['content-length'])
  assert.equal(head.headers['content-type'], 'application/json; charset=utf-8')
  assert.equal((await admin('HEAD /services/none')).status, 404)
  assert.equal((await admin('HEAD /cache')).status, 405)
})

test('OPTIONS names the methods, sorted, and the headers that were asked for', async (t) => {
  const { admin } = await startAdmin(t)
  for (const [path, methods] of [
    ['/services', 'GET, HEAD, OPTIONS, POST'],
    ['/services/x', 'DELETE, GET, HEAD, OPTIONS, PATCH, PUT'],
    ['/status', 'GET, HEAD, OPTIONS'],
    ['/cache', 'DELETE, OPTIONS'],
  ]) {
    const { status, headers, text } = await admin(`OPTIONS ${path}`)
    assert.deepEqual([status, text, headers['content-type']], [204, '', undefined])
    assert.equal(headers['allow'], methods)
    assert.equal(headers['access-control-allow-methods'], methods)
    assert.equal(headers['access-control-allow-headers'], 'Content-Type')
  }
  const asked = await admin('OPTIONS /services', { headers: { 'access-control-request-headers': 'X-A, X-B' } })
  assert.equal(asked.headers['access-control-allow-headers'], 'X-A, X-B')
})

test('a trailing slash is accepted, path parameters are decoded once', async (t) => {
  const { admin } = await startAdmin(t)
  assert.equal((await admin('PUT /consumers/a%2Fb%2520c')).status, 200)
  assert.equal((await admin('GET /consumers/')).status, 200)
  const { body } = await admin('GET /consumers/a%2Fb%2520c/')
  assert.equal((body as { username: string }).username, 'a/b%20c')
  assert.equal((await admin('PUT /consumers/100%25')).status, 200)
  assert.equal((await admin('GET /consumers/100%')).status, 200)
  assert.equal((await admin('GET /consumers/%FF%FE')).status, 404)
})

test('every answer bears Server, latency and CORS headers, refusals too', async (t) => {
  const { admin } = await startAdmin(t)
  for (const target of [
    'GET /services',
    'GET /nope',
    'DELETE /services',
    'OPTIONS /services',
    'POST /services',
    'DELETE /services/none',
    'GET /consumers/%FF',
  ]) {
    const { headers } = await admin(target)
    assert.equal(headers['server'], 'kong/3.9.1', target)
    assert.match(String(headers['x-kong-admin-latency']), /^\d+$/)
    assert.equal(headers['access-control-allow-origin'], '*')
    assert.equal(headers['access-control-allow-credentials'], 'true')
  }
  const { headers } = await admin('GET /nope', { headers: { origin: 'http://console.test' } })
  assert.equal(headers['access-control-allow-origin'], 'http://console.test')
})

test('Server and latency can be switched off; a configured console is the only origin', async (t) => {
  const { admin } = await startAdmin(t, { headers: { server: false, latency: false }, guiOrigins: ['http://a.test', 'http://b.test'] })
  const plain = await admin('GET /services')
  assert.equal(plain.headers['server'], undefined)
  assert.equal(plain.headers['x-kong-admin-latency'], undefined)
  for (const [origin, allowed] of [
    ['http://b.test', 'http://b.test'],
    ['http://evil.test', 'http://a.test'],
  ] as const) {
    assert.equal((await admin('GET /services', { headers: { origin } })).headers['access-control-allow-origin'], allowed)
  }
})

test('a type that is not accepted is 415 with an empty body, even without a body', async (t) => {
  const { admin } = await startAdmin(t)
  for (const sent of [
    { raw: 'name=a', headers: { 'content-type': 'text/plain' } },
    { raw: '', headers: { 'content-type': 'text/plain' } },
    { raw: 'name=a' },
    { raw: 'a: b', headers: { 'content-type': 'application/yaml' } },
    { raw: '{}', headers: { 'content-type': 'bad type' } },
  ]) {
    const { status, text, headers } = await admin('POST /services', sent)
    assert.deepEqual([status, text, headers['content-type']], [415, '', undefined], JSON.stringify(sent))
  }
})

test('without body and type a request is an empty object; GET and DELETE do not look at theirs', async (t) => {
  const { admin } = await startAdmin(t)
  const { status, body } = await admin('POST /consumers')
  assert.equal(status, 400)
  assert.equal((body as { code: number }).code, 2)
  for (const method of ['GET', 'DELETE']) {
    assert.notEqual((await admin(`${method} /services/x`, { raw: 'x', headers: { 'content-type': 'text/plain' } })).status, 415)
  }
})

test('malformed JSON, two content types, too many arguments', async (t) => {
  const { admin, origin } = await startAdmin(t)
  const json = { 'content-type': 'application/json' }
  for (const raw of ['', '{', '[]']) {
    const { status, body } = await admin('POST /services', { raw, headers: json })
    assert.deepEqual([status, body], [400, { message: 'Cannot parse JSON body' }])
  }
  const many = Array.from({ length: 1001 }, (_, i) => `a${i}=1`).join('&')
  assert.deepEqual((await admin('POST /services', { form: many })).body, { message: 'Too many arguments' })
  assert.deepEqual((await admin(`GET /services?${many}`)).body, { message: 'Too many arguments' })
  const twice = await rawExchange(
    origin,
    'POST /services HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}',
  )
  assert.match(twice, /^HTTP\/1\.1 400 /)
  assert.match(twice, /Multiple Content-Type headers not allowed/)
})

test('a body beyond the limit is 413', async (t) => {
  const { admin } = await startAdmin(t, { maxBodyBytes: 1000 })
  const { status, body } = await admin('POST /services', { json: { name: 'x'.repeat(1000) } })
  assert.deepEqual([status, body], [413, { message: 'Payload too large' }])
})

test('an absolute request-target is understood', async (t) => {
  const { origin } = await startAdmin(t)
  assert.match(await rawExchange(origin, 'GET http://x.test/services HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 200 /)
})

test('a failure of ours is 500 without details, and is logged', async (t) => {
  const lines: unknown[] = []
  const log = { debug() {}, info() {}, notice() {}, warn() {}, error: (...line: unknown[]) => void lines.push(line) }
  const status = () => {
    throw new Error('secret detail')
  }
  const { admin } = await startAdmin(t, { status, log })
  const answer = await admin('GET /status')
  assert.deepEqual([answer.status, answer.body], [500, { message: 'An unexpected error occurred' }])
  assert.deepEqual(lines, [['admin request failed', { method: 'GET', path: '/status', reason: 'secret detail' }]])
})

test('a token header is ignored where no token is configured', async (t) => {
  const { admin } = await startAdmin(t)
  assert.equal((await admin('GET /services', { headers: { 'kong-admin-token': 'whatever' } })).status, 200)
})

test('a configured token must come with every request, in one of two headers', async (t) => {
  const { admin, status } = await startAdmin(t, { token: 's3cret' })
  for (const headers of [
    {},
    { 'kong-admin-token': 'wrong' },
    { 'kong-admin-token': '' },
    { authorization: 'Bearer s3cre' },
    { authorization: 'Basic s3cret' },
  ]) {
    for (const target of ['GET /', 'GET /nope', 'DELETE /services/x', 'POST /services', 'OPTIONS /services']) {
      const answer = await admin(target, { headers })
      assert.deepEqual([answer.status, answer.body], [401, { message: 'Unauthorized' }], `${target} ${JSON.stringify(headers)}`)
      assert.equal(answer.headers['www-authenticate'], 'Bearer')
    }
  }
  for (const headers of [{ 'kong-admin-token': 's3cret' }, { authorization: 'Bearer s3cret' }, { authorization: 'bearer s3cret' }]) {
    assert.equal((await admin('GET /', { headers })).status, 200)
  }
  const preflight = { origin: 'http://console.test', 'access-control-request-method': 'GET' }
  assert.equal((await admin('OPTIONS /services', { headers: preflight })).status, 204)
  assert.equal((await status('GET /status')).status, 200)
})

test('a page of another site is refused, a console of ours and a followed link are not', async (t) => {
  const { admin } = await startAdmin(t, { guiOrigins: ['http://console.test'] })
  const foreign = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'cors', origin: 'http://evil.test' }
  for (const target of ['GET /services', 'POST /services', 'OPTIONS /services'])
    assert.equal((await admin(target, { headers: foreign })).status, 403, target)
  assert.equal(
    (await admin('POST /services', { form: 'name=a&host=h', headers: { ...foreign, 'sec-fetch-mode': 'navigate' } })).status,
    403,
  )
  assert.equal((await admin('GET /services', { headers: { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' } })).status, 200)
  assert.equal((await admin('GET /services', { headers: { ...foreign, origin: 'http://console.test' } })).status, 200)
  for (const site of ['same-origin', 'same-site', 'none'])
    assert.equal((await admin('GET /services', { headers: { 'sec-fetch-site': site } })).status, 200)
})

test('a successful write is answered after the change is applied; reads and refused writes apply nothing', async (t) => {
  const { admin, calls } = await startAdmin(t)
  await admin('GET /services')
  await admin('POST /services', { json: {} })
  await admin('POST /schemas/services/validate', { json: { host: 'h' } })
  assert.deepEqual(calls, [])
  await admin('POST /services', { json: { name: 'a', host: 'h' } })
  await admin('PATCH /services/a', { json: { host: 'i' } })
  await admin('PUT /services/a', { json: { host: 'j' } })
  await admin('DELETE /services/a')
  assert.equal(calls.length, 4)
})

test('the answer waits for the change to be applied, and stands when that fails', async (t) => {
  const gate = Promise.withResolvers<void>()
  const lines: string[] = []
  const log = { debug() {}, info() {}, notice() {}, error() {}, warn: (line: string) => void lines.push(line) }
  const { admin, database } = await startAdmin(t, { applyChange: () => gate.promise, log })
  let answered = false
  const answer = admin('POST /services', { json: { name: 'a', host: 'h' } }).then((reply) => {
    answered = true
    return reply
  })
  while ((await database.entities.services.select('a')) === null) await new Promise(setImmediate)
  // An answer that did not wait would overtake these.
  for (let i = 0; i < 5; i++) await admin('GET /services/a')
  assert.equal(answered, false)
  gate.reject(new Error('worker 2 is silent'))
  assert.equal((await answer).status, 201)
  assert.deepEqual(lines, ['workers did not take a change in time'])
})

test('routes of plugins are listed and follow the rules of all others', async (t) => {
  const seen: unknown[] = []
  const note = (answer: Answer, ...values: unknown[]): Answer => {
    seen.push(...values)
    return answer
  }
  const { admin, calls } = await startAdmin(t, {
    routes: [
      {
        method: 'GET',
        path: '/openid-connect/jwks',
        handle: () => ({ status: 200, body: { keys: [] }, headers: { 'cache-control': 'no-store' } }),
      },
      {
        method: 'POST',
        path: '/openid-connect/jwks',
        handle: async ({ body, query }) => note({ status: 201, body: {} }, body, query),
      },
      { method: 'DELETE', path: '/openid-connect/issuers/{issuer}', handle: ({ params }) => note({ status: 204 }, params) },
    ],
  })
  const keys = await admin('GET /openid-connect/jwks')
  assert.deepEqual([keys.status, keys.body, keys.headers['cache-control']], [200, { keys: [] }, 'no-store'])
  assert.equal((await admin('OPTIONS /openid-connect/jwks')).headers['allow'], 'GET, HEAD, OPTIONS, POST')
  assert.equal((await admin('PUT /openid-connect/jwks')).status, 405)
  assert.equal((await admin('POST /openid-connect/jwks?x=1', { form: 'a.b=1' })).status, 201)
  assert.equal((await admin('DELETE /openid-connect/issuers/a%2Fb')).status, 204)
  assert.deepEqual(seen, [{ a: { b: '1' } }, { x: '1' }, { issuer: 'a/b' }])
  assert.equal(calls.length, 2)
  const { data } = (await admin('GET /endpoints')).body as { data: string[] }
  assert.ok(data.includes('/openid-connect/jwks') && data.includes('/openid-connect/issuers/{issuer}'))
})
