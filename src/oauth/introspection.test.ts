import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { encodeBase64url } from '../util/base64url.ts'
import { clientSecretBasic } from './client-auth.ts'
import { toHttpRequest } from './form.ts'
import type { HttpResponse } from './http.ts'
import {
  type IntrospectionOutcome,
  interpretIntrospection,
  interpretOidcIntrospection,
  introspectionRequest,
  type OidcIntrospectionRules,
  type SignedAnswerRules,
} from './introspection.ts'
import { sign } from './jwa.ts'
import { createJwkSet, generateSigningJwks, importSigningKey, publicJwks } from './jwks.ts'
import { verifyJws } from './jwt.ts'
import extensions from './vectors/introspection-extension-members.json' with { type: 'json' }
import rfc7662 from './vectors/rfc7662-introspection.json' with { type: 'json' }
import rfc9701 from './vectors/rfc9701-jwt-introspection.json' with { type: 'json' }

const nowS = 1_700_000_000
const answer = (status: number, body: unknown, contentType: string | null = 'application/json'): HttpResponse => ({
  status,
  headers: { get: (name) => (name === 'content-type' ? contentType : null) },
  body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
})
/** An outcome in one line: `active`, `inactive active_false cacheable`, `failure unexpected_status`. */
const summary = (outcome: IntrospectionOutcome): string => {
  if (outcome.kind === 'active') return 'active'
  if (outcome.kind === 'failure') return `failure ${outcome.reason}`
  return `inactive ${outcome.reason}${outcome.cacheable ? ' cacheable' : ''}`
}

describe('requests', () => {
  for (const { source, headers, basic, form, body } of rfc7662.requests) {
    test(`RFC 7662 section ${source}`, () => {
      const request = introspectionRequest({
        endpoint: 'https://server.example.com/introspect',
        token: form.token,
        token_type_hint: form.token_type_hint,
        headers: basic === undefined ? [['Authorization', headers.authorization]] : [],
      })
      const sent = toHttpRequest(basic === undefined ? request : clientSecretBasic(basic.user, basic.password)(request))
      assert.equal(sent.method, 'POST')
      assert.equal(sent.body, body)
      const seen = Object.fromEntries(sent.headers.map(([name, value]) => [name.toLowerCase(), value]))
      assert.deepEqual(seen, { ...headers })
    })
  }

  test('a token arrives byte for byte, whatever it holds', () => {
    const body = toHttpRequest(introspectionRequest({ endpoint: 'https://as/', token: 'a+b/c==&x y' })).body
    assert.equal(body, 'token=a%2Bb%2Fc%3D%3D%26x+y')
  })

  test('an empty or absent hint is not sent, and the parameter of the token may have another name', () => {
    for (const token_type_hint of [undefined, null, '']) {
      const { form } = introspectionRequest({ endpoint: 'https://as/', token: 'T', token_type_hint, tokenParameter: 'access_token' })
      assert.deepEqual(form, [['access_token', 'T']])
    }
  })

  test("the operator's parameters may replace the hint, not the token; a caller's replace nothing", () => {
    const { form } = introspectionRequest({
      endpoint: 'https://as/',
      token: 'T',
      token_type_hint: 'access_token',
      parameters: [
        ['a', '1'],
        ['token_type_hint', 'other'],
        ['token', 'x'],
      ],
      untrustedParameters: [
        ['token', 'evil'],
        ['token_type_hint', 'evil'],
        ['a', 'evil'],
        ['client_id', 'evil'],
        ['resource', 'r'],
      ],
    })
    assert.deepEqual(form, [
      ['token', 'T'],
      ['a', '1'],
      ['token_type_hint', 'other'],
      ['resource', 'r'],
    ])
  })

  test('headers may replace Accept and Authorization, not the content type', () => {
    const { headers } = introspectionRequest({
      endpoint: 'https://as/',
      token: 'T',
      accept: 'application/jwt',
      headers: [
        ['accept', '*/*'],
        ['Content-Type', 'text/plain'],
      ],
    })
    assert.deepEqual(headers, [['accept', '*/*']])
  })
})

describe('a plain client reads', () => {
  const cases: [string, number, unknown, string][] = [
    ['active', 200, { active: true }, 'active'],
    ['not active', 200, { active: false }, 'inactive active_false cacheable'],
    ['no active', 200, {}, 'inactive active_unreadable'],
    ['active as text', 200, { active: 'true' }, 'inactive active_unreadable'],
    ['active as number', 200, { active: 1 }, 'inactive active_unreadable'],
    ['active null', 200, { active: null }, 'inactive active_unreadable'],
    ['active in a prototype', 200, '{"__proto__":{"active":true}}', 'inactive active_unreadable'],
    ['active twice, last true', 200, '{"active":false,"active":true}', 'active'],
    ['active twice, last false', 200, '{"active":true,"active":false}', 'inactive active_false cacheable'],
    ['exp ahead', 200, { active: true, exp: nowS + 1 }, 'active'],
    ['exp now', 200, { active: true, exp: nowS }, 'inactive expired cacheable'],
    ['exp past', 200, { active: true, exp: nowS - 1 }, 'inactive expired cacheable'],
    ['exp as text, ahead', 200, { active: true, exp: String(nowS + 1) }, 'active'],
    ['exp as text, past', 200, { active: true, exp: '1419356238' }, 'inactive expired cacheable'],
    ['exp fractional', 200, { active: true, exp: nowS + 0.5 }, 'active'],
    ['nbf ahead', 200, { active: true, nbf: nowS + 60 }, 'inactive not_yet_valid'],
    ['nbf now', 200, { active: true, nbf: nowS }, 'active'],
    ['exp unreadable', 200, { active: true, exp: 'tomorrow' }, 'failure exp_unreadable'],
    ['exp null', 200, { active: true, exp: null }, 'failure exp_unreadable'],
    ['exp beyond numbers', 200, '{"active":true,"exp":1e400}', 'failure exp_unreadable'],
    ['exp unreadable, not active', 200, { active: false, exp: 'x' }, 'inactive active_false cacheable'],
    ['nbf unreadable', 200, { active: true, nbf: {} }, 'failure nbf_unreadable'],
    ['iat unreadable', 200, { active: true, iat: {} }, 'active'],
    ['a refresh token', 200, { active: true, token_type: 'Refresh_Token' }, 'inactive not_an_access_token'],
    ['an ID token', 200, { active: true, token_use: 'id_token' }, 'inactive not_an_access_token'],
    ['an odd token type', 200, { active: true, token_type: 'access_token' }, 'active'],
    ['an array', 200, [], 'failure not_a_json_object'],
    ['null', 200, 'null', 'failure not_a_json_object'],
    ['a string', 200, '"x"', 'failure not_a_json_object'],
    ['nothing', 200, '', 'failure not_a_json_object'],
    ['half an object', 200, '{"active":tr', 'failure not_a_json_object'],
    ['a JWT', 200, rfc9701.jwt, 'failure not_a_json_object'],
    ['400 invalid_token', 400, { error: 'invalid_token' }, 'inactive error_response'],
    ['400 invalid_request', 400, { error: 'invalid_request' }, 'inactive error_response'],
    ['400 unsupported_token_type', 400, { error: 'unsupported_token_type' }, 'inactive error_response'],
    ['400 invalid_client', 400, { error: 'invalid_client' }, 'failure unexpected_status'],
    ['400 without JSON', 400, 'x', 'failure unexpected_status'],
    ['404 invalid_token', 404, { error: 'invalid_token' }, 'failure unexpected_status'],
    ['401', 401, { error: 'invalid_token' }, 'failure client_refused'],
    ['403', 403, { active: true }, 'failure client_refused'],
    ...[201, 204, 302, 404, 429, 500, 503].map((status): [string, number, unknown, string] => [
      `${status}`,
      status,
      { active: true },
      'failure unexpected_status',
    ]),
  ]
  for (const [name, status, body, expected] of cases) {
    test(`${name}: ${expected}`, () => {
      assert.equal(summary(interpretIntrospection(answer(status, body), nowS)), expected)
    })
  }

  test('the content type has no say', () => {
    assert.equal(summary(interpretIntrospection(answer(200, { active: true }, null), nowS)), 'active')
    assert.equal(summary(interpretIntrospection(answer(200, { active: true }, 'text/plain'), nowS)), 'active')
  })

  test('the examples of RFC 7662 section 2.2, unknown members kept', () => {
    for (const { body, expect } of rfc7662.responses) {
      const then = interpretIntrospection(answer(200, body), 1_419_350_300)
      assert.equal(then.kind === 'active', expect.active)
      if (then.kind === 'active') assert.equal(JSON.stringify(then.claims), JSON.stringify(body))
      assert.notEqual(interpretIntrospection(answer(200, body), nowS).kind, 'active')
    }
  })

  test('members of extensions reach the caller', () => {
    for (const { body, source } of extensions.cases) {
      const outcome = interpretIntrospection(answer(200, { active: true, ...body }), body.exp - 1)
      assert.ok(outcome.kind === 'active', source)
      assert.equal(JSON.stringify(outcome.claims), JSON.stringify({ active: true, ...body }))
    }
  })

  test('arbitrary answers never throw, and are active only when they say so', () => {
    const json = fc
      .dictionary(fc.constantFrom('active', 'exp', 'nbf', 'token_type', '__proto__'), fc.jsonValue())
      .map((value) => JSON.stringify(value))
    fc.assert(
      fc.property(
        fc.integer({ min: 100, max: 599 }),
        fc.oneof(
          fc.uint8Array(),
          json.map((text) => Buffer.from(text)),
        ),
        (status, body) => {
          const outcome = interpretIntrospection({ status, headers: { get: () => null }, body }, nowS)
          if (outcome.kind === 'active') assert.equal(JSON.parse(Buffer.from(body).toString()).active, true)
        },
      ),
    )
  })
})

describe('an OpenID Connect client reads', () => {
  const rules: OidcIntrospectionRules = { nowS, accept: 'application/json', checkActive: true, verifyClaims: true }
  const read = (status: number, body: unknown, more: Partial<OidcIntrospectionRules> = {}, type?: string): string => {
    const outcome = interpretOidcIntrospection(answer(status, body, type), { ...rules, ...more })
    assert.ok(!(outcome instanceof Promise), 'plain JSON is read without a promise')
    return summary(outcome)
  }

  const cases: [string, number, unknown, Partial<OidcIntrospectionRules>, string][] = [
    ['active', 200, { active: true }, {}, 'active'],
    ['not active', 200, { active: false }, {}, 'inactive active_false cacheable'],
    ['not active, unchecked', 200, { active: false }, { checkActive: false }, 'inactive active_false cacheable'],
    ['no active', 200, {}, {}, 'inactive active_unreadable'],
    ['no active, unchecked', 200, {}, { checkActive: false }, 'active'],
    ['active as text', 200, { active: 'true' }, {}, 'inactive active_unreadable'],
    ['active as text, unchecked', 200, { active: 'true' }, { checkActive: false }, 'active'],
    ['204', 204, '', {}, 'inactive no_content cacheable'],
    ['400 invalid_token', 400, { error: 'invalid_token' }, {}, 'inactive error_response'],
    ['404 invalid_request', 404, { error: 'invalid_request' }, {}, 'inactive error_response'],
    ['404', 404, '', {}, 'failure unexpected_status'],
    ['400 invalid_client', 400, { error: 'invalid_client' }, {}, 'failure unexpected_status'],
    ['401', 401, { error: 'invalid_token' }, {}, 'failure client_refused'],
    ['403', 403, '', {}, 'failure client_refused'],
    ['302', 302, { active: true }, {}, 'failure unexpected_status'],
    ['500', 500, { active: true }, {}, 'failure unexpected_status'],
    ['an array', 200, '[]', {}, 'failure not_a_json_object'],
    ['exp past', 200, { active: true, exp: nowS }, {}, 'inactive expired'],
    ['exp past within leeway', 200, { active: true, exp: nowS - 1 }, { leewayS: 5 }, 'active'],
    ['exp past, claims unchecked', 200, { active: true, exp: nowS }, { verifyClaims: false }, 'active'],
    ['nbf ahead', 200, { active: true, nbf: nowS + 10 }, {}, 'inactive not_yet_valid'],
    ['exp unreadable', 200, { active: true, exp: [] }, {}, 'failure exp_unreadable'],
    ['another issuer, none listed', 200, { active: true, iss: 'https://x' }, {}, 'active'],
    [
      'another issuer',
      200,
      { active: true, iss: 'https://x' },
      { issuersAllowed: ['https://as'], verifyClaims: false },
      'inactive wrong_issuer',
    ],
    ['a listed issuer', 200, { active: true, iss: 'https://as/' }, { issuersAllowed: ['https://as'] }, 'active'],
    ['no issuer', 200, { active: true }, { issuersAllowed: ['https://as'] }, 'active'],
    ['a refresh token', 200, { active: true, token_type: 'refresh_token' }, { checkActive: false }, 'inactive not_an_access_token'],
  ]
  for (const [name, status, body, more, expected] of cases) {
    test(`${name}: ${expected}`, () => {
      assert.equal(read(status, body, more), expected)
    })
  }

  test('a JWT that nobody asked for is a failure', () => {
    assert.equal(read(200, { active: true }, {}, 'application/token-introspection+jwt;charset=utf-8'), 'failure unexpected_jwt')
    assert.equal(read(200, { active: true }, {}, 'application/JWT'), 'failure unexpected_jwt')
  })
})

describe('signed answers (RFC 9701)', async () => {
  const [jwk = assert.fail()] = await generateSigningJwks(['RS256'])
  const key = importSigningKey(jwk)
  const keys = createJwkSet([...publicJwks([key]).keys])
  const media = 'application/token-introspection+jwt'
  const signed: SignedAnswerRules = {
    issuers: ['https://as.example.com/'],
    audiences: ['https://rs.example.com/resource'],
    verifySignature: (jws) => verifyJws(jws, { keys }),
  }
  const at = 1_514_797_900
  const rules: OidcIntrospectionRules = { nowS: at, accept: media, checkActive: true, verifyClaims: true, signed }
  const { claims } = rfc9701
  const make = async (payload: object, header: object = {}): Promise<string> => {
    const all = { alg: 'RS256', kid: key.kid, typ: 'token-introspection+jwt', ...header }
    const input = `${encodeBase64url(JSON.stringify(all))}.${encodeBase64url(JSON.stringify(payload))}`
    return `${input}.${encodeBase64url(await sign('RS256', key.key, Buffer.from(input)))}`
  }
  const read = async (
    jwt: string,
    more: Partial<OidcIntrospectionRules> = {},
    type = `${media};charset=utf-8`,
  ): Promise<IntrospectionOutcome> => interpretOidcIntrospection(answer(200, jwt, type), { ...rules, ...more })

  test('the claims of the example are those of token_introspection, and the JWT is handed on', async () => {
    const jwt = await make(claims)
    const outcome = await read(jwt)
    assert.ok(outcome.kind === 'active')
    assert.equal(JSON.stringify(outcome.claims), JSON.stringify(claims.token_introspection))
    assert.equal(outcome.jwt, jwt)
  })

  test('members at the top level have no say', async () => {
    const jwt = await make({ ...claims, active: true, token_introspection: { active: false, sub: 'x' } })
    assert.equal(summary(await read(jwt)), 'inactive active_false cacheable')
  })

  const faults: [string, object, object, string][] = [
    ['typ of an access token', {}, { typ: 'at+jwt' }, 'failure jwt_wrong_typ'],
    ['no typ', {}, { typ: undefined }, 'failure jwt_wrong_typ'],
    ['no iss', { iss: undefined }, {}, 'failure jwt_incomplete'],
    ['no iat', { iat: undefined }, {}, 'failure jwt_incomplete'],
    ['no token_introspection', { token_introspection: undefined, active: true }, {}, 'failure jwt_incomplete'],
    ['token_introspection as text', { token_introspection: 'x' }, {}, 'failure jwt_incomplete'],
    ['another iss', { iss: 'https://evil' }, {}, 'failure jwt_wrong_issuer'],
    ['no aud', { aud: undefined }, {}, 'failure jwt_wrong_audience'],
    ['another aud', { aud: ['https://rs.example.com'] }, {}, 'failure jwt_wrong_audience'],
    ['iat ahead', { iat: at + 1 }, {}, 'failure jwt_time'],
    ['exp past', { exp: at }, {}, 'failure jwt_time'],
    ['another alg', {}, { alg: 'none' }, 'failure jwt_signature'],
    ['another kid', {}, { kid: 'x' }, 'failure jwt_signature'],
    ['crit', {}, { crit: ['x'] }, 'failure jwt_signature'],
  ]
  for (const [name, payload, header, expected] of faults) {
    test(`${name}: ${expected}`, async () => {
      assert.equal(summary(await read(await make({ ...claims, ...payload }, header))), expected)
    })
  }

  test('the published example, signed by a key that is not known, is a failure', async () => {
    assert.equal(summary(await read(rfc9701.jwt)), 'failure jwt_signature')
  })

  test('a result that has expired is inactive, not a failure', async () => {
    assert.equal(summary(await read(await make(claims), { nowS: claims.token_introspection.exp })), 'inactive expired')
  })

  test('an old answer is a failure when an age is set', async () => {
    const jwt = await make(claims)
    assert.equal(summary(await read(jwt, { signed: { ...signed, maxAgeS: at - claims.iat } })), 'active')
    assert.equal(summary(await read(jwt, { signed: { ...signed, maxAgeS: at - claims.iat - 1 } })), 'failure jwt_time')
    assert.equal(summary(await read(jwt, { leewayS: 1, signed: { ...signed, maxAgeS: at - claims.iat - 1 } })), 'active')
  })

  test('plain JSON is a downgrade, whatever it says', async () => {
    assert.equal(summary(await read('{"active":true}', {}, 'application/json')), 'failure jwt_expected')
    assert.equal(summary(await read(await make(claims), {}, 'text/plain')), 'failure jwt_expected')
    assert.equal(summary(await read('{"active":true}')), 'failure jwt_malformed')
  })

  test('for application/jwt an answer without token_introspection is the result itself, and its audience is not compared', async () => {
    const token = await make({ iss: 'https://as.example.com/', aud: 'other', sub: 'x', exp: at + 1 }, { typ: 'at+jwt' })
    const more = { accept: 'application/jwt', checkActive: false } as const
    const outcome = await read(token, more, 'application/jwt')
    assert.ok(outcome.kind === 'active')
    assert.equal(outcome.claims['sub'], 'x')
    assert.equal(outcome.jwt, token)
    assert.equal(summary(await read(token, { accept: 'application/jwt' }, 'application/jwt')), 'inactive active_unreadable')
    assert.equal(summary(await read(token, { ...more, nowS: at + 1 }, 'application/jwt')), 'inactive expired')
    assert.equal(summary(await read(await make({ iss: 'https://evil' }), more, 'application/jwt')), 'failure jwt_wrong_issuer')
  })

  test('for application/jwt an answer with token_introspection is held to RFC 9701', async () => {
    const more = { accept: 'application/jwt' } as const
    assert.equal(summary(await read(await make(claims), more)), 'active')
    assert.equal(summary(await read(await make({ ...claims, aud: 'x' }), more)), 'failure jwt_wrong_audience')
    assert.equal(summary(await read(await make({ ...claims, token_introspection: null, active: true }), more)), 'failure jwt_incomplete')
  })

  test('an encrypted answer is decrypted first, and a failure without a key for it', async () => {
    const jwe = 'aa.bb.cc.dd.ee'
    const jwt = await make(claims)
    assert.equal(summary(await read(jwe)), 'failure jwt_not_decrypted')
    assert.equal(summary(await read(jwe, { signed: { ...signed, decrypt: async () => null } })), 'failure jwt_not_decrypted')
    const decrypt = async (text: string): Promise<string | null> => (text === jwe ? jwt : null)
    assert.equal(summary(await read(jwe, { signed: { ...signed, decrypt } })), 'active')
  })

  test('asking for a JWT without rules for it is a mistake of the program', () => {
    const { signed: _, ...unsigned } = rules
    assert.throws(() => interpretOidcIntrospection(answer(200, '', media), unsigned), TypeError)
  })

  test('arbitrary bodies never throw and are never active', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string(),
          fc.array(fc.base64String(), { maxLength: 5 }).map((parts) => parts.join('.')),
        ),
        async (body) => {
          assert.notEqual((await read(body)).kind, 'active')
        },
      ),
    )
  })
})
