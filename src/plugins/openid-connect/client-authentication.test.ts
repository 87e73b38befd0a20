import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HttpRequest } from '../../oauth/http.ts'
import { createJwkSet, generateSigningJwks, publicJwk } from '../../oauth/jwks.ts'
import { verifyJwt } from '../../oauth/jwt.ts'
import {
  basic,
  bearer,
  DISCOVERY,
  EC,
  formOf,
  headerOf,
  INTROSPECTION,
  ISSUER,
  OTHER_RSA,
  type PrivateJwk,
  RSA,
  setUp as setUpPlugin,
  statusOf,
  TOKEN,
} from './provider.fixture.ts'

const SECRET = 'a-secret-that-is-long-enough-for-hs256'

function setUp(config: Record<string, unknown> = {}) {
  const it = setUpPlugin({ auth_methods: ['introspection', 'password'], client_secret: [SECRET], ...config })
  it.answer(TOKEN, { json: { access_token: 'at-1' } })
  return it
}

/** One introspection and one token request. */
async function bothRequests(config: Record<string, unknown>): Promise<[HttpRequest, HttpRequest]> {
  const it = setUp(config)
  assert.equal(statusOf(await it.send(bearer())), 0)
  assert.equal(statusOf(await it.send(basic())), 0)
  const [[introspection], [token]] = [it.requestsTo(INTROSPECTION), it.requestsTo(TOKEN)]
  assert.ok(introspection !== undefined && token !== undefined)
  return [introspection, token]
}

/** Claims of an assertion that verifies. */
function assertionOf(request: HttpRequest, key: PrivateJwk | string) {
  const form = formOf(request)
  assert.equal(form['client_assertion_type'], 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
  assert.equal(form['client_id'], undefined)
  assert.equal(headerOf(request, 'authorization'), undefined)
  const keys = createJwkSet(typeof key === 'string' ? [] : [publicJwk(key) ?? {}])
  const verified = verifyJwt(form['client_assertion'] ?? '', {
    keys,
    typ: 'any',
    claims: { nowS: 1_700_000_000, issuers: ['shop'], audiences: [ISSUER], required: ['sub', 'jti', 'iat', 'exp'] },
    secret: typeof key === 'string' ? key : undefined,
  })
  assert.ok(verified.ok, JSON.stringify(verified))
  return verified
}

test('client_secret_basic sends identifier and secret as they are configured', async () => {
  const it = setUp({ client_secret: ['a%2Bb'], client_auth: ['client_secret_basic'] })
  await it.send(bearer())
  const [request] = it.requestsTo(INTROSPECTION)
  assert.equal(headerOf(request, 'authorization'), `Basic ${Buffer.from('shop:a%2Bb').toString('base64')}`)
  assert.equal(formOf(request)['client_id'], undefined)
})

test('client_secret_post and none are parameters of the form', async () => {
  for (const request of await bothRequests({ client_auth: ['client_secret_post'] })) {
    assert.equal(formOf(request)['client_id'], 'shop')
    assert.equal(formOf(request)['client_secret'], SECRET)
    assert.equal(headerOf(request, 'authorization'), undefined)
  }
  for (const request of await bothRequests({ client_auth: ['none'] })) {
    assert.equal(formOf(request)['client_id'], 'shop')
    assert.equal(formOf(request)['client_secret'], undefined)
  }
})

test('client_secret_jwt and private_key_jwt are assertions for one audience, the issuer, each with an identifier of its own', async () => {
  const methods: [Record<string, unknown>, PrivateJwk | string][] = [
    [{ client_auth: ['client_secret_jwt'] }, SECRET],
    [{ client_auth: ['private_key_jwt'], client_jwk: [OTHER_RSA] }, OTHER_RSA],
    [{ client_auth: ['private_key_jwt'], client_jwk: [EC] }, EC],
  ]
  for (const [config, key] of methods) {
    const [one, two] = (await bothRequests(config)).map((request) => assertionOf(request, key).payload)
    assert.equal(one?.['aud'], ISSUER)
    assert.equal(one?.['sub'], 'shop')
    assert.notEqual(one?.['jti'], two?.['jti'])
  }
})

test('without a key of the client, private_key_jwt signs with the generated one for its algorithm', async () => {
  for (const alg of ['RS256', 'ES256', 'EdDSA'] as const) {
    const it = setUp({ client_secret: null, client_auth: ['private_key_jwt'], ...(alg === 'RS256' ? {} : { client_alg: [alg] }) })
    const keys = await generateSigningJwks(['RS256', 'ES256', 'EdDSA'])
    it.world.objects.set('jwks\ncurrent', { keys })
    assert.equal(statusOf(await it.send(bearer())), 0)
    const key = keys.find((jwk) => jwk['alg'] === alg)
    const { header } = assertionOf(it.requestsTo(INTROSPECTION)[0] as HttpRequest, { kid: '', alg, ...key })
    assert.equal(header['kid'], key?.['kid'])
  }
})

test('new generated keys sign from the next request on', async () => {
  const it = setUp({ client_secret: null, client_auth: ['private_key_jwt'], cache_introspection: false })
  it.world.objects.set('jwks\ncurrent', { keys: [RSA] })
  await it.send(bearer())
  it.world.objects.set('jwks\ncurrent', { keys: [OTHER_RSA] })
  await it.send(bearer())
  const [one, two] = it.requestsTo(INTROSPECTION)
  assertionOf(one as HttpRequest, RSA)
  assertionOf(two as HttpRequest, OTHER_RSA)
})

test('generated keys count only where private_key_jwt is named', async () => {
  const it = setUp()
  it.world.objects.set('jwks\ncurrent', { keys: [RSA] })
  it.answer(DISCOVERY, { json: { ...it.metadata, token_endpoint_auth_methods_supported: ['private_key_jwt', 'client_secret_post'] } })
  await it.send(bearer())
  assert.equal(formOf(it.requestsTo(INTROSPECTION)[0])['client_secret'], SECRET)
})

test('the method of an endpoint wins over that of the client', async () => {
  const [introspection, token] = await bothRequests({
    client_auth: ['client_secret_basic'],
    introspection_endpoint_auth_method: 'client_secret_post',
  })
  assert.equal(formOf(introspection)['client_secret'], SECRET)
  assert.match(headerOf(token, 'authorization') ?? '', /^Basic /)
})

test('a named method that cannot be carried out is our own fault and never gives way to a weaker one', async () => {
  for (const config of [
    { client_secret: null, client_auth: ['client_secret_post'] },
    { client_auth: ['private_key_jwt'] },
    { client_secret: ['short'], client_auth: ['client_secret_jwt'] },
  ]) {
    const it = setUp(config)
    const context = await it.send(bearer())
    assert.equal(statusOf(context), 500)
    assert.equal(Buffer.from(context.exitBody).toString(), '{"message":"An unexpected error occurred"}')
    assert.equal(it.requestsTo(INTROSPECTION).length, 0)
    assert.ok(it.logged.lines.some(({ level }) => level === 'error'))
  }
})

test('a client without a secret is a public one; without an identifier nothing is added', async () => {
  const open = setUp({ client_secret: null })
  await open.send(bearer())
  assert.equal(open.requestsTo(INTROSPECTION)[0]?.body, 'token=T&token_type_hint=access_token&client_id=shop')
  const nobody = setUp({ client_id: null, client_secret: null })
  await nobody.send(bearer())
  assert.equal(nobody.requestsTo(INTROSPECTION)[0]?.body, 'token=T&token_type_hint=access_token')
})

test('each client signs with its own key', async () => {
  const it = setUp({ client_id: ['other', 'shop'], client_auth: ['private_key_jwt'], client_jwk: [RSA, OTHER_RSA] })
  await it.send(bearer('T', { target: '/?client_id=shop' }))
  assertionOf(it.requestsTo(INTROSPECTION)[0] as HttpRequest, OTHER_RSA)
})
