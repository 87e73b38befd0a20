import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HttpRequest } from '../../../oauth/http.ts'
import { publicJwks } from '../../../oauth/jwks.ts'
import {
  basic,
  bearer,
  bodyOf,
  createWorld,
  DISCOVERY,
  DOWN,
  formOf,
  headerOf,
  INTROSPECTION,
  ISSUER,
  JWKS_URI,
  OTHER_RSA,
  RSA,
  type SetUpOptions,
  setUpFor,
  signed,
  statusOf,
  TOKEN,
} from '../provider.fixture.ts'

const setUp = (config: Record<string, unknown> = {}, options: SetUpOptions = {}) => {
  const it = setUpFor('password')(config, options)
  if (options.world === undefined) it.answer(TOKEN, granting({ access_token: 'at-1', expires_in: 300 }))
  return it
}
const granting = (members: object) => ({ json: { token_type: 'Bearer', ...members } })
const calls = (it: { world: ReturnType<typeof createWorld> }) => it.world.requestsTo(TOKEN).length

test('name and password bring a token that takes the place of Authorization; the next request makes no call and no promise', async () => {
  const it = setUp()
  const context = await it.send(basic())
  assert.equal(statusOf(context), 0)
  assert.deepEqual(context.request.headers.all('authorization'), ['Bearer at-1'])
  assert.equal(context.token, 'at-1')
  const [request] = it.requestsTo(TOKEN)
  assert.deepEqual(formOf(request), { grant_type: 'password', username: 'john', password: 'doe', scope: 'openid' })
  assert.match(headerOf(request, 'authorization') ?? '', /^Basic /)
  assert.equal(it.begin(basic()).done, undefined)
  assert.equal(calls(it), 1)
})

test('a pair in the query is used and hidden like one in the header', async () => {
  const it = setUp()
  const context = await it.send({ target: '/?a=1&username=john&password=p%20w&b=2' })
  assert.equal(formOf(it.requestsTo(TOKEN)[0])['password'], 'p w')
  assert.equal(context.request.query, '?a=1&b=2')
})

test('wrong credentials are refused with both challenges and not kept, and right ones after them are good', async () => {
  const it = setUp()
  it.answer(TOKEN, (request) =>
    formOf(request)['password'] === 'doe'
      ? granting({ access_token: 'at-1' })
      : { status: 401, text: '{"error":"invalid_grant","error_description":"no"}' },
  )
  const refused = await it.send(basic('john:wrong'))
  assert.equal(statusOf(refused), 401)
  assert.deepEqual(refused.response.headers.all('www-authenticate'), [
    'Bearer realm="idp.example", error="invalid_token"',
    'Basic realm="idp.example"',
  ])
  assert.match(it.logged.text(), /invalid_grant: no/)
  assert.equal(statusOf(await it.send(basic())), 0)
  assert.equal(statusOf(await it.send(basic('john:wrong'))), 401)
  assert.equal(calls(it), 3)
  for (const secret of ['doe', 'wrong', 'shop-secret', 'at-1']) assert.ok(!it.logged.text().includes(`"${secret}"`))
})

test("a provider's words that echo the request reach neither the log nor the caller", async () => {
  const secrets = ['s3cr:pw &ü', 'header-s3cr', 'argument-s3cr', 'shop-secret']
  const it = setUp({
    display_errors: true,
    token_headers_names: ['X-Key'],
    token_headers_values: ['header-s3cr'],
    token_post_args_names: ['apikey'],
    token_post_args_values: ['argument-s3cr'],
  })
  const echoes: ((request: HttpRequest | undefined) => string)[] = [
    (request) => request?.body ?? '',
    (request) => `${'x'.repeat(250)}${request?.body}`,
    (request) => decodeURIComponent((request?.body ?? '').replaceAll('+', ' ')),
    (request) => JSON.stringify(request?.headers),
    (request) => Buffer.from(formOf(request)['password'] ?? '').toString('base64url'),
  ]
  for (const echo of echoes) {
    for (const member of ['error', 'error_description']) {
      it.answer(TOKEN, (request) => ({ status: 400, text: JSON.stringify({ error: 'invalid_grant', [member]: echo(request) }) }))
      const context = await it.send(basic(`john:${secrets[0]}`))
      assert.equal(statusOf(context), 401)
      const seen = `${it.logged.text()}${JSON.stringify(context.response.headers.toRaw())}${await bodyOf(context)}`
      for (const secret of secrets) {
        for (const spelling of [secret, encodeURIComponent(secret), Buffer.from(secret).toString('base64url')]) {
          assert.ok(!seen.includes(spelling), `${member}: ${spelling}`)
        }
      }
      if (member === 'error_description') assert.match(it.logged.text(), /invalid_grant/)
    }
  }
})

test('scopes, audience and parameters of operator and caller are sent; only scope and audience of the caller replace anything', async () => {
  const it = setUp({
    scopes: ['a', 'b'],
    audience: ['x', 'y'],
    token_post_args_names: ['static'],
    token_post_args_values: ['1'],
    token_post_args_client: ['scope', 'username', 'grant_type', 'client_id', 'extra', 'static'],
    token_headers_names: ['X-A'],
    token_headers_values: ['1'],
    token_headers_client: ['X-B', 'X-A'],
  })
  const target = '/?scope=c&username=evil&grant_type=evil&client_id=evil&static=evil'
  await it.send(
    basic('john:doe', {
      target,
      headers: [
        ['X-B', '2'],
        ['X-A', 'evil'],
        ['Extra', 'e'],
      ],
    }),
  )
  const [request] = it.requestsTo(TOKEN)
  const form = new URLSearchParams(request?.body)
  assert.deepEqual(form.getAll('audience'), ['x', 'y'])
  assert.deepEqual(form.getAll('scope'), ['c'])
  assert.deepEqual(form.getAll('username'), ['john'])
  assert.deepEqual(form.getAll('grant_type'), ['password'])
  assert.deepEqual(form.getAll('static'), ['1'])
  assert.deepEqual(form.getAll('extra'), ['e'])
  assert.equal(form.has('client_id'), false)
  assert.equal(form.has('redirect_uri'), false)
  assert.deepEqual([headerOf(request, 'x-a'), headerOf(request, 'x-b')], ['1', '2'])
})

test('without scopes none is sent', async () => {
  for (const scopes of [null, []]) {
    const it = setUp({ scopes })
    await it.send(basic())
    assert.equal(formOf(it.requestsTo(TOKEN)[0])['scope'], undefined)
  }
})

test('tokens that have already ended serve their own request and are not kept', async () => {
  for (const expires_in of [0, -5]) {
    const it = setUp()
    it.answer(TOKEN, granting({ access_token: 'at-1', expires_in, refresh_token: 'r' }))
    assert.equal(statusOf(await it.send(basic())), 0)
    assert.equal(statusOf(await it.send(basic())), 0)
    assert.deepEqual(
      it.requestsTo(TOKEN).map((request) => formOf(request)['grant_type']),
      ['password', 'password'],
    )
  }
})

test('tokens live as long as they say, else as the JWT says, else for cache_ttl; bounded by cache_ttl_max and shortened by leeway', async () => {
  const spread = async (members: object, seconds: number, config: Record<string, unknown> = {}) => {
    const it = setUp(config)
    it.answer(TOKEN, granting(members))
    await it.send(basic())
    it.passS(seconds)
    await it.send(basic())
    return calls(it)
  }
  const { nowS } = createWorld()
  const jwt = await signed({ iss: ISSUER, exp: nowS + 20 })
  assert.equal(await spread({ access_token: 'a', expires_in: 5 }, 4), 1)
  assert.equal(await spread({ access_token: 'a', expires_in: 5 }, 5), 2)
  assert.equal(await spread({ access_token: 'a', expires_in: '5' }, 5), 2)
  assert.equal(await spread({ access_token: jwt }, 19), 1)
  assert.equal(await spread({ access_token: 'a' }, 9, { cache_ttl: 10 }), 1)
  assert.equal(await spread({ access_token: 'a' }, 10, { cache_ttl: 10 }), 2)
  assert.equal(await spread({ access_token: 'a', expires_in: 300 }, 1, { cache_ttl_max: 1 }), 2)
  assert.equal(await spread({ access_token: 'a', expires_in: 5 }, 4, { leeway: 2 }), 2)
  assert.equal(await spread({ access_token: 'a', expires_in: 5 }, 0, { cache_tokens: false }), 2)
})

test('an ended token is refreshed where a refresh token is known; where the provider refuses, the password is asked for its worth', async () => {
  const it = setUp({ upstream_refresh_token_header: 'x-refresh' })
  it.answer(TOKEN, granting({ access_token: 'at-1', expires_in: 5, refresh_token: 'r-1' }))
  await it.send(basic())
  it.passS(6)
  it.answer(TOKEN, granting({ access_token: 'at-2', expires_in: 5 }))
  const second = await it.send(basic())
  assert.deepEqual(formOf(it.requestsTo(TOKEN)[1]), { grant_type: 'refresh_token', refresh_token: 'r-1', scope: 'openid' })
  assert.equal(second.request.headers.get('authorization'), 'Bearer at-2')
  // No new refresh token came: the old one stays.
  assert.equal(second.request.headers.get('x-refresh'), 'r-1')
  it.passS(6)
  it.answer(TOKEN, (request) =>
    formOf(request)['grant_type'] === 'password' ? granting({ access_token: 'at-3' }) : { status: 400, text: '{"error":"invalid_grant"}' },
  )
  assert.equal((await it.send(basic())).request.headers.get('authorization'), 'Bearer at-3')
  assert.deepEqual(
    it.requestsTo(TOKEN).map((request) => formOf(request)['grant_type']),
    ['password', 'refresh_token', 'refresh_token', 'password'],
  )
})

test('a token that cache_ttl_max ends before its time is granted anew, not refreshed', async () => {
  const it = setUp({ cache_ttl_max: 1 })
  it.answer(TOKEN, granting({ access_token: 'at-1', expires_in: 300, refresh_token: 'r-1' }))
  await it.send(basic())
  it.passS(1)
  await it.send(basic())
  assert.deepEqual(
    it.requestsTo(TOKEN).map((request) => formOf(request)['grant_type']),
    ['password', 'password'],
  )
})

test('a JWT from the token endpoint is verified, and ignore_signature for password skips its signature only', async () => {
  const jwt = await signed({ iss: ISSUER, sub: 'u1', scope: 'read' }, { key: OTHER_RSA })
  const strict = setUp()
  strict.answer(TOKEN, granting({ access_token: jwt }))
  assert.equal(statusOf(await strict.send(basic())), 401)
  const lax = setUp({ ignore_signature: ['password'], auth_methods: ['password', 'bearer'] })
  lax.answer(TOKEN, granting({ access_token: jwt }))
  assert.equal(statusOf(await lax.send(basic())), 0)
  assert.equal(statusOf(await lax.send(bearer(jwt))), 401)
  assert.equal(lax.logged.lines.filter(({ message }) => /signatures of tokens from these grants/.test(message)).length, 1)
})

test('an ID token must hold and belong to the access token and the client', async () => {
  const claims = (nowS: number) => ({ iss: ISSUER, aud: 'shop', sub: 'u1', exp: nowS + 60 })
  const outcome = async (idClaims: object, options: Parameters<typeof signed>[1] = {}, config: Record<string, unknown> = {}) => {
    const it = setUp(config)
    it.answer(TOKEN, granting({ access_token: 'at-1', id_token: await signed({ ...claims(it.nowS), ...idClaims }, options) }))
    return statusOf(await it.send(basic()))
  }
  assert.equal(await outcome({}), 0)
  assert.equal(await outcome({}, { key: OTHER_RSA }), 401)
  assert.equal(await outcome({}, { key: OTHER_RSA }, { ignore_signature: ['password'] }), 0)
  assert.equal(await outcome({ aud: 'other' }), 401)
  assert.equal(await outcome({ at_hash: 'AAAA' }), 401)
  assert.equal(await outcome({ exp: 1 }), 401)
})

test('a stored token of a retired key is asked for anew once', async () => {
  const it = setUp({ rediscovery_lifetime: 0 })
  it.answer(TOKEN, granting({ access_token: await signed({ iss: ISSUER, sub: 'u1' }), expires_in: 300 }))
  assert.equal(statusOf(await it.send(basic())), 0)
  it.answer(JWKS_URI, { json: publicJwks([{ jwk: OTHER_RSA }]) })
  it.answer(TOKEN, granting({ access_token: await signed({ iss: ISSUER, sub: 'u1' }, { key: OTHER_RSA }), expires_in: 300 }))
  // A token with an unknown key makes the plugin look for newer keys.
  const other = setUp({ auth_methods: ['bearer'], rediscovery_lifetime: 0 }, { world: it.world, pluginId: 'p2' })
  assert.equal(statusOf(await other.send(bearer(await signed({ iss: ISSUER }, { key: OTHER_RSA })))), 0)
  assert.equal(statusOf(await it.send(basic())), 0)
  assert.equal(calls(it), 2)
})

test('a provider that fails is 503 without a challenge, and so is one that refuses the gateway itself', async () => {
  const failures = [
    { status: 503 },
    { status: 500 },
    { status: 429 },
    { text: '<html>' },
    { json: {} },
    DOWN,
    { status: 401, text: '{"error":"invalid_client"}' },
  ]
  for (const failure of failures) {
    const it = setUp()
    it.answer(TOKEN, failure)
    const context = await it.send(basic())
    assert.equal(statusOf(context), 503, JSON.stringify(failure))
    assert.ok(context.response.headers.has('retry-after'))
    assert.equal(context.response.headers.get('www-authenticate'), undefined)
    it.answer(TOKEN, granting({ access_token: 'at-1' }))
    assert.equal(statusOf(await it.send(basic())), 0)
  }
})

test('a method that the configuration cannot carry out is our own fault: 500', async () => {
  const it = setUp({ client_secret: null, token_endpoint_auth_method: 'client_secret_basic' })
  assert.equal(statusOf(await it.send(basic())), 500)
})

test('requests with one pair at the same time make one call', async () => {
  const it = setUp()
  await it.send(basic('first:x'))
  it.http.hold()
  const all = Array.from({ length: 20 }, () => it.send(basic()))
  it.http.release()
  for (const context of await Promise.all(all)) assert.equal(statusOf(context), 0)
  assert.equal(calls(it), 2)
})

test('configurations share tokens where their salts are equal, apart from scopes that the caller or the operator asks for', async () => {
  const twoRequests = async (one: Record<string, unknown>, two: Record<string, unknown>) => {
    const world = createWorld()
    world.answer(TOKEN, granting({ access_token: 'at-1', expires_in: 300 }))
    assert.equal(statusOf(await setUp(one, { world, pluginId: 'p1' }).send(basic())), 0)
    assert.equal(statusOf(await setUp(two, { world, pluginId: 'p2' }).send(basic())), 0)
    return world.requestsTo(TOKEN).length === 2
  }
  const salted = { cache_tokens_salt: 'same' }
  assert.equal(await twoRequests(salted, salted), false)
  assert.equal(await twoRequests({}, {}), true)
  assert.equal(await twoRequests({ ...salted, client_id: ['a'] }, { ...salted, client_id: ['b'] }), true)
  const scoped = (scopes: string[], token_cache_key_include_scope: boolean) => ({ ...salted, scopes, token_cache_key_include_scope })
  assert.equal(await twoRequests(scoped(['a'], false), scoped(['b'], false)), false)
  assert.equal(await twoRequests(scoped(['a'], true), scoped(['b'], true)), true)

  for (const token_cache_key_include_scope of [true, false]) {
    const it = setUp({ token_post_args_client: ['scope'], token_cache_key_include_scope })
    await it.send(basic('john:doe', { target: '/?scope=a' }))
    await it.send(basic('john:doe', { target: '/?scope=b' }))
    assert.equal(calls(it), 2)
  }
})

test('tokens survive a change of the configuration with the same salt, but not its end, nor the emptying of the caches', async () => {
  const config = { cache_tokens_salt: 'same' }
  const first = setUp(config)
  await first.send(basic())
  const changed = setUp({ ...config, scopes_claim: ['scp'] }, { world: first.world })
  first.close()
  await changed.send(basic())
  assert.equal(calls(first), 1)
  // The same configuration once more: that is how the caches are emptied.
  const again = setUp({ ...config, scopes_claim: ['scp'] }, { world: first.world })
  changed.close()
  await again.send(basic())
  assert.equal(calls(first), 2)
  again.close()
  await setUp(config, { world: first.world }).send(basic())
  assert.equal(calls(first), 3)
})

test('of an opaque token only the granted scope is known; a requirement of another claim fails', async () => {
  const it = setUp({ scopes_required: ['read'] })
  it.answer(TOKEN, granting({ access_token: 'at-1', scope: 'read write' }))
  assert.equal(statusOf(await it.send(basic())), 0)
  const same = setUp({ scopes_required: ['read'], scopes: ['read'] })
  assert.equal(statusOf(await same.send(basic())), 0)
  const narrow = setUp({ scopes_required: ['read'] })
  narrow.answer(TOKEN, granting({ access_token: 'at-1', scope: 'write' }))
  assert.equal(statusOf(await narrow.send(basic())), 403)
  assert.equal(statusOf(await setUp({ audience_required: ['a'] }).send(basic())), 403)
})

test('claims of the access token come before those of the ID token', async () => {
  const it = setUp({
    upstream_headers: [
      { header: 'x-a', path: ['a'] },
      { header: 'x-b', path: ['b'] },
    ],
    upstream_id_token_jwk_header: 'x-jwk',
  })
  const idToken = await signed({ iss: ISSUER, aud: 'shop', sub: 'u', exp: it.nowS + 60, a: 'id', b: 'id' })
  it.answer(TOKEN, granting({ access_token: await signed({ iss: ISSUER, a: 'access' }), id_token: idToken }))
  const { request } = await it.send(basic())
  assert.deepEqual([request.headers.get('x-a'), request.headers.get('x-b')], ['access', 'id'])
  const jwk = JSON.parse(Buffer.from(request.headers.get('x-jwk') ?? '', 'base64').toString())
  assert.equal(jwk.kid, RSA.kid)
  assert.equal(jwk.d, undefined)
})

test('with introspection and password, a bearer JWT is introspected and a pair brings a token', async () => {
  const it = setUp({ auth_methods: ['introspection', 'password'] })
  const jwt = await signed({ iss: ISSUER, sub: 'u1' })
  it.answer(TOKEN, granting({ access_token: jwt, expires_in: 300 }))
  const first = await it.send(basic())
  assert.equal(first.request.headers.get('authorization'), `Bearer ${jwt}`)
  assert.equal(it.requestsTo(INTROSPECTION).length, 0)
  assert.equal(statusOf(await it.send(bearer(jwt))), 0)
  assert.equal(it.requestsTo(INTROSPECTION).length, 1)
})

test('a configured token endpoint serves without discovery', async () => {
  const it = setUp({ token_endpoint: TOKEN })
  it.answer(DISCOVERY, DOWN)
  assert.equal(statusOf(await it.send(basic())), 0)
})
