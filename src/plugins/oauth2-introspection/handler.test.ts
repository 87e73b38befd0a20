import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type FakeRequest, fakeContext, recordingLog, sharedObjects } from '../../../test/support/fake-context.ts'
import { fakeKit } from '../../../test/support/fake-kit.ts'
import { type ScriptedAnswer, scriptedHttp } from '../../../test/support/scripted-http.ts'
import type { Consumer } from '../../entities/consumer-directory.ts'
import type { RequestContext } from '../../plugin/context.ts'
import plugin from './handler.ts'
import type { Config } from './schema.ts'

const DEFAULTS: Config = {
  introspection_url: 'https://as.example/introspect?tenant=1',
  ttl: 30,
  token_type_hint: null,
  authorization_value: 'Basic c2VjcmV0',
  timeout: 10_000,
  keepalive: 60_000,
  introspect_request: false,
  hide_credentials: true,
  run_on_preflight: true,
  anonymous: '',
  consumer_by: 'username',
  custom_introspection_headers: {},
  custom_claims_forward: [],
}
const ALICE: Consumer = { id: 'c-alice', username: 'alice', custom_id: 'x-1', tags: null }
const GUEST: Consumer = { id: 'c-guest', username: 'guest', custom_id: 'g-1', tags: null }
const FORM = 'application/x-www-form-urlencoded'
const DOWN: ScriptedAnswer = { error: Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }) }

/** A plugin with this configuration, its authorization server and its clock. */
function setUp(
  change: Partial<Config> = {},
  pluginId = 'p1',
  { http = scriptedHttp({ json: { active: true } }), shared = sharedObjects() } = {},
) {
  const clock = { nowMs: 1_700_000_000_000 }
  const logged = recordingLog()
  const kit = fakeKit({ pluginId, log: logged.log, now: () => clock.nowMs, httpClient: () => http.client, shared })
  const state = plugin.configure({ ...DEFAULTS, ...change }, kit)
  let consumers: readonly Consumer[] = [ALICE, GUEST]
  const send = async (request: FakeRequest = {}, before?: (context: RequestContext) => void): Promise<RequestContext> => {
    const context = fakeContext({ log: logged.log, consumers, ...request })
    before?.(context)
    await plugin.access?.(context, state)
    return context
  }
  const useConsumers = (next: readonly Consumer[]) => {
    consumers = next
  }
  const bodies = () => http.requests.map(({ body }) => body)
  return { clock, http, logged, state, send, useConsumers, bodies }
}

const bearer = (token = 'T', more: FakeRequest = {}): FakeRequest => ({
  ...more,
  headers: [['Authorization', `Bearer ${token}`], ...(more.headers ?? [])],
})
const post = (type: string, body: string, more: FakeRequest = {}): FakeRequest => ({
  method: 'POST',
  body,
  ...more,
  headers: [['Content-Type', type], ...(more.headers ?? [])],
})
const bodyOf = async (context: RequestContext): Promise<string | undefined> => (await context.request.readBody(2_000_000))?.toString()
const answered = (context: RequestContext) => ({
  status: context.response.status,
  body: JSON.parse(Buffer.from(context.exitBody).toString()),
  challenge: context.response.headers.get('www-authenticate'),
})

const MISSING = {
  status: 401,
  body: { error: 'invalid_request', error_description: 'The access token is missing' },
  challenge: 'Bearer realm="service"',
}
const INVALID = {
  status: 401,
  body: { error: 'invalid_token', error_description: 'The access token is invalid or has expired' },
  challenge: 'Bearer realm="service", error="invalid_token", error_description="The access token is invalid or has expired"',
}

function assertMissing(context: RequestContext): void {
  assert.deepEqual(answered(context), MISSING)
  assert.equal(context.response.headers.get('content-type'), 'application/json; charset=utf-8')
}

function assertInvalid(context: RequestContext): void {
  assert.deepEqual(answered(context), INVALID)
}

function assertUnavailable(context: RequestContext): void {
  const { status, body, challenge } = answered(context)
  assert.equal(status, 503)
  assert.equal(body.message, 'Service unavailable')
  assert.equal(challenge, undefined)
  assert.match(context.response.headers.get('retry-after') ?? '', /^[1-9]\d*$/)
}

function assertProxied(context: RequestContext): void {
  assert.equal(context.exited, false)
}

test('it has the place in the order and the header names that Kong gives it', () => {
  assert.equal(plugin.priority, 1700)
  assert.equal(plugin.authenticates, true)
  const names = plugin.identityHeaders?.({ ...DEFAULTS, custom_claims_forward: ['email', 'a b', 'client_id', 'identifier'] }) ?? []
  assert.equal(names.length, 13)
  assert.deepEqual(names.slice(-2), ['X-Credential-email', 'X-Credential-a-b'])
})

// Where the token is

test('A1: without a token 401 and no call', async () => {
  const { send, http } = setUp()
  assertMissing(await send())
  assert.equal(http.requests.length, 0)
})

test('A2 A3 A4: a bearer or token header, in any case, is introspected once', async () => {
  for (const value of ['Bearer T', 'bEaReR   T', 'token T']) {
    const { send, bodies } = setUp()
    assertProxied(await send({ headers: [['authorization', value]] }))
    assert.deepEqual(bodies(), ['token=T'])
  }
})

test('A5 A6: Basic credentials are never sent to the server, and the query is searched', async () => {
  const { send, bodies } = setUp()
  const basic: FakeRequest = { headers: [['Authorization', 'Basic dTpw']] }
  assertMissing(await send(basic))
  assertProxied(await send({ ...basic, target: '/?access_token=T' }))
  assert.deepEqual(bodies(), ['token=T'])
})

test('A7 A8 A13 A14: the first place decides, and repeated presentations count as missing', async () => {
  const { send, bodies } = setUp()
  await send(bearer('A', { target: '/?access_token=B' }))
  await send(post(FORM, 'access_token=B', { target: '/?access_token=Q' }))
  assertMissing(await send({ target: '/?access_token=A&access_token=B' }))
  assertMissing(
    await send({
      headers: [
        ['Authorization', 'Bearer A'],
        ['Authorization', 'Bearer A'],
      ],
    }),
  )
  assert.deepEqual(bodies(), ['token=A', 'token=Q'])
})

test('A9 A10: a token in a form or JSON body is introspected; the rest of the body stays', async () => {
  const { send, bodies } = setUp()
  const form = await send(post(FORM, 'x=%41&access_token=T'))
  assert.equal(await bodyOf(form), 'x=%41')
  const json = await send(post('application/json', '{"access_token":"U","x":1}'))
  assert.equal(await bodyOf(json), '{"x":1}')
  assert.deepEqual(bodies(), ['token=T', 'token=U'])
})

test('A11 A12: JSON that is no object is no token and no failure, and a GET body is not searched', async () => {
  const { send, http } = setUp()
  for (const body of ['[1]', '"s"', 'null', '3', '{"access']) assertMissing(await send(post('application/json', body)))
  assertMissing(await send(post(FORM, 'access_token=T', { method: 'GET' })))
  assert.equal(http.requests.length, 0)
})

test('a malformed token is invalid without a call', async () => {
  const { send, http } = setUp()
  assertInvalid(await send({ target: '/?access_token=a%0d%0ab' }))
  assertInvalid(await send(bearer('x'.repeat(16_385))))
  assert.equal(http.requests.length, 0)
})

// The call

test('B1 B2 B3: hint, authorization and token are sent as they are configured and received', async () => {
  const plain = setUp()
  await plain.send(bearer('a+b/c=&d'))
  const [request] = plain.http.requests
  assert.equal(request?.method, 'POST')
  assert.equal(request?.url, DEFAULTS.introspection_url)
  assert.equal(new URLSearchParams(request?.body).get('token'), 'a+b/c=&d')
  assert.deepEqual(
    [...(request?.headers ?? [])].sort(([a], [b]) => (a < b ? -1 : 1)),
    [
      ['Accept', 'application/json'],
      ['Authorization', 'Basic c2VjcmV0'],
      ['Content-Type', FORM],
    ],
  )
  const hinted = setUp({ token_type_hint: 'access_token' })
  await hinted.send(bearer())
  assert.deepEqual(hinted.bodies(), ['token=T&token_type_hint=access_token'])
})

test('B4 B5 B6: headers about the request come from the gateway only, custom ones from the configuration', async () => {
  const header = async (change: Partial<Config>, name: string): Promise<readonly string[]> => {
    const { send, http } = setUp(change)
    await send(
      bearer('T', {
        target: '/a%20b?c=d',
        headers: [
          ['X-Request-Path', 'mine'],
          ['X-Foo', 'mine'],
        ],
      }),
    )
    return (http.requests[0]?.headers ?? []).filter(([key]) => key.toLowerCase() === name).map(([, value]) => value)
  }
  const custom = { 'X-Foo': 'bar', 'x-request-path': 'custom', 'content-type': 'text/plain', AUTHORIZATION: 'Bearer k' }
  assert.deepEqual(await header({ introspect_request: true, custom_introspection_headers: custom }, 'x-request-path'), ['/a%20b'])
  assert.deepEqual(await header({ introspect_request: true }, 'x-request-http-method'), ['GET'])
  assert.deepEqual(await header({}, 'x-request-path'), [])
  assert.deepEqual(await header({ custom_introspection_headers: custom }, 'x-foo'), ['bar'])
  assert.deepEqual(await header({ custom_introspection_headers: custom }, 'content-type'), [FORM])
  assert.deepEqual(await header({ custom_introspection_headers: custom }, 'authorization'), ['Bearer k'])
})

test('one warning for each configuration about ttl = 0 and about headers that are not sent', async () => {
  const { logged, send } = setUp({ ttl: 0, custom_introspection_headers: { Connection: 'x', 'content-length': '1' } })
  await send(bearer())
  await send(bearer())
  assert.deepEqual(
    logged.lines.map(({ level }) => level),
    ['warn', 'warn'],
  )
  assert.equal(logged.lines[1]?.members['headers'], 'Connection, content-length')
})

// The answer

test('C1 C2 C3 C4: only the boolean true is active; another word is a defect that is logged and asked about again', async () => {
  const { send, http, logged } = setUp()
  assertProxied(await send(bearer('1')))
  http.answer({ json: { active: false } })
  assertInvalid(await send(bearer('2')))
  for (const json of [{}, { active: 'true' }, { active: 1 }, { active: null }]) {
    logged.lines.length = 0
    http.answer({ json })
    const before = http.requests.length
    assertInvalid(await send(bearer('3')))
    assertInvalid(await send(bearer('3')))
    assert.equal(http.requests.length, before + 2)
    assert.equal(logged.lines[0]?.level, 'error')
  }
})

test('C5 C6 B7: what is no answer is 503 with Retry-After and no challenge, and is not stored', async () => {
  const answers: ScriptedAnswer[] = [
    ...['[]', 'null', '"x"', '', '{"active":tr', '{"active":true,"exp":"soon"}'].map((text) => ({ text })),
    ...[302, 401, 403, 404, 500].map((status) => ({ status, text: '{"active":true}' })),
    { status: 400, text: '{"error":"invalid_client"}' },
    DOWN,
  ]
  const { send, http, logged } = setUp()
  for (const answer of answers) {
    http.answer(answer)
    const before = http.requests.length
    assertUnavailable(await send(bearer()))
    assert.equal(http.requests.length, before + 1)
    const { level, members } = logged.lines.at(-1) ?? {}
    assert.equal(level, 'error')
    assert.equal(members?.['endpoint'], 'https://as.example/introspect')
    assert.equal(members?.['status'], 'status' in answer ? answer.status : 'text' in answer ? 200 : null)
  }
  http.answer({ json: { active: true } })
  assertProxied(await send(bearer()))
})

test("an endpoint that refuses the gateway's own credentials is named so in the log", async () => {
  for (const status of [401, 403]) {
    const { send, http, logged } = setUp()
    http.answer({ status })
    assertUnavailable(await send(bearer()))
    assert.match(String(logged.lines[0]?.members['reason']), /refuses the gateway's own credentials/)
  }
})

test('C7: an error about the token is "not active", and is not stored', async () => {
  for (const error of ['invalid_token', 'invalid_request', 'unsupported_token_type']) {
    const { send, http } = setUp()
    http.answer({ status: 400, text: JSON.stringify({ error }) })
    assertInvalid(await send(bearer()))
    assertInvalid(await send(bearer()))
    assert.equal(http.requests.length, 2)
  }
})

test('C8 C9: exp that has passed and nbf ahead are not active', async () => {
  const { send, http, clock } = setUp()
  http.answer({ json: { active: true, exp: clock.nowMs / 1000 - 1 } })
  assertInvalid(await send(bearer('1')))
  assertInvalid(await send(bearer('1')))
  assert.equal(http.requests.length, 1)
  http.answer({ json: { active: true, nbf: clock.nowMs / 1000 + 60 } })
  assertInvalid(await send(bearer('2')))
})

test('C10: neither the log nor an answer holds a token or the secret', async () => {
  const { send, http, logged } = setUp({ ttl: 0 })
  const texts: string[] = []
  for (const answer of [
    DOWN,
    { status: 401 },
    { text: 'x' },
    { json: { active: false } },
    { json: {} },
    { error: new Error('token=T0KEN Basic c2VjcmV0') },
  ]) {
    http.answer(answer)
    const context = await send(bearer(`T0KEN${texts.length}`))
    texts.push(Buffer.from(context.exitBody).toString(), context.response.headers.toRaw().join(), context.denial ?? '')
  }
  assert.ok(logged.lines.length >= 6)
  for (const text of [...texts, logged.text()]) assert.doesNotMatch(text, /T0KEN|c2VjcmV0|tenant/)
})

// The cache

test('D1: within ttl there is one call', async () => {
  const { send, http, clock } = setUp()
  await send(bearer())
  clock.nowMs += 29_999
  await send(bearer())
  assert.equal(http.requests.length, 1)
})

test('D2 D3 D4: ttl and exp end an answer, whichever comes first, also with ttl = 0', async () => {
  for (const [ttl, exp, afterMs] of [
    [1, null, 1500],
    [3600, 2, 3000],
    [0, 2, 3000],
  ] as const) {
    const { send, http, clock } = setUp({ ttl })
    http.answer({ json: { active: true, ...(exp === null ? {} : { exp: clock.nowMs / 1000 + exp }) } })
    assertProxied(await send(bearer()))
    http.answer({ json: { active: false } })
    clock.nowMs += afterMs
    assertInvalid(await send(bearer()))
    assert.equal(http.requests.length, 2)
  }
})

test('D5: with ttl = 0 and without exp an answer lives as long as the gateway allows', async () => {
  const { send, http, clock } = setUp({ ttl: 0 })
  await send(bearer())
  clock.nowMs += 3_580_000
  await send(bearer())
  assert.equal(http.requests.length, 1)
  clock.nowMs += 20_000
  await send(bearer())
  assert.equal(http.requests.length, 2)
})

test('D6: a revoked token is refused when ttl is over, and stays refused', async () => {
  const { send, http, clock } = setUp({ ttl: 1 })
  await send(bearer())
  http.answer({ json: { active: false } })
  clock.nowMs += 1000
  for (let i = 0; i < 10; i++, clock.nowMs += 700) assertInvalid(await send(bearer()))
})

test('D7: "not active" is reused for five seconds, or for a shorter ttl', async () => {
  for (const [ttl, lifeMs] of [
    [30, 5000],
    [0, 5000],
    [2, 2000],
  ] as const) {
    const { send, http, clock } = setUp({ ttl })
    http.answer({ json: { active: false } })
    await send(bearer())
    clock.nowMs += lifeMs - 1
    assertInvalid(await send(bearer()))
    assert.equal(http.requests.length, 1)
    http.answer({ json: { active: true } })
    clock.nowMs += 1
    assertProxied(await send(bearer()))
    assert.equal(http.requests.length, 2)
  }
})

test('D8 D9: with the server down an answer past its end is not used; when it is back, the next request succeeds', async () => {
  const { send, http, clock } = setUp({ ttl: 1 })
  await send(bearer())
  http.answer(DOWN)
  clock.nowMs += 1000
  assertUnavailable(await send(bearer()))
  http.answer({ json: { active: true } })
  assertProxied(await send(bearer()))
})

test('D10: fifty requests with a new token are one call', async () => {
  const { send, http } = setUp()
  const contexts = await Promise.all(Array.from({ length: 50 }, () => send(bearer())))
  for (const context of contexts) assertProxied(context)
  assert.equal(http.requests.length, 1)
})

test('D11: a flood of invalid tokens does not push out a valid one', async () => {
  const { send, http } = setUp()
  await send(bearer('good'))
  http.answer({ json: { active: false } })
  for (let i = 0; i < 3000; i++) await send(bearer(`bad${i}`))
  assertProxied(await send(bearer('good')))
  assert.equal(http.requests.length, 3001)
})

test('D12: an answer about one path is not used for another, nor for another method', async () => {
  const { send, http } = setUp({ introspect_request: true })
  await send(bearer('T', { target: '/a' }))
  await send(bearer('T', { target: '/b' }))
  await send(bearer('T', { target: '/a', method: 'DELETE' }))
  await send(bearer('T', { target: '/a?x=1' }))
  assert.equal(http.requests.length, 3)
})

test('D13 D14: configurations share no answers, not even equal ones', async () => {
  const http = scriptedHttp({ json: { active: true } })
  const shared = sharedObjects()
  const first = setUp({}, 'p1', { http, shared })
  await first.send(bearer())
  await setUp({}, 'p2', { http, shared }).send(bearer())
  assert.equal(http.requests.length, 2)
  const patched = setUp({ custom_claims_forward: ['x'] }, 'p1', { http, shared })
  plugin.close?.(first.state)
  await patched.send(bearer())
  assert.equal(http.requests.length, 3)
})

// The consumer

test('E1 E2: a username finds its consumer; without one the request goes on without', async () => {
  const { send, http } = setUp()
  http.answer({ json: { active: true, username: 'alice', client_id: 'x', scope: 's' } })
  const known = await send(bearer('1'))
  assert.equal(known.request.headers.get('x-consumer-id'), 'c-alice')
  assert.equal(known.request.headers.get('x-consumer-username'), 'alice')
  assert.equal(known.request.headers.get('x-consumer-custom-id'), 'x-1')
  assert.equal(known.request.headers.has('x-anonymous-consumer'), false)
  assert.equal(known.identity.consumer?.id, 'c-alice')
  assert.equal(known.token, '1')
  assert.deepEqual({ ...known.identity.credential, id: null }, { id: null, username: 'alice', client_id: 'x', scope: 's' })
  for (const username of ['nobody', 'Alice', '', 5, null]) {
    http.answer({ json: { active: true, username, scope: 's' } })
    const unknown = await send(bearer(`2${username}`))
    assertProxied(unknown)
    assert.equal(unknown.authenticated, true)
    assert.equal(unknown.identity.consumer, null)
    assert.equal(unknown.request.headers.has('x-consumer-id'), false)
    assert.equal(unknown.request.headers.get('x-credential-scope'), 's')
  }
})

test('E3: client_id is compared with custom_id, never with a username', async () => {
  const { send, http } = setUp({ consumer_by: 'client_id' })
  for (const [client_id, id] of [
    ['x-1', 'c-alice'],
    ['alice', undefined],
  ]) {
    http.answer({ json: { active: true, client_id } })
    assert.equal((await send(bearer(client_id))).identity.consumer?.id, id)
  }
})

test('E4 E5: a change of consumers takes effect while the answer is stored', async () => {
  const { send, http, useConsumers } = setUp({ consumer_by: 'client_id' })
  http.answer({ json: { active: true, client_id: 'x-1' } })
  assert.equal((await send(bearer())).identity.consumer?.id, 'c-alice')
  useConsumers([
    { ...ALICE, custom_id: 'x-2' },
    { ...GUEST, custom_id: 'x-1' },
  ])
  assert.equal((await send(bearer())).identity.consumer?.id, 'c-guest')
  useConsumers([])
  const gone = await send(bearer())
  assert.equal(gone.request.headers.has('x-consumer-id'), false)
  assert.equal(http.requests.length, 1)
})

test('E7: the credential tells tokens of one user apart and is none of them', async () => {
  const { send, http } = setUp()
  http.answer({ json: { active: true, username: 'alice' } })
  const ids = [(await send(bearer('1'))).identity.credential?.id, (await send(bearer('2'))).identity.credential?.id]
  assert.notEqual(ids[0], ids[1])
  for (const id of ids) assert.match(id ?? '', /^[0-9a-f]{64}$/)
})

// The headers

test('F1 F2: every member has its header, numbers in decimal, lists joined', async () => {
  const { send, http, clock } = setUp()
  const exp = clock.nowMs / 1000 + 1_000_000_000
  const claims = {
    scope: 'a b',
    client_id: 'c',
    username: 'u',
    token_type: 'Bearer',
    exp,
    iat: 1,
    nbf: 2,
    sub: 's',
    aud: ['a', 'b'],
    iss: 'https://as',
    jti: 'j',
  }
  http.answer({ json: { active: true, ...claims } })
  const { headers } = (await send(bearer())).request
  assert.deepEqual(headers.toRaw(), [
    ...['X-Credential-Scope', 'a b', 'X-Credential-Client-ID', 'c', 'X-Credential-Identifier', 'u', 'X-Credential-Token-Type', 'Bearer'],
    ...['X-Credential-Exp', '2700000000', 'X-Credential-Iat', '1', 'X-Credential-Nbf', '2', 'X-Credential-Sub', 's'],
    ...['X-Credential-Aud', 'a, b', 'X-Credential-Iss', 'https://as', 'X-Credential-Jti', 'j'],
  ])
})

test('F3 F4 F7: what the caller sent under these names is gone, in any spelling', async () => {
  const { send, http } = setUp({ custom_claims_forward: ['email'] })
  http.answer({ json: { active: true, email: null } })
  const forged = [
    'X-Credential-Scope',
    'x_credential_scope',
    'X-Consumer-Username',
    'X_CONSUMER-ID',
    'X-Anonymous-Consumer',
    'x-credential-EMAIL',
  ]
  const context = await send(bearer('T', { headers: forged.map((name) => [name, 'root'] as const) }))
  assert.deepEqual(context.request.headers.toRaw(), [])
})

test('F5 F6: custom claims in their forms, and none can inject a header', async () => {
  const { send, http } = setUp({ custom_claims_forward: ['email', 'realm_access', 'flags', 'n', 'evil', 'ok', 'we ird', 'client_id'] })
  const claims = {
    email: 'a@b',
    realm_access: { roles: ['x'] },
    flags: ['a', true, 1],
    n: 1.5,
    evil: 'x\r\nX-Admin: 1',
    ok: false,
    'we ird': 'ü',
    client_id: 'c',
  }
  http.answer({ json: { active: true, ...claims } })
  const { headers } = (await send(bearer())).request
  assert.deepEqual(headers.toRaw(), [
    ...[
      'X-Credential-Client-ID',
      'c',
      'X-Credential-email',
      'a@b',
      'X-Credential-realm_access',
      '{"roles":["x"]}',
      'X-Credential-flags',
      'a, true, 1',
    ],
    ...['X-Credential-n', '1.5', 'X-Credential-evil', 'xX-Admin: 1', 'X-Credential-ok', 'false', 'X-Credential-we-ird', '\xc3\xbc'],
  ])
})

test('a value above 8 KiB is not sent and is told once', async () => {
  const { send, http, logged } = setUp()
  http.answer({ json: { active: true, scope: 'x'.repeat(8193), sub: 'x'.repeat(8192) } })
  await send(bearer())
  const { headers } = (await send(bearer())).request
  assert.equal(headers.has('x-credential-scope'), false)
  assert.equal(headers.get('x-credential-sub')?.length, 8192)
  assert.equal(logged.lines.length, 1)
})

// Anonymous

function assertAnonymous(context: RequestContext): void {
  assertProxied(context)
  assert.equal(context.authenticated, false)
  assert.deepEqual([context.identity.consumer?.id, context.identity.credential], ['c-guest', null])
  const raw = context.request.headers.toRaw().filter((_, index) => index % 2 === 0)
  assert.deepEqual(
    raw.filter((name) => name.startsWith('X-')),
    ['X-Consumer-ID', 'X-Consumer-Custom-ID', 'X-Consumer-Username', 'X-Anonymous-Consumer'],
  )
}

test('G1 G2 G3: no token, an inactive one and a failing server go on as the anonymous consumer', async () => {
  const { send, http, logged } = setUp({ anonymous: 'c-guest' })
  assertAnonymous(await send({ headers: [['X-Credential-Scope', 'admin']] }))
  http.answer({ json: { active: false } })
  assertAnonymous(await send(bearer()))
  assert.ok(logged.lines.every(({ level }) => level === 'notice'))
  http.answer(DOWN)
  assertAnonymous(await send(bearer('U')))
  assert.equal(logged.lines.at(-1)?.level, 'error')
  assertAnonymous(await send({ target: '/?access_token=%01' }))
})

test('a token that counts for nothing is hidden from the upstream as well, if tokens are', async () => {
  for (const hide_credentials of [true, false]) {
    const { send, http } = setUp({ anonymous: 'guest', hide_credentials })
    http.answer({ json: { active: false } })
    assert.equal((await send(bearer())).request.headers.has('authorization'), !hide_credentials)
    assert.equal(await bodyOf(await send(post(FORM, 'a=1&access_token=T'))), hide_credentials ? 'a=1' : 'a=1&access_token=T')
    const basic = await send({ headers: [['Authorization', 'Basic dTpw']] })
    assert.equal(basic.request.headers.get('authorization'), 'Basic dTpw')
  }
})

test('G4 G5: the anonymous consumer is found by id or username; without it 500 for who needs it', async () => {
  assertAnonymous(await setUp({ anonymous: 'guest' }).send())
  for (const anonymous of ['g-1', 'nobody']) {
    const { send, logged } = setUp({ anonymous })
    const context = await send()
    assert.deepEqual(answered(context), {
      status: 500,
      body: { message: `anonymous consumer ${anonymous} is configured but doesn't exist`, request_id: context.id },
      challenge: undefined,
    })
    assert.equal(logged.lines.at(-1)?.level, 'error')
    assertProxied(await send(bearer()))
  }
})

test('G6: with anonymous set, a request that is authenticated already is left as it is, without a call', async () => {
  const before = (context: RequestContext): void =>
    context.authenticate({ consumer: ALICE, credential: { id: 'k' }, authenticatedGroups: null }, null)
  const headers: FakeRequest['headers'] = [
    ['X-Consumer-ID', 'c-alice'],
    ['X-Credential-Identifier', 'k'],
    ['X-Credential-Scope', 'forged'],
    ['X_Credential_Email', 'forged'],
  ]
  const first = setUp({ anonymous: 'guest', custom_claims_forward: ['email'] })
  const context = await first.send(bearer('T', { headers }), before)
  assert.equal(first.http.requests.length, 0)
  assert.equal(context.identity.credential?.id, 'k')
  assert.deepEqual(context.request.headers.toRaw(), [
    'Authorization',
    'Bearer T',
    'X-Consumer-ID',
    'c-alice',
    'X-Credential-Identifier',
    'k',
  ])
  const both = setUp()
  assertMissing(await both.send({ headers }, before))
})

test('G7: preflights are let through untouched if so configured, else authenticated', async () => {
  const preflight: FakeRequest = { method: 'OPTIONS', headers: [['Origin', 'https://x']] }
  const through = await setUp({ run_on_preflight: false, anonymous: 'guest' }).send(preflight)
  assertProxied(through)
  assert.deepEqual(through.request.headers.toRaw(), ['Origin', 'https://x'])
  assertMissing(await setUp().send(preflight))
  assertMissing(await setUp({ run_on_preflight: false }).send())
})

test('G8: a gRPC call is answered in trailers', async () => {
  const grpc: FakeRequest = { method: 'POST', headers: [['Content-Type', 'application/grpc']] }
  const { send, http } = setUp()
  const missing = await send(grpc)
  const trailer = (context: RequestContext, name: string) => context.response.headers.get(name)
  assert.equal(missing.response.status, 200)
  assert.equal(trailer(missing, 'content-type'), 'application/grpc')
  assert.equal(trailer(missing, 'grpc-status'), '16')
  assert.equal(trailer(missing, 'grpc-message'), 'The access token is missing')
  assert.equal(missing.exitBody.length, 0)
  http.answer(DOWN)
  assert.equal(trailer(await send(bearer('T', grpc)), 'grpc-status'), '14')
})

// hide_credentials

test('H1 H2 H3 H5: the token is removed where it was found, and nothing else', async () => {
  const { send } = setUp()
  assert.deepEqual((await send(bearer('T', { headers: [['X-A', '1']] }))).request.headers.toRaw(), ['X-A', '1'])
  assert.equal((await send({ target: '/?b=%20&access_token=T&a' })).request.query, '?b=%20&a')
  const form = await send(post(FORM, 'access_token=T&a=1'))
  assert.deepEqual([await bodyOf(form), form.request.bodyLength], ['a=1', 3])
  const json = await send(post('application/json', '{"a":1,"access_token":"T"}'))
  assert.deepEqual([await bodyOf(json), json.request.bodyLength], ['{"a":1}', 7])
  const basic = await send({ headers: [['Authorization', 'Basic dTpw']], target: '/?access_token=T' })
  assert.deepEqual([basic.request.headers.get('authorization'), basic.request.query], ['Basic dTpw', ''])
})

test('H4: with hide_credentials off nothing is removed', async () => {
  const { send } = setUp({ hide_credentials: false })
  assert.equal((await send(bearer())).request.headers.get('authorization'), 'Bearer T')
  assert.equal((await send({ target: '/?access_token=T' })).request.query, '?access_token=T')
  assert.equal(await bodyOf(await send(post(FORM, 'access_token=T'))), 'access_token=T')
})

test('null stands for the default of a field', async () => {
  const { send, http, clock } = setUp({
    ttl: null,
    timeout: null,
    keepalive: null,
    hide_credentials: null,
    run_on_preflight: null,
    anonymous: null,
  })
  assert.equal((await send(bearer('T', { method: 'OPTIONS' }))).request.headers.has('authorization'), false)
  clock.nowMs += 30_000
  await send(bearer())
  assert.equal(http.requests.length, 2)
  assertMissing(await send())
})

test('a stored answer decides without a promise', async () => {
  const { send, state } = setUp()
  await send(bearer())
  assert.equal(plugin.access?.(fakeContext(bearer()), state), undefined)
  assert.equal(plugin.access?.(fakeContext(), state), undefined)
})
