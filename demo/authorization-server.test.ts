import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, exportJWK, generateKeyPair, type JWK, jwtVerify } from 'jose'
import * as oauth from 'oauth4webapi'
import { type AuthorizationServer, john, startAuthorizationServer } from './authorization-server.ts'
import { close, listen } from './listening.ts'

const insecure = { [oauth.allowInsecureRequests]: true }
const gateway = { client_id: 'gateway' }
const gatewayAuth = oauth.ClientSecretBasic('gateway-secret')

async function discover(server: AuthorizationServer): Promise<oauth.AuthorizationServer> {
  const issuer = new URL(server.issuer)
  return oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, insecure))
}

async function introspect(as: oauth.AuthorizationServer, token: string): Promise<oauth.IntrospectionResponse> {
  return oauth.processIntrospectionResponse(as, gateway, await oauth.introspectionRequest(as, gateway, gatewayAuth, token, insecure))
}

async function logIn(as: oauth.AuthorizationServer, parameters: Record<string, string> = {}): Promise<oauth.TokenEndpointResponse> {
  const form = { username: 'john', password: 'doe', scope: 'openid profile', ...parameters }
  const response = await oauth.genericTokenEndpointRequest(as, gateway, gatewayAuth, 'password', form, insecure)
  return oauth.processGenericTokenEndpointResponse(as, gateway, response)
}

async function listening(answer: () => unknown) {
  const server = createServer((_request, response) => void response.end(JSON.stringify(answer())))
  const port = await listen(server)
  return { url: `http://127.0.0.1:${port}/openid-connect/jwks`, server }
}

describe('authorization server', () => {
  let server: AuthorizationServer
  let as: oauth.AuthorizationServer

  before(async () => {
    server = await startAuthorizationServer()
    as = await discover(server)
  })
  after(async () => {
    await server.stop()
    assert.deepEqual(server.failures, [])
  })

  test('discovery names the endpoints where Keycloak has them', () => {
    assert.equal(server.issuer, `${server.origin}/auth/realms/master`)
    assert.equal(as.token_endpoint, `${server.issuer}/protocol/openid-connect/token`)
    assert.equal(as.introspection_endpoint, `${server.issuer}/protocol/openid-connect/token/introspect`)
    assert.equal(as.introspection_endpoint, server.endpoints.introspection)
    assert.equal(as.jwks_uri, server.endpoints.jwks)
    assert.equal(as.revocation_endpoint, server.endpoints.revocation)
    assert.equal(as.userinfo_endpoint, server.endpoints.userinfo)
    assert.ok(as.grant_types_supported?.includes('password'))
  })

  test('both well-known forms of RFC 8414 give the same document', async () => {
    const inserted = await fetch(`${server.origin}/.well-known/oauth-authorization-server/auth/realms/master`)
    const appended = await fetch(server.endpoints.discovery)
    assert.equal(inserted.status, 200)
    assert.deepEqual(await inserted.json(), await appended.json())
  })

  test('the password grant gives an opaque token whose introspection names the user and the claims', async () => {
    const tokens = await logIn(as)
    assert.equal(tokens.access_token.split('.').length, 1)
    assert.equal(typeof tokens.refresh_token, 'string')
    const claims = await introspect(as, tokens.access_token)
    const { iat, exp, jti, ...rest } = claims
    assert.deepEqual(rest, {
      active: true,
      scope: 'openid profile',
      client_id: 'gateway',
      username: 'john',
      sub: john.sub,
      iss: server.issuer,
      token_type: 'Bearer',
      aud: 'gateway',
      ...john.claims,
    })
    assert.equal(exp! - iat!, 300)
    assert.match(jti ?? '', /./)
    assert.notEqual(jti, tokens.access_token)
  })

  test('a wrong password is 400 invalid_grant', async () => {
    const body = new URLSearchParams({ grant_type: 'password', username: 'john', password: 'wrong' })
    const headers = { authorization: `Basic ${btoa('gateway:gateway-secret')}` }
    const response = await fetch(server.endpoints.token, { method: 'POST', headers, body })
    assert.equal(response.status, 400)
    assert.equal(((await response.json()) as { error: string }).error, 'invalid_grant')
  })

  test('the id token is signed by a published key', async () => {
    const { id_token = '' } = await logIn(as)
    const { payload } = await jwtVerify(id_token, createRemoteJWKSet(new URL(server.endpoints.jwks)), { issuer: server.issuer })
    assert.equal(payload.sub, john.sub)
    assert.equal(payload['preferred_username'], 'john')
  })

  test('client credentials give a token whose subject is the client and that names no user', async () => {
    const response = await oauth.clientCredentialsGrantRequest(as, gateway, gatewayAuth, { scope: 'orders:read' }, insecure)
    const { access_token } = await oauth.processClientCredentialsResponse(as, gateway, response)
    const claims = await introspect(as, access_token)
    assert.equal(claims.sub, 'gateway')
    assert.equal(claims.client_id, 'gateway')
    assert.equal(claims.scope, 'orders:read')
    assert.equal(claims.username, undefined)
    assert.equal(claims.aud, 'gateway')
  })

  test('a JWT resource gives an RFC 9068 access token that can be introspected like an opaque one', async () => {
    const { access_token } = await logIn(as, { resource: 'https://jwt.example' })
    assert.equal(decodeProtectedHeader(access_token).typ, 'at+jwt')
    const keys = createRemoteJWKSet(new URL(server.endpoints.jwks))
    const { payload } = await jwtVerify(access_token, keys, { issuer: server.issuer, audience: 'https://jwt.example' })
    const { active, token_type, ...claims } = await introspect(as, access_token)
    assert.equal(active, true)
    assert.equal(token_type, 'Bearer')
    assert.deepEqual(claims, payload)
    assert.equal(payload['username'], 'john')
  })

  for (const alg of ['RS256', 'ES256', 'PS256', 'EdDSA']) {
    test(`the path of a JWT resource chooses ${alg}`, async () => {
      const { access_token } = await logIn(as, { resource: `https://jwt.example/${alg.toLowerCase()}` })
      assert.equal(decodeProtectedHeader(access_token).alg, alg)
      await jwtVerify(access_token, createRemoteJWKSet(new URL(server.endpoints.jwks)))
    })
  }

  test('client kong-jwt gets JWTs without asking, also by refreshing', async () => {
    const client = { client_id: 'kong-jwt' }
    const auth = oauth.ClientSecretBasic('kong-jwt-secret')
    const first = await server.issueToken({ client: 'kong-jwt', user: 'john', scope: 'openid email' })
    assert.equal(decodeJwt(first.access_token).aud, 'kong-jwt')
    const response = await oauth.refreshTokenGrantRequest(as, client, auth, first.refresh_token ?? '', insecure)
    const second = await oauth.processRefreshTokenResponse(as, client, response)
    assert.equal(decodeJwt(second.access_token)['email'], 'john@example.com')
    assert.equal((await introspect(as, second.access_token)).active, true)
  })

  test('user info is given for opaque tokens and JWTs', async () => {
    for (const format of ['opaque', 'jwt'] as const) {
      const client = format === 'jwt' ? 'kong-jwt' : 'kong'
      const { access_token } = await server.issueToken({ client, user: 'john', scope: 'openid email' })
      const response = await oauth.userInfoRequest(as, { client_id: client }, access_token, insecure)
      const claims = await oauth.processUserInfoResponse(as, { client_id: client }, john.sub, response)
      assert.equal(claims.email, 'john@example.com')
    }
  })

  for (const format of ['opaque', 'jwt'] as const) {
    test(`a revoked ${format} token is inactive`, async () => {
      const { access_token } = await server.issueToken({ client: 'orders', user: 'john', format })
      assert.equal((await introspect(as, access_token)).active, true)
      await server.revoke(access_token)
      assert.deepEqual(await introspect(as, access_token), { active: false })
    })
  }

  test('revoking a refresh token ends the access tokens of the same grant', async () => {
    const { access_token, refresh_token = '' } = await server.issueToken({ user: 'john' })
    await server.revoke(refresh_token)
    assert.equal((await introspect(as, access_token)).active, false)
    assert.equal((await introspect(as, refresh_token)).active, false)
  })

  test('revoking an access token ends the refresh token of the same grant, and no other', async () => {
    const [revoked, other] = await Promise.all([server.issueToken({ user: 'john' }), server.issueToken({ user: 'john' })])
    await server.revoke(revoked.access_token)
    assert.equal((await introspect(as, revoked.refresh_token ?? '')).active, false)
    assert.equal((await introspect(as, other.refresh_token ?? '')).active, true)
  })

  test('an unknown, a foreign or an altered token is inactive', async () => {
    const { access_token } = await server.issueToken({ format: 'jwt' })
    const altered = access_token.replace(/\.[^.]*\./, `.${btoa('{"sub":"mallory"}')}.`)
    for (const token of ['unknown', 'a.b.c', altered]) assert.deepEqual(await introspect(as, token), { active: false })
  })

  test('a token lives as long as expires_in asks', async (t) => {
    const { access_token, expires_in } = await server.issueToken({ user: 'john', expiresInS: 2 })
    assert.equal(expires_in, 2)
    const { iat, exp } = await introspect(as, access_token)
    assert.equal(exp! - iat!, 2)
    t.mock.timers.enable({ apis: ['Date'], now: (exp! + 1) * 1000 })
    assert.deepEqual(await introspect(as, access_token), { active: false })
  })

  test("a requested audience is the token's", async () => {
    const { access_token } = await server.issueToken({ user: 'john', audience: 'orders api' })
    assert.equal((await introspect(as, access_token)).aud, 'orders api')
  })

  test('scopes that a client may not have are refused', async () => {
    await assert.rejects(server.issueToken({ client: 'orders', user: 'john', scope: 'write' }), /400.*invalid_scope/)
    const { scope } = await server.issueToken({ client: 'orders', scope: 'orders:read orders:write' })
    assert.equal(scope, 'orders:read orders:write')
  })

  test('each way to authenticate a client introspects tokens of another client', async () => {
    const { access_token } = await server.issueToken({ user: 'john' })
    const ways: [string, oauth.ClientAuth][] = [
      ['gateway', oauth.ClientSecretBasic('gateway-secret')],
      ['gateway-post', oauth.ClientSecretPost('gateway-post-secret')],
      ['gateway-secret-jwt', oauth.ClientSecretJwt('gateway-secret-jwt-secret')],
    ]
    for (const [client_id, auth] of ways) {
      const response = await oauth.introspectionRequest(as, { client_id }, auth, access_token, insecure)
      assert.equal((await oauth.processIntrospectionResponse(as, { client_id }, response)).active, true)
    }
  })

  test('a wrong client secret is 401 invalid_client', async () => {
    const auth = oauth.ClientSecretBasic('wrong')
    const response = await oauth.introspectionRequest(as, gateway, auth, 'x', insecure)
    assert.equal(response.status, 401)
  })

  test('kong authenticates by private_key_jwt with the keys that its jwks_uri publishes at that moment', async () => {
    const kong = { client_id: 'kong' }
    let published: JWK[] = []
    const { url, server: keyServer } = await listening(() => ({ keys: published }))
    try {
      await server.setClientJwksUri('kong', url)
      for (const kid of ['first', 'second']) {
        const { publicKey, privateKey } = await generateKeyPair('RS256', { extractable: true })
        published = [{ ...(await exportJWK(publicKey)), kid, alg: 'RS256', use: 'sig' }]
        const auth = oauth.PrivateKeyJwt({ key: privateKey, kid })
        const response = await oauth.clientCredentialsGrantRequest(as, kong, auth, {}, insecure)
        const { access_token } = await oauth.processClientCredentialsResponse(as, kong, response)
        const answer = await oauth.introspectionRequest(as, kong, auth, access_token, insecure)
        assert.equal((await oauth.processIntrospectionResponse(as, kong, answer)).active, true)
      }
      const { privateKey } = await generateKeyPair('RS256')
      const stranger = oauth.PrivateKeyJwt({ key: privateKey, kid: 'second' })
      assert.equal((await oauth.clientCredentialsGrantRequest(as, kong, stranger, {}, insecure)).status, 401)
    } finally {
      await close(keyServer)
    }
    assert.equal((await server.issueToken({ client: 'kong' })).token_type, 'Bearer', 'issued also when the keys cannot be fetched')
  })

  test('a signed introspection answer is given on request (RFC 9701)', async () => {
    const { access_token } = await server.issueToken({ user: 'john' })
    const options = { ...insecure, requestJwtResponse: true }
    const response = await oauth.introspectionRequest(as, gateway, gatewayAuth, access_token, options)
    assert.match(response.headers.get('content-type') ?? '', /token-introspection\+jwt/)
    assert.equal((await oauth.processIntrospectionResponse(as, gateway, response)).username, 'john')
  })

  test('introspection calls are counted and requests recorded as received', async () => {
    server.resetRequests()
    await introspect(as, 'some-token')
    await fetch(server.endpoints.discovery)
    assert.equal(server.introspectionCalls, 1)
    assert.equal(server.requests.length, 2)
    const [first] = server.requests
    assert.equal(first?.method, 'POST')
    assert.equal(first?.path, new URL(server.endpoints.introspection).pathname)
    assert.equal(first?.body, 'token=some-token')
    assert.equal(first?.headers['content-type'], 'application/x-www-form-urlencoded;charset=UTF-8')
  })

  test('rotated keys sign from then on, and tokens of the last generation still verify', async () => {
    const old = await server.issueToken({ format: 'jwt' })
    await server.rotateKeys()
    const fresh = await server.issueToken({ format: 'jwt' })
    assert.notEqual(decodeProtectedHeader(fresh.access_token).kid, decodeProtectedHeader(old.access_token).kid)
    const both = createRemoteJWKSet(new URL(server.endpoints.jwks))
    for (const { access_token } of [old, fresh]) await jwtVerify(access_token, both)
    assert.equal((await introspect(as, old.access_token)).active, true)
    await server.rotateKeys({ keepOld: false })
    await assert.rejects(jwtVerify(fresh.access_token, createRemoteJWKSet(new URL(server.endpoints.jwks))), {
      code: 'ERR_JWKS_NO_MATCHING_KEY',
    })
  })

  test('a body beyond the limit is refused', async () => {
    const response = await fetch(server.endpoints.introspection, {
      method: 'POST',
      body: new URLSearchParams({ token: 'x'.repeat(70_000) }),
    })
    assert.equal(response.status, 413)
  })
})

test('a paused server refuses connections and resumes on the same port with its tokens', async () => {
  await using server = await startAuthorizationServer()
  const as = await discover(server)
  const { access_token } = await server.issueToken({ user: 'john' })
  await server.pause()
  await assert.rejects(fetch(server.endpoints.discovery), (error: Error) => (error.cause as { code?: string }).code === 'ECONNREFUSED')
  await server.resume()
  assert.equal((await introspect(as, access_token)).active, true)
})

test('the issuer can bear another host and path than the address', async () => {
  await using server = await startAuthorizationServer({ issuerHost: 'keycloak.test', issuerPath: '/realms/x' })
  assert.equal(server.issuer, `http://keycloak.test:${server.port}/realms/x`)
  const document = (await (await fetch(server.endpoints.discovery)).json()) as oauth.AuthorizationServer
  assert.equal(document.issuer, server.issuer)
  const { access_token } = await server.issueToken({ format: 'jwt' })
  assert.equal(decodeJwt(access_token).iss, server.issuer)
})

test('clients, users, scopes and lifetimes can be added, and the issuer can have no path', async () => {
  await using server = await startAuthorizationServer({
    issuerPath: '',
    accessTokenTtlS: 60,
    scopes: ['books'],
    users: [{ username: 'jane', password: 'roe', sub: '2', claims: { groups: [] } }],
    clients: [
      { client_id: 'brief', client_secret: 's', grant_types: ['password'], response_types: [], access_token_ttl: 1, audience: 'shelf' },
      { client_id: 'plain', client_secret: 's', grant_types: ['client_credentials'], response_types: [] },
    ],
  })
  assert.equal(server.issuer, server.origin)
  const brief = await server.issueToken({ client: 'brief', user: 'jane', scope: 'books unknown' })
  assert.equal(brief.expires_in, 1)
  assert.equal(brief.scope, 'books')
  assert.equal(brief.refresh_token, undefined)
  assert.equal((await server.issueToken({ client: 'plain' })).expires_in, 60)
  await assert.rejects(server.issueToken({ client: 'plain', user: 'jane' }), /400/)
})

test('as a program it prints one line and ends on SIGTERM', async () => {
  const child = spawn(process.execPath, [`${import.meta.dirname}/authorization-server.ts`, '--port', '0', '--issuer-host', 'keycloak.test'])
  let output = ''
  child.stdout.on('data', (chunk) => (output += chunk))
  child.stderr.on('data', (chunk) => (output += chunk))
  const exited = once(child, 'close')
  await once(child.stdout, 'data')
  child.kill('SIGTERM')
  assert.deepEqual(await exited, [0, null])
  assert.match(output, /^Authorization server: http:\/\/keycloak\.test:\d+\/auth\/realms\/master\n$/)
})
