import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { importJWK, jwtVerify } from 'jose'
import {
  type ClientCapabilities,
  chooseAuthMethod,
  chooseSecretMethod,
  clientSecretBasic,
  clientSecretJwt,
  clientSecretPost,
  privateKeyJwt,
  publicClient,
} from './client-auth.ts'
import { ClientAuthenticationError } from './errors.ts'
import type { FormRequest } from './form.ts'
import { generateSigningJwks, importSigningKey, publicJwk } from './jwks.ts'
import vectors from './vectors/rfc6749-client-credentials.json' with { type: 'json' }

const request: FormRequest = { url: 'https://as.example/introspect', headers: [['Accept', 'application/json']], form: [['token', 'T']] }
const nowS = () => 1_700_000_000
const secret = 'a client secret of more than 32 bytes'
const member = (completed: FormRequest, name: string): string | undefined => completed.form.find(([key]) => key === name)?.[1]
const header = (completed: FormRequest, name: string): string | undefined => completed.headers.find(([key]) => key === name)?.[1]

describe('client_secret_basic', () => {
  test('gives the examples of RFC 6749', () => {
    for (const { client_id, client_secret, header: expected } of vectors.basic) {
      assert.equal(header(clientSecretBasic(client_id, client_secret)(request), 'Authorization'), expected)
    }
  })

  test('identifier and secret are sent as configured, unless form encoding is asked for', () => {
    const decode = (completed: FormRequest): string =>
      Buffer.from((header(completed, 'Authorization') ?? '').slice('Basic '.length), 'base64').toString()
    assert.equal(decode(clientSecretBasic('id', 'a%2Bb')(request)), 'id:a%2Bb')
    assert.equal(decode(clientSecretBasic('id:x', 'a%+ é', { formEncoded: true })(request)), 'id%3Ax:a%25%2B+%C3%A9')
  })

  test('puts nothing in the form and replaces an Authorization header', () => {
    const completed = clientSecretBasic('id', 's')({ ...request, headers: [['authorization', 'Bearer x']] })
    assert.deepEqual(completed.form, request.form)
    assert.deepEqual(completed.headers, [['Authorization', 'Basic aWQ6cw==']])
  })
})

test('client_secret_post puts both into the form, once, and no header', () => {
  const completed = clientSecretPost('id', 's')({ ...request, form: [['client_id', 'other'], ...request.form] })
  assert.deepEqual(completed.form, [
    ['token', 'T'],
    ['client_id', 'id'],
    ['client_secret', 's'],
  ])
  assert.deepEqual(completed.headers, request.headers)
})

test('a public client sends its identifier only', () => {
  assert.deepEqual(publicClient('id')(request).form, [
    ['token', 'T'],
    ['client_id', 'id'],
  ])
})

describe('assertions', () => {
  const checks = { currentDate: new Date(nowS() * 1000) }

  test('client_secret_jwt: one audience, 60 seconds, no client_id, a new jti for each request', async () => {
    const authenticate = clientSecretJwt('id', secret, { audience: 'https://as.example', nowS })
    const first = authenticate(request)
    assert.equal(member(first, 'client_assertion_type'), 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
    assert.equal(member(first, 'client_id'), undefined)
    assert.equal(member(first, 'client_secret'), undefined)
    assert.equal(header(first, 'Authorization'), undefined)
    const { payload, protectedHeader } = await jwtVerify(member(first, 'client_assertion') ?? '', Buffer.from(secret), checks)
    assert.deepEqual(protectedHeader, { alg: 'HS256', typ: 'JWT' })
    const { jti, ...claims } = payload
    assert.deepEqual(claims, { iss: 'id', sub: 'id', aud: 'https://as.example', iat: nowS(), exp: nowS() + 60 })
    const second = await jwtVerify(member(authenticate(request), 'client_assertion') ?? '', Buffer.from(secret), checks)
    assert.notEqual(second.payload.jti, jti)
    assert.equal(Buffer.from(jti ?? '', 'base64url').length, 16)
  })

  test('without a known issuer the audience is the address of the endpoint', async () => {
    const completed = clientSecretJwt('id', secret, { audience: null, nowS })(request)
    const { payload } = await jwtVerify(member(completed, 'client_assertion') ?? '', Buffer.from(secret), checks)
    assert.equal(payload.aud, request.url)
  })

  test('client_secret_jwt refuses a secret shorter than its hash, and an algorithm that is not HS', () => {
    for (const alg of ['HS384', 'HS512', 'RS256', 'none']) {
      assert.throws(() => clientSecretJwt('id', secret, { alg, nowS }), { code: 'OAUTH_CLIENT_AUTHENTICATION' }, alg)
    }
    assert.throws(() => clientSecretJwt('id', 'short', { nowS }), ClientAuthenticationError)
  })

  test('private_key_jwt verifies with the public key, for every algorithm, and names its kid', async () => {
    for (const jwk of await generateSigningJwks()) {
      const key = importSigningKey(jwk)
      const completed = await privateKeyJwt('id', key, { audience: 'https://as.example', nowS })(request)
      const publicKey = await importJWK({ ...publicJwk(jwk) }, key.alg)
      const { protectedHeader } = await jwtVerify(member(completed, 'client_assertion') ?? '', publicKey, {
        ...checks,
        issuer: 'id',
        subject: 'id',
        audience: 'https://as.example',
      })
      assert.deepEqual(protectedHeader, { alg: key.alg, kid: key.kid, typ: 'JWT' })
    }
  })
})

describe('choice of the method', () => {
  const nothing: ClientCapabilities = { hasPrivateKey: false, hasGeneratedKey: false, hasCertificate: false }
  const withSecret: ClientCapabilities = { ...nothing, client_secret: secret }

  test('the endpoint comes before the client, the client before metadata', () => {
    const supported = ['client_secret_basic']
    assert.equal(
      chooseAuthMethod({ endpointMethod: 'client_secret_post', clientMethod: 'client_secret_jwt', supported, capabilities: withSecret }),
      'client_secret_post',
    )
    assert.equal(chooseAuthMethod({ clientMethod: 'client_secret_jwt', supported, capabilities: withSecret }), 'client_secret_jwt')
  })

  test('of metadata the first that the configuration can carry out is taken', () => {
    const supported = ['private_key_jwt', 'unknown', 'client_secret_post']
    assert.equal(chooseAuthMethod({ supported, capabilities: withSecret }), 'client_secret_post')
    assert.equal(chooseAuthMethod({ supported, capabilities: { ...withSecret, hasPrivateKey: true } }), 'private_key_jwt')
  })

  test('generated keys count only for a method that is named', () => {
    const capabilities = { ...withSecret, hasGeneratedKey: true }
    assert.equal(chooseAuthMethod({ supported: ['private_key_jwt', 'client_secret_basic'], capabilities }), 'client_secret_basic')
    assert.equal(chooseAuthMethod({ clientMethod: 'private_key_jwt', capabilities }), 'private_key_jwt')
  })

  test('none is never taken from metadata when there is a secret', () => {
    assert.equal(chooseAuthMethod({ supported: ['none'], capabilities: withSecret }), 'client_secret_basic')
    assert.equal(chooseAuthMethod({ supported: ['none', 'client_secret_post'], capabilities: withSecret }), 'client_secret_post')
  })

  test('without secret and method the client is public', () => {
    assert.equal(chooseAuthMethod({ capabilities: nothing }), 'none')
    assert.equal(chooseAuthMethod({ capabilities: { ...nothing, client_secret: '' } }), 'none')
  })

  test('client_secret_jwt is passed over when the secret is too short for it', () => {
    const supported = ['client_secret_jwt', 'client_secret_post']
    assert.equal(chooseAuthMethod({ supported, capabilities: { ...nothing, client_secret: 'short' } }), 'client_secret_post')
    assert.equal(chooseAuthMethod({ supported, capabilities: { ...withSecret, secretAlg: 'HS512' } }), 'client_secret_post')
    assert.equal(chooseAuthMethod({ supported, capabilities: withSecret }), 'client_secret_jwt')
  })

  test('a named method that cannot be carried out is an error, never a weaker method', () => {
    for (const clientMethod of ['private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth', 'unknown', 'constructor']) {
      assert.throws(() => chooseAuthMethod({ clientMethod, capabilities: withSecret }), ClientAuthenticationError, clientMethod)
    }
    for (const endpointMethod of ['client_secret_basic', 'client_secret_post', 'client_secret_jwt']) {
      assert.throws(() => chooseAuthMethod({ endpointMethod, capabilities: nothing }), ClientAuthenticationError, endpointMethod)
    }
  })

  test("a caller's own credentials are sent only by methods that use a secret", () => {
    assert.equal(chooseSecretMethod({ clientMethod: 'client_secret_post', client_secret: secret }), 'client_secret_post')
    assert.equal(chooseSecretMethod({ clientMethod: 'private_key_jwt', client_secret: secret }), 'client_secret_basic')
    assert.equal(chooseSecretMethod({ clientMethod: 'none', client_secret: secret }), 'client_secret_basic')
    assert.equal(chooseSecretMethod({ supported: ['private_key_jwt', 'client_secret_post'], client_secret: 's' }), 'client_secret_post')
    assert.equal(chooseSecretMethod({ clientMethod: 'client_secret_jwt', client_secret: 'short' }), 'client_secret_basic')
  })
})
