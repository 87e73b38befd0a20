import assert from 'node:assert/strict'
import { createServer as createTlsServer } from 'node:https'
import { after, before, describe, test } from 'node:test'
import { type AuthorizationServer, john, startAuthorizationServer } from '../../demo/authorization-server.ts'
import { type EchoedRequest, type EchoUpstream, startEchoUpstream } from '../../demo/echo-upstream.ts'
import { close, listen } from '../../demo/listening.ts'
import { assertPublicKeys } from '../compat/walkthrough.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { createHttpClient, type HttpClient, type HttpRequestOptions, type HttpResponse } from '../support/http-client.ts'
import { SELF_SIGNED_CERTIFICATE, SELF_SIGNED_KEY } from '../support/self-signed.ts'
import { untilStatus } from '../support/until.ts'

/** Milliseconds within which the gateway must serve again after the provider's return; discovery is tried every five seconds. */
const RECOVERY_MS = 2000
const DISCOVERY_MS = 5000
/** What a busy machine may add to a time that is asserted. */
const SLACK_MS = 3000
const FORM = 'application/x-www-form-urlencoded'

let provider: AuthorizationServer
let gateway: Gateway
let upstream: EchoUpstream
let client: HttpClient
let routes = 0

before(async () => {
  ;[provider, upstream, gateway] = await Promise.all([startAuthorizationServer(), startEchoUpstream(), startGateway()])
  client = createHttpClient(gateway.proxyOrigin)
  await admin('POST', '/services', { name: 'echo', url: upstream.origin })
  await admin('POST', '/consumers', { username: 'john', custom_id: 'j-1' })
  await admin('POST', '/consumers', { username: 'guest' })
})

after(async () => {
  await client?.close()
  await gateway?.stop()
  await upstream?.stop()
  await provider?.stop()
})

async function admin(method: string, path: string, body?: unknown): Promise<HttpResponse> {
  const response = await gateway.admin(method, path, body)
  assert.ok(response.status < 300, `${method} ${path}: ${response.status} ${response.text}`)
  return response
}

/** A route of its own with the plugin. */
class Case {
  readonly path: string
  readonly pluginId: string

  private constructor(path: string, pluginId: string) {
    this.path = path
    this.pluginId = pluginId
  }

  static async open(config: object = {}): Promise<Case> {
    const name = `oidc-${routes++}`
    await admin('POST', '/services/echo/routes', { name, paths: [`/anything/${name}/`], strip_path: false })
    const plugin = await admin('POST', `/routes/${name}/plugins`, {
      name: 'openid-connect',
      config: {
        issuer: provider.issuer,
        client_id: ['gateway'],
        client_secret: ['gateway-secret'],
        auth_methods: ['introspection'],
        ...config,
      },
    })
    return new Case(`/anything/${name}/`, String(plugin.json?.['id']))
  }

  send(options: HttpRequestOptions & { method?: string; path?: string } = {}): Promise<HttpResponse> {
    const { method = 'GET', path = '', ...rest } = options
    return client.request(method, this.path + path, rest)
  }

  bearer(token: string, headers: Record<string, string> = {}): Promise<HttpResponse> {
    return this.send({ headers: { authorization: `Bearer ${token}`, ...headers } })
  }

  password(pair = `${john.username}:${john.password}`): Promise<HttpResponse> {
    return this.send({ headers: { authorization: `Basic ${Buffer.from(pair).toString('base64')}` } })
  }

  /** What the upstream got last on this route. */
  get forwarded(): EchoedRequest {
    const found = upstream.requests.findLast(({ target }) => target.startsWith(this.path))
    assert.ok(found, 'nothing was forwarded')
    return found
  }

  /** Values that the upstream got, in any spelling of the name. */
  headers(name: string): readonly string[] {
    return this.forwarded.rawHeaders.filter(([key]) => key.toLowerCase().replaceAll('_', '-') === name).map(([, value]) => value)
  }
}

function assertUnauthorized(response: HttpResponse): void {
  assert.equal(response.status, 401, response.text)
  assert.deepEqual(response.json, { message: 'Unauthorized' })
  assert.match(response.headers['www-authenticate'] ?? '', /^Bearer realm="127\.0\.0\.1:\d+"/)
}

function assertUnavailable(response: HttpResponse): void {
  assert.equal(response.status, 503, response.text)
  assert.match(response.headers['retry-after'] ?? '', /^[1-9]\d*$/)
  assert.equal(response.headers['www-authenticate'], undefined)
}

describe('introspection', () => {
  test('an opaque token is asked about once, and its claims decide about the consumer and the headers', async () => {
    const it = await Case.open({
      consumer_claims: [['preferred_username']],
      upstream_headers: [{ header: 'x-groups', path: ['groups'] }],
      upstream_introspection_header: 'x-introspection',
    })
    const { access_token: token } = await provider.issueToken({ client: 'gateway', user: 'john', scope: 'openid profile' })
    provider.resetRequests()
    for (let i = 0; i < 3; i++) {
      const forged = { 'x-consumer-username': 'root', 'x-groups': 'root', x_consumer_id: 'root' }
      assert.equal((await it.bearer(token, forged)).status, 200)
    }
    assert.equal(provider.introspectionCalls, 1)
    assert.deepEqual(it.headers('authorization'), [`Bearer ${token}`])
    assert.deepEqual(it.headers('x-consumer-username'), ['john'])
    assert.deepEqual(it.headers('x-consumer-custom-id'), ['j-1'])
    assert.equal(it.headers('x-consumer-id').length, 1)
    assert.equal(Buffer.from(it.headers('x-groups')[0] ?? '', 'base64').toString(), '["staff"]')
    const answer = JSON.parse(Buffer.from(it.headers('x-introspection')[0] ?? '', 'base64').toString())
    assert.deepEqual([answer.active, answer.sub], [true, john.sub])
  })

  test('a JWT is introspected as well, and a revoked one is refused where nothing is stored', async () => {
    const it = await Case.open({ cache_introspection: false })
    const { access_token: token } = await provider.issueToken({ client: 'gateway', user: 'john', format: 'jwt' })
    assert.equal(token.split('.').length, 3)
    assert.equal((await it.bearer(token)).status, 200)
    await provider.revoke(token)
    const opaque = await provider.issueToken({ client: 'gateway' })
    assert.equal((await it.bearer(opaque.access_token)).status, 200)
    await provider.revoke(opaque.access_token)
    assertUnauthorized(await it.bearer(opaque.access_token))
  })

  test('no token, an unknown token, a missing scope', async () => {
    const it = await Case.open({ scopes_required: ['write'] })
    assertUnauthorized(await it.send())
    const unknown = await it.bearer('unknown')
    assertUnauthorized(unknown)
    assert.match(unknown.headers['www-authenticate'] ?? '', /error="invalid_token"$/)
    const { access_token: token } = await provider.issueToken({ client: 'gateway', scope: 'read' })
    const forbidden = await it.bearer(token)
    assert.equal(forbidden.status, 403)
    assert.deepEqual(forbidden.json, { message: 'Forbidden' })
    assert.match(forbidden.headers['www-authenticate'] ?? '', /error="insufficient_scope", scope="write"$/)
  })

  for (const [method, id] of [
    ['client_secret_basic', 'basic-client'],
    ['client_secret_post', 'post-client'],
    ['client_secret_jwt', 'jwt-client'],
  ] as const) {
    test(`the provider accepts ${method}`, async () => {
      // The server wants a secret as long as the hash.
      const secret = 's'.repeat(48)
      await provider.setClient({
        client_id: id,
        client_secret: secret,
        token_endpoint_auth_method: method,
        grant_types: ['client_credentials', 'password'],
        response_types: [],
        redirect_uris: [],
      })
      const it = await Case.open({
        client_id: [id],
        client_secret: [secret],
        client_auth: [method],
        auth_methods: ['introspection', 'password'],
      })
      const { access_token: token } = await provider.issueToken({ client: 'orders' })
      assert.equal((await it.bearer(token)).status, 200)
      assert.equal((await it.password()).status, 200)
    })
  }

  test('a token in a form is found and taken out, and the rest arrives with its length', async () => {
    const it = await Case.open({ upstream_access_token_header: null })
    const { access_token: token } = await provider.issueToken({ client: 'orders' })
    const body = `a=1&access_token=${token}&b=2`
    assert.equal((await it.send({ method: 'POST', body, headers: { 'content-type': FORM } })).status, 200)
    assert.equal(it.forwarded.body.toString(), 'a=1&b=2')
    assert.deepEqual(it.headers('content-length'), ['7'])
    assert.deepEqual(it.headers('authorization'), [])
  })

  test('while the provider is away nobody is told that a token is bad; soon after its return it is asked again', async () => {
    const it = await Case.open()
    const { access_token: token } = await provider.issueToken({ client: 'orders' })
    const { access_token: other } = await provider.issueToken({ client: 'orders' })
    assert.equal((await it.bearer(token)).status, 200)
    await provider.pause()
    try {
      assertUnavailable(await it.bearer(other))
      assert.equal((await it.bearer(token)).status, 200)
    } finally {
      await provider.resume()
    }
    await untilStatus(200, RECOVERY_MS + SLACK_MS, () => it.bearer(other))
  })
})

describe('connections to the provider', () => {
  test('a certificate that nobody vouches for is refused, unless ssl_verify is off', async () => {
    const server = createTlsServer({ key: SELF_SIGNED_KEY, cert: SELF_SIGNED_CERTIFICATE }, (request, response) => {
      request.resume().on('end', () => response.end('{"active":true}'))
    })
    const port = await listen(server)
    try {
      const config = { using_pseudo_issuer: true, issuer: 'label', introspection_endpoint: `https://127.0.0.1:${port}/introspect` }
      assertUnavailable(await (await Case.open(config)).bearer('T'))
      assert.equal((await (await Case.open({ ...config, ssl_verify: false })).bearer('T')).status, 200)
    } finally {
      await close(server)
    }
  })
})

describe('password', () => {
  test('name and password become a token, once, and the token passes verification', async () => {
    const it = await Case.open({ auth_methods: ['password'], client_id: ['kong-jwt'], client_secret: ['kong-jwt-secret'] })
    provider.resetRequests()
    for (let i = 0; i < 3; i++) assert.equal((await it.password()).status, 200)
    const [authorization = '', ...more] = it.headers('authorization')
    assert.deepEqual(more, [])
    assert.equal(authorization.split('.').length, 3)
    assert.equal(provider.requests.filter(({ path }) => path.endsWith('/token')).length, 1)
  })

  test('a wrong password is refused with both challenges, and the right one is good at once', async () => {
    const it = await Case.open({ auth_methods: ['password'] })
    const refused = await it.password('john:wrong')
    assert.equal(refused.status, 401)
    assert.match(refused.headers['www-authenticate'] ?? '', /Bearer realm="[^"]+", error="invalid_token", Basic realm="[^"]+"/)
    assert.equal((await it.password()).status, 200)
  })
})

describe('bearer', () => {
  const bearer = (config: object = {}) => Case.open({ auth_methods: ['bearer'], ...config })
  const jwt = async (options: object = {}) => (await provider.issueToken({ client: 'orders', format: 'jwt', ...options })).access_token

  for (const algorithm of ['RS256', 'ES256', 'PS256', 'EdDSA']) {
    test(`a ${algorithm} token is verified, from the token endpoint and then by itself; a changed one and an opaque one are refused`, async () => {
      const it = await bearer({
        auth_methods: ['bearer', 'password'],
        token_post_args_names: ['resource'],
        token_post_args_values: [`https://jwt.example/${algorithm.toLowerCase()}`],
      })
      assert.equal((await it.password()).status, 200)
      const token = it.headers('authorization')[0]?.slice('Bearer '.length) ?? ''
      const [header = '', payload = '', signature = ''] = token.split('.')
      assert.equal(JSON.parse(Buffer.from(header, 'base64url').toString()).alg, algorithm)
      provider.resetRequests()
      assert.equal((await it.bearer(token)).status, 200)
      const changed = `${signature.slice(0, 5)}${signature[5] === 'A' ? 'B' : 'A'}${signature.slice(6)}`
      assertUnauthorized(await it.bearer(`${header}.${payload}.${changed}`))
      assertUnauthorized(await it.bearer('opaque'))
      assert.equal(provider.introspectionCalls, 0)
    })
  }

  test('new keys of the provider are found by the first token that needs them', async () => {
    const it = await bearer({ rediscovery_lifetime: 0 })
    assert.equal((await it.bearer(await jwt())).status, 200)
    await provider.rotateKeys({ keepOld: false })
    assert.equal((await it.bearer(await jwt())).status, 200)
  })

  test('known keys verify while the provider is away', async () => {
    const it = await bearer({ rediscovery_lifetime: 0 })
    const token = await jwt()
    const later = await jwt()
    assert.equal((await it.bearer(token)).status, 200)
    await provider.pause()
    try {
      assert.equal((await it.bearer(later)).status, 200)
    } finally {
      await provider.resume()
    }
  })

  test('a token ends at its exp, also where it was verified before', async () => {
    const it = await bearer()
    const token = await jwt({ expiresInS: 1 })
    assert.equal((await it.bearer(token)).status, 200)
    await untilStatus(401, 2000 + SLACK_MS, () => it.bearer(token))
  })
})

describe('provider and keys in the Admin API', () => {
  test('a configuration whose provider is away is accepted, and serves within seconds of its return', async () => {
    await using away = await startAuthorizationServer()
    const { access_token: token } = await away.issueToken({ client: 'orders' })
    await away.pause()
    const it = await Case.open({ issuer: away.issuer })
    assertUnavailable(await it.bearer(token))
    await away.resume()
    await untilStatus(200, DISCOVERY_MS + SLACK_MS, () => it.bearer(token))
  })

  test('an issuer is listed with metadata and public keys, found by its address, and discovered anew after it was deleted', async () => {
    await using other = await startAuthorizationServer()
    const it = await Case.open({ issuer: other.issuer })
    const { access_token: token } = await other.issueToken({ client: 'orders' })
    assert.equal((await it.bearer(token)).status, 200)
    const path = `/openid-connect/issuers/${encodeURIComponent(other.issuer)}`
    await untilStatus(200, 1000 + SLACK_MS, () => gateway.admin('GET', path))
    const { json } = await gateway.admin('GET', path)
    assert.equal(json?.['issuer'], other.issuer)
    assert.equal(json?.['configuration']?.['issuer'], other.issuer)
    assert.ok(Array.isArray(json?.['keys']) && json['keys'].length > 0)
    assert.equal((await gateway.admin('GET', `/openid-connect/issuers/${json?.['id']}`)).status, 200)
    other.resetRequests()
    assert.equal((await gateway.admin('DELETE', path)).status, 204)
    assert.equal((await it.bearer(token)).status, 200)
    await untilStatus(200, 1000 + SLACK_MS, () => gateway.admin('GET', path))
    assert.ok(other.requests.some(({ path: requested }) => requested.endsWith('/openid-configuration')))
    assert.equal((await gateway.admin('DELETE', '/openid-connect/issuers/nothing')).status, 404)
  })

  test('the generated keys authenticate the gateway, and rotation keeps the ones before published', async () => {
    await provider.setClientJwksUri('kong', `${gateway.adminOrigin}/openid-connect/jwks`)
    const it = await Case.open({
      client_id: ['kong'],
      client_secret: null,
      client_auth: ['private_key_jwt'],
      auth_methods: ['introspection', 'password'],
    })
    assert.equal((await it.password()).status, 200)
    const kids = async () => assertPublicKeys((await gateway.admin('GET', '/openid-connect/jwks')).json?.['keys'])
    const before = await kids()
    assert.equal(before.length, 10)
    assert.equal((await gateway.admin('DELETE', '/openid-connect/jwks')).status, 204)
    const afterwards = await kids()
    assert.equal(afterwards.length, 20)
    for (const kid of before) assert.ok(afterwards.includes(kid))
    const { access_token: token } = await provider.issueToken({ client: 'orders' })
    assert.equal((await it.bearer(token)).status, 200)
  })

  test('neither tokens nor secrets are in what the gateway printed', async () => {
    const text = await gateway.logText()
    assert.doesNotMatch(text, /gateway-secret|kong-jwt-secret|"d":"|eyJ[A-Za-z0-9_-]{20,}\./)
    assert.equal(provider.failures.length, 0, String(provider.failures[0]))
  })
})
