import assert from 'node:assert/strict'
import { createSign, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { CompactSign } from 'jose'
import { decodeBase64url, encodeBase64url } from '../util/base64url.ts'
import { type JsonObject, parseJsonObject } from './json.ts'
import { hmac, sign } from './jwa.ts'
import { createJwkSet, generateSigningJwks, importSigningKey, type JwkSet, publicJwks } from './jwks.ts'
import { decodeJws, decodeJwt, hasTyp, isCompactJwe, isCompactJws, type TypRule, verifyJws, verifyJwt } from './jwt.ts'
import rfc7515 from './vectors/rfc7515-jws.json' with { type: 'json' }
import rfc8037 from './vectors/rfc8037-eddsa.json' with { type: 'json' }
import rfc9068 from './vectors/rfc9068-access-token.json' with { type: 'json' }
import rfc9701 from './vectors/rfc9701-jwt-introspection.json' with { type: 'json' }

const read = (value: unknown): JsonObject => parseJsonObject(JSON.stringify(value)) ?? assert.fail('not a JSON object')
const setOf = (...jwks: unknown[]): JwkSet => createJwkSet(jwks.map(read))
const nothing = createJwkSet([])
const nowS = 1_700_000_000
const secret = 'a client secret of no less than sixty-four bytes, as HS512 wants it to be'
const unsigned = (header: object, payload: object | string): string =>
  `${encodeBase64url(JSON.stringify(header))}.${encodeBase64url(typeof payload === 'string' ? payload : JSON.stringify(payload))}`
const signed = async (header: object, payload: object | string, alg: string, key: KeyObject): Promise<string> => {
  const input = unsigned({ alg, ...header }, payload)
  return `${input}.${encodeBase64url(await sign(alg, key, Buffer.from(input)))}`
}
const flipped = (token: string): string => {
  const start = token.lastIndexOf('.') + 1
  return `${token.slice(0, start)}${token[start] === 'A' ? 'B' : 'A'}${token.slice(start + 1)}`
}
const reasonOf = (verification: ReturnType<typeof verifyJwt>): string | null => (verification.ok ? null : verification.reason)
const [ownJwk = assert.fail()] = await generateSigningJwks(['ES256'])
const own = importSigningKey(ownJwk)
const keys = createJwkSet([...publicJwks([own]).keys])

describe('published signatures', () => {
  for (const { alg, jwk, jws, verifies, source } of rfc7515.cases) {
    test(`RFC 7515 appendix ${source}: ${alg}`, () => {
      const rules = jwk === undefined || 'k' in jwk ? { keys: nothing } : { keys: setOf(jwk) }
      const secret = jwk !== undefined && 'k' in jwk ? decodeBase64url(jwk.k ?? '') : null
      assert.equal(verifyJws(jws, secret === null ? rules : { ...rules, secret }).ok, verifies)
      assert.equal(verifyJws(flipped(jws), secret === null ? rules : { ...rules, secret }).ok, false)
    })
  }

  test('RFC 7515 appendix A.1: the header is verified as received, line breaks included', () => {
    const jws = rfc7515.cases.find(({ alg }) => alg === 'HS256')?.jws ?? assert.fail()
    const decoded = decodeJws(jws) ?? assert.fail()
    assert.equal(Buffer.from(decoded.payload).toString(), rfc7515.payloadText)
    assert.equal(decoded.signingInput, jws.slice(0, jws.lastIndexOf('.')))
  })

  test('RFC 8037 appendix A.4: EdDSA, under both of its names for the key', () => {
    for (const alg of [undefined, 'EdDSA', 'Ed25519']) {
      const result = verifyJws(rfc8037.jws, { keys: setOf({ ...rfc8037.jwk, alg }) })
      assert.ok(result.ok)
      assert.equal(Buffer.from(result.payload).toString(), rfc8037.payloadText)
    }
  })

  test('the JSON serialisation is no token', () => {
    assert.equal(isCompactJws(JSON.stringify(rfc7515.generalJson)), false)
  })
})

describe('algorithms', () => {
  test('what jose signs verifies, and one changed bit does not, for every algorithm', async () => {
    for (const jwk of await generateSigningJwks()) {
      const key = importSigningKey(jwk)
      const token = await new CompactSign(Buffer.from('{}')).setProtectedHeader({ alg: key.alg, kid: key.kid ?? '' }).sign(key.key)
      const set = createJwkSet([...publicJwks([key]).keys])
      const good = verifyJws(token, { keys: set })
      assert.ok(good.ok, key.alg)
      assert.equal(good.jwk?.['kid'], key.kid)
      assert.deepEqual(verifyJws(flipped(token), { keys: set }), { ok: false, reason: 'bad_signature' }, key.alg)
    }
  })

  test('Ed448 and the fully specified names of EdDSA verify', async () => {
    for (const type of ['ed25519', 'ed448'] as const) {
      const { privateKey, publicKey } = type === 'ed448' ? generateKeyPairSync('ed448') : generateKeyPairSync('ed25519')
      const set = setOf(publicKey.export({ format: 'jwk' }))
      for (const alg of ['EdDSA', type === 'ed448' ? 'Ed448' : 'Ed25519']) {
        assert.ok(verifyJws(await signed({}, {}, alg, privateKey), { keys: set }).ok, `${type} ${alg}`)
      }
      const otherName = type === 'ed448' ? 'Ed25519' : 'Ed448'
      const input = unsigned({ alg: otherName }, {})
      const token = `${input}.${encodeBase64url(await sign('EdDSA', privateKey, Buffer.from(input)))}`
      assert.equal(verifyJws(token, { keys: set }).ok, false, otherName)
    }
  })

  test('none is refused in every spelling', () => {
    for (const alg of ['none', 'None', 'nOnE', 'NONE', '', 'constructor', '__proto__']) {
      for (const signature of ['', 'AAAA']) {
        assert.equal(verifyJws(`${unsigned({ alg }, {})}.${signature}`, { keys, secret, algorithms: new Set([alg]) }).ok, false, alg)
      }
    }
  })

  test('HS counts only with a secret that is long enough, and never with a public key as secret', () => {
    for (const alg of ['HS256', 'HS384', 'HS512']) {
      const input = unsigned({ alg }, {})
      const token = `${input}.${encodeBase64url(hmac(alg, secret, Buffer.from(input)))}`
      assert.ok(verifyJws(token, { keys, secret }).ok, alg)
      assert.equal(reasonOf(verifyJwt(token, { keys, typ: 'any', claims: null })), 'alg_not_allowed')
      assert.deepEqual(verifyJws(token, { keys, secret, algorithms: new Set(['RS256']) }), { ok: false, reason: 'alg_not_allowed' })
      assert.deepEqual(verifyJws(token, { keys, secret: `${secret}x` }), { ok: false, reason: 'bad_signature' })
      const short = secret.slice(0, 31)
      const weak = `${input}.${encodeBase64url(hmac(alg, short, Buffer.from(input)))}`
      assert.deepEqual(verifyJws(weak, { keys, secret: short }), { ok: false, reason: 'bad_signature' })
    }
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const pem = publicKey.export({ format: 'pem', type: 'spki' }).toString()
    const input = unsigned({ alg: 'HS256' }, {})
    const token = `${input}.${encodeBase64url(hmac('HS256', pem, Buffer.from(input)))}`
    assert.equal(verifyJws(token, { keys: setOf(publicKey.export({ format: 'jwk' })) }).ok, false)
  })

  test('only algorithms of the list are accepted', async () => {
    const token = await signed({}, {}, 'ES256', own.key)
    assert.ok(verifyJws(token, { keys, algorithms: new Set(['ES256']) }).ok)
    assert.deepEqual(verifyJws(token, { keys, algorithms: new Set(['RS256']) }), { ok: false, reason: 'alg_not_allowed' })
  })

  test('an ECDSA signature in DER is refused', () => {
    const input = unsigned({ alg: 'ES256' }, {})
    const der = createSign('sha256').update(input).sign(own.key)
    assert.equal(verifyJws(`${input}.${encodeBase64url(der)}`, { keys }).ok, false)
  })
})

describe('headers', () => {
  test('any crit, also an empty one, and b64 false are refused', async () => {
    for (const header of [
      { crit: ['exp'], exp: 1 },
      { crit: [] },
      { crit: ['b64'], b64: true },
      { crit: 'x' },
      { b64: false },
      { crit: null },
    ]) {
      const token = await signed(header, {}, 'ES256', own.key)
      assert.deepEqual(verifyJws(token, { keys }), { ok: false, reason: 'crit_unsupported' }, JSON.stringify(header))
      const unverified = verifyJwt(token, { keys, typ: 'any', claims: null, verifySignature: false })
      assert.equal(reasonOf(unverified), 'crit_unsupported')
    }
  })

  test("keys in the token's own header are ignored", async () => {
    const attacker = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const jwk = attacker.publicKey.export({ format: 'jwk' })
    const token = await signed({ jwk, jku: 'https://evil/', x5u: 'https://evil/' }, {}, 'ES256', attacker.privateKey)
    assert.equal(verifyJws(token, { keys }).ok, false)
  })

  test('unknown members of header and claims are ignored', async () => {
    const token = await signed({ other: 1 }, { whatever: {} }, 'ES256', own.key)
    assert.ok(verifyJwt(token, { keys, typ: 'access-token', claims: { nowS, issuers: [] } }).ok)
  })

  test('an unknown kid means that no key matches, a known one with a wrong signature that the signature is bad', async () => {
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
    assert.deepEqual(verifyJws(await signed({ kid: 'new' }, {}, 'ES256', own.key), { keys }), { ok: false, reason: 'no_matching_key' })
    assert.deepEqual(verifyJws(await signed({ kid: own.kid }, {}, 'ES256', other), { keys }), { ok: false, reason: 'bad_signature' })
    assert.deepEqual(verifyJws(await signed({ kid: 7 }, {}, 'ES256', own.key), { keys }), { ok: false, reason: 'malformed' })
  })

  test('the kind of a token is told by typ, without case and without application/', () => {
    const cases: [unknown, TypRule, boolean][] = [
      [undefined, 'access-token', true],
      ['JWT', 'access-token', true],
      ['at+jwt', 'access-token', true],
      [rfc9068.header.typ, 'access-token', true],
      ['application/at+jwt', 'access-token', true],
      ['logout+jwt', 'access-token', false],
      ['dpop+jwt', 'access-token', false],
      ['token-introspection+jwt', 'access-token', false],
      ['secevent+jwt', 'access-token', false],
      [7, 'access-token', false],
      ['', 'access-token', false],
      ['JWT', 'jwt', true],
      ['at+jwt', 'jwt', false],
      [rfc9068.header.typ, { exactly: 'at+jwt' }, true],
      ['JWT', { exactly: 'at+jwt' }, false],
      [undefined, { exactly: 'at+jwt' }, false],
      [7, 'any', true],
    ]
    for (const [typ, rule, expected] of cases) assert.equal(hasTyp(read({ typ }), rule), expected, `${typ} as ${JSON.stringify(rule)}`)
  })
})

describe('shape', () => {
  const good = `${unsigned({ alg: 'RS256' }, {})}.AAAA`

  test('a compact JWS has three parts, the alphabet of base64url and a JSON header with alg', () => {
    assert.ok(isCompactJws(good))
    const bad = [
      '',
      'opaque',
      'a.b.c',
      '..',
      `${good}.x`,
      `${good}=`,
      ` ${good}`,
      `${good}\n`,
      good.replace('.', '+.'),
      `${encodeBase64url('[]')}.AAAA.AAAA`,
      `${encodeBase64url('{}')}.AAAA.AAAA`,
      `${encodeBase64url('{"alg":1}')}.AAAA.AAAA`,
      `${Buffer.from('{"alg":"RS256"}', 'utf16le').toString('base64url')}.AAAA.AAAA`,
    ]
    for (const token of bad) {
      assert.equal(isCompactJws(token), false, token)
      assert.equal(decodeJws(token), null, token)
    }
  })

  test('a signature with stray bits is no other spelling of the same token', async () => {
    const token = await signed({}, {}, 'ES256', own.key)
    const last = token.at(-1) ?? ''
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const twin = `${token.slice(0, -1)}${alphabet[alphabet.indexOf(last) + 1]}`
    assert.deepEqual(Buffer.from(twin, 'base64url'), Buffer.from(token, 'base64url'))
    assert.deepEqual(verifyJws(twin, { keys }), { ok: false, reason: 'malformed' })
  })

  test('a token longer than the bound is refused before it is read', async () => {
    const token = await signed({}, { filler: 'x'.repeat(20_000) }, 'ES256', own.key)
    assert.equal(isCompactJws(token), false)
    assert.deepEqual(verifyJws(token, { keys }), { ok: false, reason: 'malformed' })
    assert.ok(verifyJws(token, { keys, maxLength: 100_000 }).ok)
  })

  test('a compact JWE has five parts', () => {
    assert.ok(isCompactJwe('aa..bb.cc.dd'))
    for (const token of ['a.b.c', 'a.b.c.d.e.f', 'a.b.c.d.e=']) assert.equal(isCompactJwe(token), false)
  })

  test('a payload that is no JSON object is a JWS, but no JWT', async () => {
    for (const payload of ['text', '[]', 'null', '"x"']) {
      const token = await signed({}, payload, 'ES256', own.key)
      assert.ok(verifyJws(token, { keys }).ok)
      assert.equal(reasonOf(verifyJwt(token, { keys, typ: 'any', claims: null })), 'payload_not_object')
      assert.equal(decodeJwt(token), null)
    }
  })

  test('the example of RFC 9701 decodes to its header and claims', () => {
    const decoded = decodeJwt(rfc9701.jwt) ?? assert.fail()
    assert.equal(JSON.stringify(decoded.header), JSON.stringify({ kid: 'wG6D', typ: 'token-introspection+jwt', alg: 'RS256' }))
    assert.equal(JSON.stringify(decoded.payload), JSON.stringify(rfc9701.claims))
  })
})

describe('a JWT', () => {
  const rules = { keys, typ: 'access-token', claims: { nowS, issuers: ['https://as'] } } as const

  test('holds when signature, typ and claims do', async () => {
    const token = await signed({ typ: 'at+jwt', kid: own.kid }, { iss: 'https://as', exp: nowS + 1 }, 'ES256', own.key)
    const result = verifyJwt(token, rules)
    assert.ok(result.ok)
    assert.equal(result.payload['iss'], 'https://as')
    assert.equal(result.header['typ'], 'at+jwt')
    assert.equal(result.jwk?.['kid'], own.kid)
  })

  test('is refused for its typ and its claims', async () => {
    assert.equal(reasonOf(verifyJwt(await signed({ typ: 'dpop+jwt' }, {}, 'ES256', own.key), rules)), 'wrong_typ')
    assert.equal(reasonOf(verifyJwt(await signed({}, { exp: nowS }, 'ES256', own.key), rules)), 'expired')
    assert.equal(reasonOf(verifyJwt(await signed({}, { iss: 'https://x' }, 'ES256', own.key), rules)), 'wrong_issuer')
  })

  test('with verification of signatures off only typ and claims count', async () => {
    const token = `${unsigned({ alg: 'none' }, { iss: 'https://as' })}.`
    assert.ok(verifyJwt(token, { ...rules, verifySignature: false }).ok)
    const expired = `${unsigned({ alg: 'none' }, { exp: nowS })}.`
    assert.equal(reasonOf(verifyJwt(expired, { ...rules, verifySignature: false })), 'expired')
  })

  test('arbitrary text never throws and never holds', () => {
    const part = fc.oneof(
      fc.string(),
      fc.jsonValue().map((value) => encodeBase64url(JSON.stringify(value))),
      fc.constant(encodeBase64url('{"alg":"ES256"}')),
    )
    fc.assert(
      fc.property(fc.array(part, { maxLength: 5 }), (parts) => {
        assert.equal(verifyJwt(parts.join('.'), { ...rules, secret }).ok, false)
      }),
    )
  })
})
