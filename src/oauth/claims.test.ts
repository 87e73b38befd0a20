import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  audiencesOf,
  type ClaimRules,
  checkClaims,
  checkIdToken,
  checkValidity,
  halfHash,
  type IdTokenRules,
  numericDate,
  sameIssuer,
} from './claims.ts'
import { type JsonObject, parseJsonObject } from './json.ts'

const nowS = 1_700_000_000
const read = (value: unknown): JsonObject => parseJsonObject(JSON.stringify(value)) ?? assert.fail('not a JSON object')

test('a time is a finite number, or text that holds one', () => {
  assert.equal(numericDate(undefined), undefined)
  assert.equal(numericDate(1.5), 1.5)
  assert.equal(numericDate('1419356238'), 1_419_356_238)
  assert.equal(numericDate('1419356238.25'), 1_419_356_238.25)
  for (const value of [null, true, '', ' 1', '1 ', 'x', '0x10', 'Infinity', 'NaN', '1e400', [], {}, [1], Number.POSITIVE_INFINITY]) {
    assert.equal(numericDate(value), null, JSON.stringify(value))
  }
})

test('a number that JSON cannot hold (1e400) is no time', () => {
  assert.equal(checkValidity(parseJsonObject('{"exp":1e400}') ?? assert.fail(), nowS), 'exp_unreadable')
})

describe('exp and nbf', () => {
  const cases: [object, number, string | null][] = [
    [{}, 0, null],
    [{ exp: nowS + 1 }, 0, null],
    [{ exp: nowS + 0.5 }, 0, null],
    [{ exp: nowS }, 0, 'expired'],
    [{ exp: nowS - 1 }, 0, 'expired'],
    [{ exp: nowS - 1 }, 5, null],
    [{ exp: nowS - 5 }, 5, 'expired'],
    [{ exp: String(nowS + 1) }, 0, null],
    [{ exp: String(nowS - 1) }, 0, 'expired'],
    [{ exp: {} }, 0, 'exp_unreadable'],
    [{ exp: null }, 0, 'exp_unreadable'],
    [{ nbf: nowS }, 0, null],
    [{ nbf: nowS + 10 }, 0, 'not_yet_valid'],
    [{ nbf: nowS + 10 }, 10, null],
    [{ nbf: [] }, 0, 'nbf_unreadable'],
  ]
  for (const [claims, leewayS, expected] of cases) {
    test(`${JSON.stringify(claims)} with leeway ${leewayS}: ${expected ?? 'valid'}`, () => {
      assert.equal(checkValidity(read(claims), nowS, leewayS), expected)
    })
  }
})

test('issuers are equal exactly, apart from one slash at the end', () => {
  assert.ok(sameIssuer('https://as', 'https://as/'))
  for (const other of ['https://as//', 'https://AS', 'https://as:443', 'http://as', 'https://as/x'])
    assert.ok(!sameIssuer('https://as', other), other)
})

test('aud is a text or an array of texts', () => {
  assert.deepEqual(audiencesOf(read({ aud: 'a' })), ['a'])
  assert.deepEqual(audiencesOf(read({ aud: ['a', 1, 'b'] })), ['a', 'b'])
  assert.deepEqual(audiencesOf(read({ aud: { a: 1 } })), [])
})

describe('claims of an access token', () => {
  const rules: ClaimRules = { nowS, issuers: ['https://as'] }
  const check = (claims: object, more: Partial<ClaimRules> = {}) => checkClaims(read(claims), { ...rules, ...more })

  test('what is absent is not checked, unless it is required', () => {
    assert.equal(check({}), null)
    assert.equal(check({}, { required: ['iss'] }), 'claim_missing')
  })

  test('iss names an allowed issuer', () => {
    assert.equal(check({ iss: 'https://as/' }), null)
    assert.equal(check({ iss: 'https://other' }), 'wrong_issuer')
    assert.equal(check({ iss: ['https://as'] }), 'wrong_issuer')
    assert.equal(check({ iss: 'https://other' }, { issuers: null }), null)
    assert.equal(check({ iss: 'https://as' }, { issuers: [] }), 'wrong_issuer')
  })

  test('iat and auth_time do not lie in the future', () => {
    assert.equal(check({ iat: nowS, auth_time: nowS }), null)
    assert.equal(check({ iat: nowS + 1 }), 'issued_in_future')
    assert.equal(check({ auth_time: nowS + 1 }), 'issued_in_future')
    assert.equal(check({ iat: nowS + 1 }, { leewayS: 1 }), null)
    assert.equal(check({ iat: 'x' }), 'iat_unreadable')
    assert.equal(check({ auth_time: {} }), 'auth_time_unreadable')
  })

  test('audiences and hosted domains are compared when rules are set', () => {
    assert.equal(check({ aud: ['a', 'b'] }, { audiences: ['b'] }), null)
    assert.equal(check({ aud: 'a/' }, { audiences: ['a'] }), 'wrong_audience')
    assert.equal(check({}, { audiences: ['a'] }), 'wrong_audience')
    assert.equal(check({ hd: 'x.org' }, { domains: ['x.org'] }), null)
    assert.equal(check({ hd: 'y.org' }, { domains: ['x.org'] }), 'wrong_domain')
    assert.equal(check({}, { domains: ['x.org'] }), 'wrong_domain')
  })

  test('with a maximum age auth_time must be there and recent', () => {
    assert.equal(check({ auth_time: nowS - 60 }, { maxAgeS: 60 }), null)
    assert.equal(check({ auth_time: nowS - 61 }, { maxAgeS: 60 }), 'authentication_too_old')
    assert.equal(check({ auth_time: nowS - 61 }, { maxAgeS: 60, leewayS: 1 }), null)
    assert.equal(check({}, { maxAgeS: 60 }), 'authentication_too_old')
  })
})

describe('claims of an ID token', () => {
  const rules: IdTokenRules = { nowS, issuers: ['https://as'], clientId: 'me' }
  const good = { iss: 'https://as', exp: nowS + 60, aud: 'me' }
  const check = (claims: object, more: Partial<IdTokenRules> = {}, alg = 'RS256') => checkIdToken(read(claims), { ...rules, ...more }, alg)

  test('iss, exp and aud are required', () => {
    assert.equal(check(good), null)
    assert.equal(check({ ...good, iss: undefined }), 'claim_missing')
    assert.equal(check({ ...good, exp: undefined }), 'claim_missing')
    assert.equal(check({ ...good, aud: undefined }), 'wrong_audience')
    assert.equal(check({ ...good, aud: 'other' }), 'wrong_audience')
  })

  test('with several audiences, or when it is present, azp is the client', () => {
    assert.equal(check({ ...good, aud: ['me', 'x'] }), 'wrong_azp')
    assert.equal(check({ ...good, aud: ['me', 'x'], azp: 'me' }), null)
    assert.equal(check({ ...good, azp: 'x' }), 'wrong_azp')
  })

  test('the nonce is the one that was sent', () => {
    assert.equal(check({ ...good, nonce: 'n' }, { nonce: 'n' }), null)
    assert.equal(check({ ...good, nonce: 'm' }, { nonce: 'n' }), 'wrong_nonce')
    assert.equal(check(good, { nonce: 'n' }), 'wrong_nonce')
  })

  test('at_hash and c_hash fit what came beside the token', () => {
    // OpenID Connect Core appendix A.3 and A.4
    const accessToken = 'jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y'
    const code = 'Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk'
    assert.equal(check({ ...good, at_hash: '77QmUPtjPfzWtF2AnpK9RQ', c_hash: 'LDktKdoQak3Pk0cnXxCltA' }, { accessToken, code }), null)
    assert.equal(check({ ...good, at_hash: '77QmUPtjPfzWtF2AnpK9RQ' }, { accessToken: 'other' }), 'wrong_at_hash')
    assert.equal(check({ ...good, c_hash: 'LDktKdoQak3Pk0cnXxCltA' }, { code: 'other' }), 'wrong_c_hash')
    assert.equal(check({ ...good, at_hash: 7 }, { accessToken }), 'wrong_at_hash')
    assert.equal(check({ ...good, at_hash: '77QmUPtjPfzWtF2AnpK9RQ' }, { accessToken }, 'none'), 'wrong_at_hash')
  })

  test('the hash follows the algorithm and the curve', () => {
    const octets = (alg: string, crv?: string): number => Buffer.from(halfHash('x', alg, crv) ?? '', 'base64url').length
    assert.deepEqual(
      [octets('PS256'), octets('ES384'), octets('RS512'), octets('EdDSA', 'Ed25519'), octets('EdDSA', 'Ed448')],
      [16, 24, 32, 32, 57],
    )
  })
})

test('no claims make the checks throw', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom('iss', 'exp', 'nbf', 'iat', 'auth_time', 'aud', 'azp', 'hd'), fc.jsonValue()), (claims) => {
      checkIdToken(read(claims), { nowS, issuers: ['https://as'], clientId: 'me', domains: ['x'], maxAgeS: 1 }, 'RS256')
    }),
  )
})
