import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CompactEncrypt } from 'jose'
import { importPublicJwk, publicJwks } from '../../../oauth/jwks.ts'
import {
  bearer,
  createWorld,
  DISCOVERY,
  DOWN,
  EC,
  FORM,
  formOf,
  headerOf,
  INTROSPECTION,
  ISSUER,
  JWKS_URI,
  OTHER_RSA,
  post,
  RSA,
  setUpFor,
  signed,
  statusOf,
} from '../provider.fixture.ts'

const setUp = setUpFor('introspection')

// ------------------------------------------------------------------------------------------------------------------------------- the request

test('an opaque token is introspected once at the discovered endpoint, with Basic authentication and a hint; the next request makes no call', async () => {
  const it = setUp()
  assert.equal(statusOf(await it.send(bearer())), 0)
  assert.equal(statusOf(await it.send(bearer())), 0)
  const [request, ...more] = it.requestsTo(INTROSPECTION)
  assert.equal(more.length, 0)
  assert.equal(request?.method, 'POST')
  assert.equal(request?.body, 'token=T&token_type_hint=access_token')
  assert.equal(headerOf(request, 'accept'), 'application/json')
  assert.equal(headerOf(request, 'authorization'), `Basic ${Buffer.from('shop:shop-secret').toString('base64')}`)
})

test('a stored answer is decided about without a promise', async () => {
  const it = setUp()
  await it.send(bearer())
  const { context, done } = it.begin(bearer())
  assert.equal(done, undefined)
  assert.equal(context.authenticated, true)
})

test('a JWT is introspected like an opaque token where bearer is off', async () => {
  const it = setUp()
  const token = await signed({ iss: 'https://elsewhere.example', sub: 'x' })
  assert.equal(statusOf(await it.send(bearer(token))), 0)
  assert.equal(formOf(it.requestsTo(INTROSPECTION)[0])['token'], token)
  assert.equal(it.requestsTo(JWKS_URI).length, 1)
})

test('a configured endpoint wins over the discovered one, and serves while discovery fails', async () => {
  const endpoint = 'https://other.example/introspect'
  const it = setUp({ introspection_endpoint: endpoint })
  it.answer(DISCOVERY, DOWN)
  it.answer(endpoint, { json: { active: true } })
  assert.equal(statusOf(await it.send(bearer())), 0)
  assert.equal(it.requestsTo(INTROSPECTION).length, 0)
  assert.equal(it.requestsTo(endpoint).length, 1)
})

test('without any endpoint the answer is 401, and one warning says why', async () => {
  const it = setUp()
  it.answer(DISCOVERY, { json: { issuer: ISSUER, jwks_uri: JWKS_URI } })
  assert.equal(statusOf(await it.send(bearer())), 401)
  assert.equal(statusOf(await it.send(bearer())), 401)
  assert.equal(it.logged.lines.filter(({ level, message }) => level === 'warn' && /no introspection endpoint/.test(message)).length, 1)
})

test('the older name token_introspection_endpoint is understood', async () => {
  const it = setUp()
  it.answer(DISCOVERY, { json: { issuer: ISSUER, token_introspection_endpoint: INTROSPECTION } })
  assert.equal(statusOf(await it.send(bearer())), 0)
})

test('the parameter of the token and the hint are configurable', async () => {
  const it = setUp({ introspection_token_param_name: 'access_token', introspection_hint: null })
  await it.send(bearer())
  assert.equal(it.requestsTo(INTROSPECTION)[0]?.body, 'access_token=T')
})

test('static parameters, copied arguments and copied headers follow in this order, and nothing of the caller replaces the token', async () => {
  const it = setUp({
    introspection_post_args_names: ['a'],
    introspection_post_args_values: ['1'],
    introspection_post_args_client: ['resource', 'token', 'client_id', 'a', 'absent'],
    introspection_post_args_client_headers: ['X-Tenant'],
  })
  const target = '/?resource=r&resource=s&token=evil&client_id=evil&a=evil'
  await it.send(bearer('T', { target, headers: [['X-Tenant', 'blue']] }))
  assert.equal(it.requestsTo(INTROSPECTION)[0]?.body, 'token=T&token_type_hint=access_token&a=1&resource=r&resource=s&X-Tenant=blue')
})

test('an argument is copied from the body where the query has none, and the body still goes on', async () => {
  const it = setUp({ introspection_post_args_client: ['resource'], bearer_token_param_type: ['header'] })
  const context = await it.send(post(FORM, 'resource=r&x=y', bearer()))
  assert.equal(formOf(it.requestsTo(INTROSPECTION)[0])['resource'], 'r')
  assert.equal((await context.request.readBody(100))?.toString(), 'resource=r&x=y')
})

test('answers are kept apart by everything of the caller that is sent along', async () => {
  const it = setUp({ introspection_post_args_client: ['tenant'], introspection_headers_client: ['X-Tenant'] })
  const variants = ['/?tenant=a', '/?tenant=b', '/'].flatMap((target) => [{ target }, { target, headers: [['X-Tenant', 'x']] as const }])
  for (const variant of variants) await it.send(bearer('T', variant))
  for (const variant of variants) await it.send(bearer('T', variant))
  assert.equal(it.requestsTo(INTROSPECTION).length, 6)
})

test('static headers may replace Authorization; copied ones never replace what authenticates the gateway, nor frame the message', async () => {
  const own = setUp({ introspection_headers_names: ['Authorization', 'X-A'], introspection_headers_values: ['Bearer k', 'b'] })
  await own.send(bearer())
  assert.equal(headerOf(own.requestsTo(INTROSPECTION)[0], 'authorization'), 'Bearer k')
  assert.equal(headerOf(own.requestsTo(INTROSPECTION)[0], 'x-a'), 'b')

  const names = ['X-Trace', 'Authorization', 'Host', 'Content-Type', 'Accept', 'Connection']
  const copying = setUp({ introspection_headers_client: names })
  await copying.send(bearer('T', { headers: names.filter((name) => name !== 'Authorization').map((name) => [name, 'evil'] as const) }))
  const [request] = copying.requestsTo(INTROSPECTION)
  assert.equal(headerOf(request, 'x-trace'), 'evil')
  assert.equal(request?.headers.filter(([, value]) => value === 'evil').length, 1)
  assert.match(headerOf(request, 'authorization') ?? '', /^Basic /)
})

// -------------------------------------------------------------------------------------------------------------------------------- the answer

test('only active: true is active, unless the check is off; active: false refuses all the same', async () => {
  const outcome = async (config: object, json: unknown) => {
    const it = setUp({ ...config })
    it.answer(INTROSPECTION, { json })
    return statusOf(await it.send(bearer()))
  }
  assert.equal(await outcome({}, { active: false }), 401)
  assert.equal(await outcome({}, {}), 401)
  assert.equal(await outcome({}, { active: 'true' }), 401)
  assert.equal(await outcome({ introspection_check_active: false }, {}), 0)
  assert.equal(await outcome({ introspection_check_active: false }, { active: false }), 401)
  assert.equal(await outcome({}, { active: true, token_type: 'Refresh_Token' }), 401)
})

test('exp in the past and nbf ahead refuse, leeway and verify_claims have their say', async () => {
  const world = createWorld()
  const outcome = async (config: object, times: object) => {
    const it = setUp(config as Record<string, unknown>, { world: createWorld() })
    it.answer(INTROSPECTION, { json: { active: true, ...times } })
    return statusOf(await it.send(bearer()))
  }
  assert.equal(await outcome({}, { exp: world.nowS - 1 }), 401)
  assert.equal(await outcome({ leeway: 5 }, { exp: world.nowS - 1 }), 0)
  assert.equal(await outcome({ verify_claims: false }, { exp: world.nowS - 1 }), 0)
  assert.equal(await outcome({}, { nbf: world.nowS + 10 }), 401)
})

test('a provider that fails is 503 with Retry-After and without a challenge, is logged as an error, and nothing is kept', async () => {
  const failures = [
    { status: 500 },
    { status: 302 },
    { status: 401 },
    { status: 403 },
    { status: 429 },
    { text: '[]' },
    { text: '{' },
    { text: '' },
    DOWN,
    { status: 200, text: 'eyJ', headers: { 'content-type': 'application/jwt' } },
  ]
  for (const failure of failures) {
    const it = setUp()
    it.answer(INTROSPECTION, failure)
    const context = await it.send(bearer())
    assert.equal(statusOf(context), 503, JSON.stringify(failure))
    assert.match(context.response.headers.get('retry-after') ?? '', /^\d+$/)
    assert.equal(context.response.headers.get('www-authenticate'), undefined)
    assert.equal(Buffer.from(context.exitBody).toString(), '{"message":"Service unavailable"}')
    assert.equal(it.logged.lines.filter(({ level }) => level === 'error').length, 1)
    it.answer(INTROSPECTION, { json: { active: true } })
    assert.equal(statusOf(await it.send(bearer())), 0)
  }
})

test('204, and 400 or 404 with an error about the token, mean that it is not active', async () => {
  for (const answer of [
    { status: 204 },
    { status: 400, text: '{"error":"invalid_token"}' },
    { status: 404, text: '{"error":"invalid_request"}' },
  ]) {
    const it = setUp()
    it.answer(INTROSPECTION, answer)
    assert.equal(statusOf(await it.send(bearer())), 401)
  }
})

test('a provider that cannot be discovered is 503, and is found within five seconds of its return', async () => {
  const it = setUp()
  it.answer(DISCOVERY, DOWN)
  const context = await it.send(bearer())
  assert.equal(statusOf(context), 503)
  assert.equal(context.response.headers.get('retry-after'), '5')
  it.answer(DISCOVERY, { json: it.metadata })
  assert.equal(statusOf(await it.send(bearer())), 503)
  it.passS(5)
  assert.equal(statusOf(await it.send(bearer())), 0)
})

test('a JWT that is called inactive although its audience lacks the client gets a hint in the log, never the token', async () => {
  const it = setUp()
  it.answer(INTROSPECTION, { json: { active: false } })
  const token = await signed({ iss: ISSUER, aud: 'account' })
  assert.equal(statusOf(await it.send(bearer(token))), 401)
  assert.match(it.logged.text(), /audience does not name the client/)
  assert.doesNotMatch(it.logged.text(), new RegExp(token.slice(-20)))
})

// ----------------------------------------------------------------------------------------------------------------------------- signed answers

const SIGNED = { introspection_accept: 'application/token-introspection+jwt' }
const signedAnswer = async (payload: object, options: Parameters<typeof signed>[1] = {}) => ({
  status: 200,
  text: await signed(payload, { header: { typ: 'token-introspection+jwt' }, ...options }),
  headers: { 'content-type': 'application/token-introspection+jwt' },
})
const payloadOf = (nowS: number, change: object = {}) => ({
  iss: ISSUER,
  aud: 'shop',
  iat: nowS,
  token_introspection: { active: true, sub: 'u1' },
  ...change,
})

test('a signed answer (RFC 9701) is accepted, and its raw form reaches the upstream', async () => {
  const it = setUp({ ...SIGNED, upstream_introspection_jwt_header: 'x-jwt' })
  const answer = await signedAnswer(payloadOf(it.nowS))
  it.answer(INTROSPECTION, answer)
  const context = await it.send(bearer())
  assert.equal(statusOf(context), 0)
  assert.equal(context.request.headers.get('x-jwt'), answer.text)
  assert.equal(headerOf(it.requestsTo(INTROSPECTION)[0], 'accept'), SIGNED.introspection_accept)
})

test('a signed answer with another signature, audience, type or without its content is a fault of the provider, and so is a plain one', async () => {
  const { nowS } = createWorld()
  const bad = [
    await signedAnswer(payloadOf(nowS), { key: { ...OTHER_RSA, kid: RSA.kid } }),
    await signedAnswer(payloadOf(nowS, { aud: 'other' })),
    await signedAnswer(payloadOf(nowS), { header: { typ: 'JWT' } }),
    await signedAnswer(payloadOf(nowS, { token_introspection: undefined })),
    await signedAnswer(payloadOf(nowS, { iss: 'https://evil.example' })),
    { json: { active: true } },
  ]
  for (const [index, answer] of bad.entries()) {
    const it = setUp(SIGNED)
    it.answer(INTROSPECTION, answer)
    assert.equal(statusOf(await it.send(bearer())), 503, String(index))
    it.answer(INTROSPECTION, await signedAnswer(payloadOf(it.nowS)))
    assert.equal(statusOf(await it.send(bearer())), 0)
  }
})

test('ignore_signature for introspection accepts a signed answer of an unknown key', async () => {
  const it = setUp({ ...SIGNED, ignore_signature: ['introspection'] })
  it.answer(INTROSPECTION, await signedAnswer(payloadOf(it.nowS), { key: OTHER_RSA }))
  assert.equal(statusOf(await it.send(bearer())), 0)
})

test('keys that were changed are fetched for a signed answer', async () => {
  const it = setUp({ ...SIGNED, rediscovery_lifetime: 0 })
  it.answer(INTROSPECTION, await signedAnswer(payloadOf(it.nowS), { key: OTHER_RSA }))
  assert.equal(statusOf(await it.send(bearer())), 503)
  it.answer(JWKS_URI, { json: publicJwks([{ jwk: OTHER_RSA }]) })
  assert.equal(statusOf(await it.send(bearer())), 0)
})

test('a server that answers with the access token itself is understood where application/jwt was asked for', async () => {
  const it = setUp({ introspection_accept: 'application/jwt', introspection_check_active: false })
  it.answer(INTROSPECTION, { status: 200, text: await signed({ iss: ISSUER, sub: 'u1' }), headers: { 'content-type': 'application/jwt' } })
  assert.equal(statusOf(await it.send(bearer())), 0)
})

test('a JWT in the answer gives further claims if it holds, and is ignored with a warning if not', async () => {
  const config = { upstream_headers: [{ header: 'x-tier', path: ['tier'] }], upstream_introspection_jwt_header: 'x-jwt' }
  const good = setUp(config)
  const inner = await signed({ iss: ISSUER, tier: 'gold' })
  good.answer(INTROSPECTION, { json: { active: true, jwt: inner } })
  const { request } = await good.send(bearer())
  assert.equal(request.headers.get('x-tier'), 'gold')
  assert.equal(request.headers.get('x-jwt'), inner)

  const bad = setUp(config)
  bad.answer(INTROSPECTION, { json: { active: true, jwt: await signed({ iss: ISSUER, tier: 'gold' }, { key: OTHER_RSA }) } })
  const context = await bad.send(bearer())
  assert.equal(statusOf(context), 0)
  assert.equal(context.request.headers.get('x-tier'), undefined)
  assert.equal(context.request.headers.get('x-jwt'), undefined)
  assert.match(bad.logged.text(), /JWT in an introspection answer is ignored/)
})

test('an encrypted answer is opened with the key of the client', async () => {
  const it = setUp({ ...SIGNED, client_jwk: [EC] })
  const { text } = await signedAnswer(payloadOf(it.nowS))
  const jwe = await new CompactEncrypt(Buffer.from(text))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM', cty: 'JWT' })
    .encrypt(importPublicJwk(EC))
  it.answer(INTROSPECTION, { status: 200, text: jwe, headers: { 'content-type': 'application/token-introspection+jwt' } })
  assert.equal(statusOf(await it.send(bearer())), 0)
})

// ------------------------------------------------------------------------------------------------------------------------------------- cache

const calls = (it: ReturnType<typeof setUp>) => it.requestsTo(INTROSPECTION).length

test('an answer ends with the token, whatever the configured lifetimes', async () => {
  const it = setUp({ cache_ttl: 3600, cache_ttl_min: 60 })
  it.answer(INTROSPECTION, { json: { active: true, exp: it.nowS + 2 } })
  await it.send(bearer())
  it.world.passS(3)
  it.answer(INTROSPECTION, { json: { active: false } })
  assert.equal(statusOf(await it.send(bearer())), 401)
  assert.equal(calls(it), 2)
})

test('an answer without exp lives for cache_ttl, at most for cache_ttl_max, and not at all where the cache is off', async () => {
  const spread = async (config: Record<string, unknown>, seconds: number) => {
    const it = setUp(config)
    await it.send(bearer())
    it.world.passS(seconds)
    await it.send(bearer())
    return calls(it)
  }
  assert.equal(await spread({ cache_ttl: 10 }, 9), 1)
  assert.equal(await spread({ cache_ttl: 10 }, 10), 2)
  assert.equal(await spread({ cache_ttl_max: 1 }, 1), 2)
  assert.equal(await spread({ cache_introspection: false }, 0), 2)
})

test('not active is kept for five seconds, or for cache_ttl_neg', async () => {
  const spread = async (config: Record<string, unknown>, seconds: number) => {
    const it = setUp(config)
    it.answer(INTROSPECTION, { json: { active: false } })
    await it.send(bearer())
    it.world.passS(seconds)
    await it.send(bearer())
    return calls(it)
  }
  assert.equal(await spread({}, 4), 1)
  assert.equal(await spread({}, 5), 2)
  assert.equal(await spread({ cache_ttl_neg: 1 }, 1), 2)
})

test('a stale answer serves only where cache_ttl_resurrect allows it and the provider fails, never beyond exp', async () => {
  const outcome = async (config: Record<string, unknown>, claims: object, seconds: number) => {
    const it = setUp({ cache_ttl: 10, cache_ttl_max: 10, ...config })
    it.answer(INTROSPECTION, { json: { active: true, ...claims } })
    await it.send(bearer())
    it.world.passS(seconds)
    it.answer(INTROSPECTION, DOWN)
    return statusOf(await it.send(bearer()))
  }
  const { nowS } = createWorld()
  assert.equal(await outcome({}, {}, 11), 503)
  assert.equal(await outcome({ cache_ttl_resurrect: 60 }, {}, 11), 0)
  assert.equal(await outcome({ cache_ttl_resurrect: 60 }, {}, 71), 503)
  assert.equal(await outcome({ cache_ttl_resurrect: 60 }, { exp: nowS + 20 }, 21), 503)
})

test('requests at the same time share one call', async () => {
  const it = setUp()
  await it.send(bearer('first'))
  it.http.hold()
  const all = Array.from({ length: 50 }, () => it.send(bearer('shared')))
  it.http.release()
  for (const context of await Promise.all(all)) assert.equal(statusOf(context), 0)
  assert.equal(calls(it), 2)
})

test('answers of one configuration are never used by another', async () => {
  const world = createWorld()
  const one = setUp({}, { world, pluginId: 'p1' })
  const two = setUp({}, { world, pluginId: 'p2' })
  await one.send(bearer())
  await two.send(bearer())
  assert.equal(world.requestsTo(INTROSPECTION).length, 2)
})
