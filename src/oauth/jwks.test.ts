import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { describe, test } from 'node:test'
import { JwkError, JwksError } from './errors.ts'
import type { HttpClient, HttpRequest } from './http.ts'
import { type JsonObject, parseJsonObject } from './json.ts'
import {
  concatenateJwkSets,
  createJwkSet,
  fetchJwks,
  GENERATED_ALGORITHMS,
  generateSigningJwks,
  importPublicJwk,
  importSigningKey,
  jwkThumbprint,
  publicJwk,
  publicJwks,
} from './jwks.ts'
import jws from './vectors/rfc7515-jws.json' with { type: 'json' }
import thumbprints from './vectors/rfc7638-thumbprint.json' with { type: 'json' }

const read = (value: unknown): JsonObject => parseJsonObject(JSON.stringify(value)) ?? assert.fail('not a JSON object')
const rsa = read(jws.cases.find(({ alg }) => alg === 'RS256')?.jwk)
const p256 = read(jws.cases.find(({ alg }) => alg === 'ES256')?.jwk)
const kids = (keys: readonly { readonly jwk: JsonObject }[]): unknown[] => keys.map(({ jwk }) => jwk['kid'])
const answer = (status: number, body: string): HttpClient => {
  return async () => ({ status, headers: { get: () => null }, body: Buffer.from(body) })
}

test('thumbprints are those of RFC 7638, RFC 8037 and RFC 9449', () => {
  for (const { jwk, thumbprint, source } of thumbprints.cases) assert.equal(jwkThumbprint(read(jwk)), thumbprint, source)
  assert.equal(jwkThumbprint(read({ kty: 'oct', k: 'AA' })), undefined)
  assert.equal(jwkThumbprint(read({ kty: 'constructor' })), undefined)
})

describe('choice of keys', () => {
  test('a kid chooses exactly, then key type, curve and alg must fit', () => {
    const set = createJwkSet([
      { ...rsa, kid: 'a' },
      { ...p256, kid: 'a' },
      { ...rsa, kid: 'A' },
      { ...rsa, kid: 'ps', alg: 'PS256' },
    ])
    assert.deepEqual(kids(set.find({ alg: 'RS256', kid: 'a' })), ['a'])
    assert.equal(set.find({ alg: 'ES256', kid: 'a' })[0]?.jwk['kty'], 'EC')
    assert.deepEqual(set.find({ alg: 'ES384', kid: 'a' }), [])
    assert.deepEqual(set.find({ alg: 'RS256', kid: 'ps' }), [])
    assert.deepEqual(set.find({ alg: 'HS256', kid: 'a' }), [])
    assert.deepEqual(set.find({ alg: 'none', kid: 'a' }), [])
    assert.deepEqual(set.find({ alg: 'RS256', kid: 'b' }), [])
  })

  test('without kid every fitting key is tried in order, with and without kid of its own', () => {
    const set = createJwkSet([{ ...rsa, kid: '1' }, { ...p256, kid: '2' }, { ...rsa, kid: '3' }, rsa])
    assert.deepEqual(kids(set.find({ alg: 'RS256' })), ['1', '3', undefined])
  })

  test('without kid at most 16 keys are tried', () => {
    assert.equal(createJwkSet(Array.from({ length: 40 }, () => ({ ...rsa }))).find({ alg: 'RS256' }).length, 16)
  })

  test('encryption keys and keys whose operations lack verify are never found', () => {
    const set = createJwkSet([
      { ...rsa, kid: 'enc', use: 'enc' },
      { ...rsa, kid: 'ops', key_ops: ['encrypt'] },
      { ...rsa, kid: 'torn', use: 'sig', key_ops: ['encrypt'] },
      { ...rsa, kid: 'odd', key_ops: 'verify' },
      { ...rsa, kid: 'good', use: 'sig', key_ops: ['verify'] },
    ])
    assert.deepEqual(kids(set.find({ alg: 'RS256' })), ['good'])
  })

  test('a broken key does not spoil its set', () => {
    const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' })
    const set = createJwkSet([
      null,
      'x',
      { kty: 'unknown' },
      { kty: '__proto__' },
      { kty: 'oct', k: 'AAAA' },
      { kty: 'RSA', n: 'AQAB', e: 'AQAB' },
      { kty: 'RSA', e: 'AQAB' },
      { ...rsa, n: 5 },
      { ...rsa, e: 'AQ' },
      { ...rsa, e: 'Ag' },
      read(small),
      { ...p256, y: p256['x'] ?? '' },
      { ...rsa, kid: 'good' },
      { ...p256, kid: 'good' },
    ])
    assert.deepEqual(kids(set.find({ alg: 'RS256' })), ['good'])
    assert.deepEqual(kids(set.find({ alg: 'ES256' })), ['good'])
  })

  test('RSA keys below 2048 or above 8192 bits are refused', () => {
    const modulus = (bits: number): string =>
      Buffer.concat([Buffer.from([0x80]), Buffer.alloc(bits / 8 - 2), Buffer.from([1])]).toString('base64url')
    for (const bits of [1024, 2040, 8200, 32_768]) {
      assert.throws(() => importPublicJwk(read({ kty: 'RSA', n: modulus(bits), e: 'AQAB' })), { code: 'OAUTH_JWK', message: /bits/ })
    }
    assert.ok(importPublicJwk(read({ kty: 'RSA', n: modulus(2048), e: 'AQAB' })))
  })

  test('a key is imported once', () => {
    const set = createJwkSet([rsa])
    assert.equal(set.find({ alg: 'RS256' })[0]?.key, set.find({ alg: 'RS512' })[0]?.key)
  })

  test('sets are joined in order', () => {
    const set = concatenateJwkSets([createJwkSet([{ ...rsa, kid: '1' }]), createJwkSet([{ ...rsa, kid: '2' }])])
    assert.deepEqual(kids(set.find({ alg: 'RS256' })), ['1', '2'])
  })

  test('at most 512 keys of a document are kept', () => {
    assert.equal(createJwkSet(Array.from({ length: 2000 }, () => ({ ...p256 }))).keys.length, 512)
  })
})

describe('fetching', () => {
  test('the request carries the headers that were given, and the keys come back', async () => {
    const seen: HttpRequest[] = []
    const http: HttpClient = (request) => {
      seen.push(request)
      return answer(200, JSON.stringify({ keys: [rsa], more: 1 }))(request)
    }
    const set = await fetchJwks(http, 'https://as/jwks', [['X-Key', 'k']])
    assert.equal(set.keys.length, 1)
    assert.deepEqual(seen, [
      {
        method: 'GET',
        url: 'https://as/jwks',
        headers: [
          ['Accept', 'application/jwk-set+json, application/json'],
          ['X-Key', 'k'],
        ],
      },
    ])
  })

  test('anything but a 200 with a JSON object and an array of keys is an error', async () => {
    const bad: [number, string][] = [
      [200, '[]'],
      [200, '{}'],
      [200, '{"keys":{}}'],
      [200, '<html>'],
      [203, '{"keys":[]}'],
      [302, '{"keys":[]}'],
      [500, ''],
    ]
    for (const [status, body] of bad)
      await assert.rejects(fetchJwks(answer(status, body), 'https://as/jwks'), JwksError, `${status} ${body}`)
  })

  test('a transport failure is the cause of the error', async () => {
    const cause = new Error('refused')
    await assert.rejects(
      fetchJwks(() => Promise.reject(cause), 'https://as/jwks'),
      { code: 'OAUTH_JWKS', cause },
    )
  })
})

describe('keys of our own', () => {
  test('one key for each algorithm, each with its own kid, use and alg, and able to sign', async () => {
    const jwks = await generateSigningJwks()
    const keys = jwks.map((jwk) => importSigningKey(jwk))
    assert.deepEqual(
      keys.map(({ alg }) => alg),
      [...GENERATED_ALGORITHMS],
    )
    assert.equal(new Set(keys.map(({ kid }) => kid)).size, GENERATED_ALGORITHMS.length)
    for (const { jwk, kid } of keys) {
      assert.equal(jwk['use'], 'sig')
      assert.equal(jwkThumbprint(jwk), kid)
    }
    for (const { alg, kid } of keys) {
      assert.equal(createJwkSet([...publicJwks(keys).keys]).find({ alg, kid }).length, 1)
    }
  })

  test('what is published has public members only', async () => {
    const keys = (await generateSigningJwks(['RS256', 'ES256', 'EdDSA'])).map((jwk) => importSigningKey(jwk))
    const published = publicJwks([...keys, { jwk: read({ kty: 'oct', k: 'AA' }) }])
    assert.deepEqual(
      published.keys.map((jwk) => Object.keys(jwk)),
      [
        ['kty', 'use', 'alg', 'kid', 'n', 'e'],
        ['kty', 'use', 'alg', 'kid', 'crv', 'x', 'y'],
        ['kty', 'use', 'alg', 'kid', 'crv', 'x'],
      ],
    )
  })

  test('members that are unknown today are not published', () => {
    const jwk = publicJwk(
      read({ ...rsa, d: 'x', p: 'x', q: 'x', dp: 'x', dq: 'x', qi: 'x', oth: [], k: 'x', priv: 'x', seed: 'x', key_ops: ['sign'] }),
    )
    assert.deepEqual(Object.keys(jwk ?? {}), ['kty', 'n', 'e'])
  })

  test('the algorithm is the one that is named, else that of the key, else by its kind', async () => {
    const [jwk = assert.fail()] = await generateSigningJwks(['RS256'])
    assert.equal(importSigningKey(read({ ...jwk, alg: undefined })).alg, 'RS256')
    assert.equal(importSigningKey(read({ ...jwk, alg: undefined }), 'PS512').alg, 'PS512')
    const [ec = assert.fail()] = await generateSigningJwks(['ES384'])
    assert.equal(importSigningKey(read({ ...ec, alg: undefined })).alg, 'ES384')
  })

  test('a key that cannot sign as asked is refused', async () => {
    const [jwk = assert.fail()] = await generateSigningJwks(['ES256'])
    assert.throws(() => importSigningKey(jwk, 'RS256'), JwkError)
    assert.throws(() => importSigningKey(jwk, 'HS256'), JwkError)
    assert.throws(() => importSigningKey(rsa), JwkError, 'public key')
    assert.throws(() => importSigningKey(read({ kty: 'oct', k: 'AA' })), JwkError)
  })
})
