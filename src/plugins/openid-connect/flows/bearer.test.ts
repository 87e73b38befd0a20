import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import { GENERATED_ALGORITHMS, publicJwks } from '../../../oauth/jwks.ts'
import { encodeBase64url } from '../../../util/base64url.ts'
import {
  bearer,
  DISCOVERY,
  DOWN,
  generate,
  INTROSPECTION,
  ISSUER,
  JWKS_URI,
  OTHER_RSA,
  RSA,
  setUpFor,
  signed,
  statusOf,
} from '../provider.fixture.ts'

const setUp = setUpFor('bearer')

/** Status of a request with a JWT of these claims. */
async function statusFor(
  claims: object,
  config: Record<string, unknown> = {},
  options: Parameters<typeof signed>[1] = {},
): Promise<number> {
  const it = setUp(config)
  return statusOf(await it.send(bearer(await signed({ iss: ISSUER, sub: 'u1', ...claims }, options))))
}

const NOW_S = 1_700_000_000

// ------------------------------------------------------------------------------------------------------------------------------- signatures

test('a JWT of the provider authenticates without any call but discovery and keys, and is forwarded as it came', async () => {
  const it = setUp()
  const token = await signed({ iss: ISSUER, sub: 'u1', exp: it.nowS + 60 })
  const context = await it.send(bearer(token))
  assert.equal(statusOf(context), 0)
  assert.equal(context.request.headers.get('authorization'), `Bearer ${token}`)
  assert.equal(context.token, token)
  assert.deepEqual(
    it.http.requests.map(({ url }) => url),
    [DISCOVERY, JWKS_URI],
  )
})

test('a verified JWT is decided about without a promise, and its claims are judged anew', async () => {
  const it = setUp()
  const token = await signed({ iss: ISSUER, exp: it.nowS + 60 })
  await it.send(bearer(token))
  assert.equal(it.begin(bearer(token)).done, undefined)
  it.passS(60)
  assert.equal(statusOf(await it.send(bearer(token))), 401)
})

test('every algorithm verifies with its key, and a changed signature does not', async () => {
  const keys = await Promise.all(GENERATED_ALGORITHMS.map(generate))
  const it = setUp()
  it.answer(JWKS_URI, { json: publicJwks(keys.map((jwk) => ({ jwk }))) })
  for (const key of keys) {
    const token = await signed({ iss: ISSUER }, { key })
    assert.equal(statusOf(await it.send(bearer(token))), 0, key.alg)
    const dot = token.lastIndexOf('.') + 5
    const flipped = token.slice(0, dot) + (token[dot] === 'A' ? 'B' : 'A') + token.slice(dot + 1)
    assert.equal(statusOf(await it.send(bearer(flipped))), 401, key.alg)
  }
})

test('alg none is no algorithm, and HMAC counts only where it is allowed and with the secret of the client', async () => {
  const secret = 's'.repeat(32)
  const hmacToken = (key: string) => {
    const input = `${encodeBase64url('{"alg":"HS256","typ":"JWT"}')}.${encodeBase64url(JSON.stringify({ iss: ISSUER }))}`
    return `${input}.${createHmac('sha256', key).update(input).digest('base64url')}`
  }
  const status = async (token: string, config: object = {}) =>
    statusOf(await setUp({ client_secret: [secret], ...config }).send(bearer(token)))
  const none = `${encodeBase64url('{"alg":"none"}')}.${encodeBase64url(JSON.stringify({ iss: ISSUER }))}.`
  assert.equal(await status(none), 401)
  assert.equal(await status(hmacToken(secret)), 401)
  assert.equal(await status(hmacToken(secret), { enable_hs_signatures: true }), 0)
  assert.equal(await status(hmacToken('x'.repeat(32)), { enable_hs_signatures: true }), 401)
  // A public key used as an HMAC secret.
  assert.equal(await status(hmacToken(JSON.stringify(publicJwks([{ jwk: RSA }]).keys[0])), { enable_hs_signatures: true }), 401)
})

test('a critical extension that is not known refuses, and so does a type that is no access token', async () => {
  assert.equal(await statusFor({}, {}, { header: { crit: ['x'], x: 1 } }), 401)
  assert.equal(await statusFor({}, {}, { header: { typ: 'dpop+jwt' } }), 401)
  assert.equal(await statusFor({}, {}, { header: { typ: 'logout+jwt' } }), 401)
  assert.equal(await statusFor({}, {}, { header: { typ: 'at+jwt' } }), 0)
  assert.equal(await statusFor({}, {}, { header: { typ: 'application/at+jwt' } }), 0)
  assert.equal(await statusFor({}, {}, { header: { typ: undefined } }), 0)
})

test('without verify_signature anything that reads as a JWT is accepted, and a warning says so', async () => {
  const it = setUp({ verify_signature: false })
  assert.equal(statusOf(await it.send(bearer(await signed({ iss: ISSUER }, { key: OTHER_RSA })))), 0)
  assert.match(it.logged.text(), /verify_signature is off/)
})

test('ignore_signature for other grants does not reach bearer tokens', async () => {
  assert.equal(await statusFor({}, { ignore_signature: ['password', 'introspection'] }, { key: OTHER_RSA }), 401)
})

// ----------------------------------------------------------------------------------------------------------------------------------- claims

test('exp, nbf and iat are compared with leeway; numbers in quotes count, other values refuse', async () => {
  assert.equal(await statusFor({ exp: NOW_S - 1 }), 401)
  assert.equal(await statusFor({ exp: NOW_S }), 401)
  assert.equal(await statusFor({ exp: NOW_S - 1 }, { leeway: 5 }), 0)
  assert.equal(await statusFor({ nbf: NOW_S + 10 }), 401)
  assert.equal(await statusFor({ nbf: NOW_S + 10 }, { leeway: 10 }), 0)
  assert.equal(await statusFor({ iat: NOW_S + 10 }), 401)
  assert.equal(await statusFor({ auth_time: NOW_S + 10 }), 401)
  assert.equal(await statusFor({ exp: String(NOW_S + 60) }), 0)
  assert.equal(await statusFor({ exp: String(NOW_S - 60) }), 401)
  assert.equal(await statusFor({ exp: {} }), 401)
})

test('iss is the provider or one of issuers_allowed, where present', async () => {
  const other = 'https://other.example'
  assert.equal(await statusFor({ iss: other }), 401)
  assert.equal(await statusFor({ iss: other }, { issuers_allowed: [other] }), 0)
  assert.equal(await statusFor({}, { issuers_allowed: [other] }), 401)
  assert.equal(await statusFor({ iss: `${ISSUER}/` }), 0)
  assert.equal(await statusFor({ iss: undefined }), 0)
  assert.equal(await statusFor({ iss: undefined }, { issuers_allowed: [other] }), 401)
})

test('the issuer of the discovery document is the one that counts', async () => {
  const it = setUp()
  it.answer(DISCOVERY, { json: { ...it.metadata, issuer: 'https://public.example' } })
  assert.equal(statusOf(await it.send(bearer(await signed({ iss: 'https://public.example' })))), 0)
  assert.equal(statusOf(await it.send(bearer(await signed({ iss: ISSUER })))), 401)
  assert.match(it.logged.text(), /names another issuer/)
})

test('without verify_claims an expired token is accepted, and what is required of it still holds', async () => {
  const off = { verify_claims: false }
  assert.equal(await statusFor({ exp: NOW_S - 60, iss: 'https://other.example' }, off), 0)
  assert.equal(await statusFor({ exp: NOW_S - 60 }, { ...off, scopes_required: ['read'] }), 403)
  assert.equal(await statusFor({ iss: 'https://other.example' }, { ...off, issuers_allowed: [ISSUER] }), 401)
})

test('domains and max_age are asked of hd and auth_time', async () => {
  assert.equal(await statusFor({ hd: 'y.org' }, { domains: ['x.org'] }), 401)
  assert.equal(await statusFor({}, { domains: ['x.org'] }), 401)
  assert.equal(await statusFor({ hd: 'x.org' }, { domains: ['x.org'] }), 0)
  assert.equal(await statusFor({ auth_time: NOW_S - 120 }, { max_age: 60 }), 401)
  assert.equal(await statusFor({}, { max_age: 60 }), 401)
  assert.equal(await statusFor({ auth_time: NOW_S - 30 }, { max_age: 60 }), 0)
})

test('the session cookie must equal the claim where one is configured', async () => {
  const it = setUp({ jwt_session_cookie: 'sess' })
  const token = await signed({ iss: ISSUER, sid: 's-1' })
  assert.equal(statusOf(await it.send(bearer(token))), 401)
  assert.equal(statusOf(await it.send(bearer(token, { headers: [['Cookie', 'a=b; sess=s-2']] }))), 401)
  assert.equal(statusOf(await it.send(bearer(token, { headers: [['Cookie', 'a=b; sess=s-1']] }))), 0)
  const withoutClaim = await signed({ iss: ISSUER })
  assert.equal(statusOf(await it.send(bearer(withoutClaim))), 401)
  assert.equal(statusOf(await it.send(bearer(withoutClaim, { headers: [['Cookie', 'sess=undefined']] }))), 401)
})

test('the log says why and for which issuer, and never shows the token', async () => {
  const it = setUp()
  const token = await signed({ iss: 'https://other.example', exp: 5 })
  await it.send(bearer(token))
  const line = it.logged.lines.find(({ level }) => level === 'notice')
  assert.equal(line?.members['reason'], 'the token is of another issuer')
  assert.equal(line?.members['token_iss'], 'https://other.example')
  assert.equal(line?.members['expected_iss'], ISSUER)
  for (const part of token.split('.')) assert.ok(!it.logged.text().includes(part))
})

// ------------------------------------------------------------------------------------------------------------------------- opaque, introspected

test('an opaque token is refused where only JWTs are accepted, without any call', async () => {
  const it = setUp()
  assert.equal(statusOf(await it.send(bearer('opaque'))), 401)
  assert.equal(it.questions(), 0)
})

test('introspect_jwt_tokens notices revocation, and its answer comes before the claims of the token', async () => {
  const it = setUp({
    introspect_jwt_tokens: true,
    upstream_headers: [{ header: 'x-tier', path: ['tier'] }],
    upstream_access_token_jwk_header: 'x-jwk',
  })
  it.answer(INTROSPECTION, { json: { active: true, tier: 'gold' } })
  const token = await signed({ iss: ISSUER, tier: 'iron' })
  const context = await it.send(bearer(token))
  assert.equal(context.request.headers.get('x-tier'), 'gold')
  assert.equal(JSON.parse(Buffer.from(context.request.headers.get('x-jwk') ?? '', 'base64').toString()).kid, RSA.kid)
  assert.equal(it.begin(bearer(token)).done, undefined)
  it.answer(INTROSPECTION, { json: { active: false } })
  assert.equal(statusOf(await it.send(bearer(await signed({ iss: ISSUER, jti: 'revoked' })))), 401)
})

test('a JWT that does not verify is never introspected by introspect_jwt_tokens', async () => {
  const it = setUp({ introspect_jwt_tokens: true })
  assert.equal(statusOf(await it.send(bearer(await signed({ iss: ISSUER }, { key: OTHER_RSA })))), 401)
  assert.equal(it.requestsTo(INTROSPECTION).length, 0)
})

test('known keys verify while the provider is away; without keys nobody can tell', async () => {
  const it = setUp()
  await it.send(bearer(await signed({ iss: ISSUER })))
  it.answer(DISCOVERY, DOWN)
  it.answer(JWKS_URI, DOWN)
  it.passS(7200)
  assert.equal(statusOf(await it.send(bearer(await signed({ iss: ISSUER, jti: 'later' })))), 0)

  const fresh = setUp()
  fresh.answer(DISCOVERY, DOWN)
  const context = await fresh.send(bearer(await signed({ iss: ISSUER })))
  assert.equal(statusOf(context), 503)
  assert.equal(context.response.headers.get('www-authenticate'), undefined)
})

test('a token verified for one client or configuration counts for no other', async () => {
  const first = setUp({ verify_signature: false })
  const token = await signed({ iss: ISSUER }, { key: OTHER_RSA })
  assert.equal(statusOf(await first.send(bearer(token))), 0)
  const second = setUp({}, { world: first.world, pluginId: 'p1' })
  assert.equal(statusOf(await second.send(bearer(token))), 401)
})
