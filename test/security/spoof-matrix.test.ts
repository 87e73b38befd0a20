import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type EchoUpstream, startEchoUpstream } from '../../demo/echo-upstream.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { unusedPort } from '../support/ports.ts'
import { exchange, type RawResponse } from '../support/raw-client.ts'
import { type StubIntrospection, startStubIntrospection } from '../support/stub-introspection.ts'

/** What upstreams believe about who a request is, as far as this gateway or Kong writes it. */
const IDENTITY = [
  'X-Consumer-ID',
  'X-Consumer-Custom-ID',
  'X-Consumer-Username',
  'X-Consumer-Groups',
  'X-Credential-Identifier',
  'X-Credential-Username',
  'X-Credential-Scope',
  'X-Credential-Client-ID',
  'X-Credential-Token-Type',
  'X-Credential-Sub',
  'X-Credential-Exp',
  'X-Credential-tenant',
  'X-Anonymous-Consumer',
  'X-Authenticated-Groups',
  'X-Authenticated-Scope',
  'X-Authenticated-UserId',
]

const SPELLINGS: Record<string, (name: string) => string> = {
  exact: (name) => name,
  'lower case': (name) => name.toLowerCase(),
  'upper case': (name) => name.toUpperCase(),
  'underscores for all dashes': (name) => name.replaceAll('-', '_'),
  'an underscore for the first dash': (name) => name.replace('-', '_'),
  'an underscore for the last dash': (name) => name.replace(/-([^-]*)$/, '_$1'),
  'underscores in upper case': (name) => name.replaceAll('-', '_').toUpperCase(),
}

type Outcome = {
  /** Request line's method and path. */
  readonly request: string
  readonly token?: string
  readonly status: number
  /** Identity that the upstream is told; null: the upstream must not be reached. */
  readonly told: Record<string, string> | null
}

const ALICE = {
  'x-consumer-username': 'alice',
  'x-consumer-custom-id': 'custom-alice',
  'x-credential-sub': 'subject',
  'x-credential-tenant': 't1',
}
const GUEST = { 'x-consumer-username': 'guest', 'x-anonymous-consumer': 'true' }

const OUTCOMES: Record<string, Outcome> = {
  'an allowed request': { request: 'GET /allowed', token: 'good', status: 200, told: ALICE },
  'an allowed request whose token has no consumer': { request: 'GET /allowed', token: 'nobody', status: 200, told: {} },
  'a denied request': { request: 'GET /allowed', token: 'bad', status: 401, told: null },
  'a request without a token': { request: 'GET /allowed', status: 401, told: null },
  'an anonymous request': { request: 'GET /anonymous', status: 200, told: GUEST },
  'an anonymous request with a bad token': { request: 'GET /anonymous', token: 'bad', status: 200, told: GUEST },
  'a request while the server is down': { request: 'GET /down', token: 'good', status: 503, told: null },
  'an anonymous request while the server is down': { request: 'GET /down-anonymous', token: 'good', status: 200, told: GUEST },
  'a request on a route that nobody guards': { request: 'GET /open', token: 'good', status: 200, told: {} },
  'a preflight that is passed over': { request: 'OPTIONS /preflight', status: 200, told: {} },
}

describe('identity headers that a client made up never reach an upstream', () => {
  let gateway: Gateway
  let upstream: EchoUpstream
  let server: StubIntrospection

  before(async () => {
    upstream = await startEchoUpstream()
    server = await startStubIntrospection(({ form }) => ({ body: answerTo(form.get('token')) }))
    gateway = await startGateway({ database: 'off', declarative: await configuration(upstream, server), logLevel: 'error' })
  })
  after(async () => {
    await upstream.stop()
    await server.stop()
    await gateway.stop()
  })

  async function send({ request, token }: Outcome, ...lines: string[]): Promise<RawResponse> {
    upstream.reset()
    const credentials = token === undefined ? [] : [`Authorization: Bearer ${token}`]
    return await exchange(gateway.proxyPort, [`${request} HTTP/1.1`, 'Host: api.test', ...credentials, ...lines])
  }

  /** What the upstream was told about identity, by lower-case dashed name. */
  function toldIdentity(): Record<string, string> {
    const lines = upstream.lastRequest?.rawHeaders ?? []
    const dashed = lines.map(([name, value]) => [name.toLowerCase().replaceAll('_', '-'), value] as const)
    return Object.fromEntries(dashed.filter(([name]) => /^x-(consumer|credential|anonymous|authenticated)-/.test(name)))
  }

  for (const [what, outcome] of Object.entries(OUTCOMES)) {
    for (const [how, spell] of Object.entries(SPELLINGS)) {
      test(`${what}, names spelled ${how}`, async () => {
        for (const name of IDENTITY) {
          const line = `${spell(name)}: spoofed`
          assert.equal((await send(outcome, line, line)).status, outcome.status, line)
          if (outcome.told === null) assert.equal(upstream.requests.length, 0, line)
          else {
            assert.equal(upstream.requests.length, 1)
            assert.ok(!upstream.requests[0]?.rawHeaders.some(([, value]) => value.includes('spoofed')), line)
            const told = toldIdentity()
            for (const [key, value] of Object.entries(outcome.told)) assert.equal(told[key], value, line)
          }
        }
      })
    }

    test(`${what}: what is told with spoofed headers is what is told without`, async () => {
      await send(outcome)
      const plain = toldIdentity()
      const spellings = Object.values(SPELLINGS)
      await send(outcome, ...IDENTITY.flatMap((name) => spellings.map((spell) => `${spell(name)}: spoofed`)))
      assert.deepEqual(toldIdentity(), plain)
    })

    test(`${what}: Connection cannot take away what the gateway tells`, async () => {
      await send(outcome)
      const plain = toldIdentity()
      const named = IDENTITY.flatMap((name) => [name, name.toLowerCase(), name.replaceAll('-', '_')]).join(', ')
      await send(outcome, `Connection: close, ${named}`)
      assert.deepEqual(toldIdentity(), plain)
    })
  }

  test('a claim can name no header beyond its own: line ends in its value stay inside', async () => {
    assert.equal((await send({ request: 'GET /allowed', token: 'splitting', status: 200, told: {} })).status, 200)
    const lines = upstream.lastRequest?.rawHeaders ?? []
    assert.ok(!lines.some(([name]) => name.toLowerCase() === 'x-admin'), JSON.stringify(lines))
    assert.ok(!lines.some(([, value]) => /[\r\n\0]/.test(value)))
  })

  test('a client that is told to be trusted (trusted_identity_headers) may name an identity where nobody authenticates', async () => {
    const declarative = await configuration(upstream, server)
    const env = { SALLYPORT_TRUSTED_IDENTITY_HEADERS: 'on' }
    await using trusting = await startGateway({ database: 'off', declarative, logLevel: 'error', env })
    const request = async (path: string) => {
      upstream.reset()
      const lines = [
        `GET ${path} HTTP/1.1`,
        'Host: a',
        'Authorization: Bearer good',
        'X-Consumer-Username: from-before',
        'X_Consumer_ID: 7',
      ]
      assert.equal((await exchange(trusting.proxyPort, lines)).status, 200)
      return toldIdentity()
    }
    assert.deepEqual(await request('/open'), { 'x-consumer-username': 'from-before', 'x-consumer-id': '7' })
    const told = await request('/allowed')
    assert.equal(told['x-consumer-username'], 'alice')
    assert.notEqual(told['x-consumer-id'], '7')
  })
})

function answerTo(token: string | null): object {
  const claims = { active: true, sub: 'subject', tenant: 't1', scope: 'read' }
  if (token === 'good') return { ...claims, username: 'alice', client_id: 'c' }
  if (token === 'nobody') return { active: true }
  if (token === 'splitting') return { ...claims, sub: 'a\r\nX-Admin: 1', username: 'bob\nX-Admin: 1', tenant: 'x\0\r\n\r\nGET / HTTP/1.1' }
  return { active: false }
}

async function configuration(upstream: EchoUpstream, server: StubIntrospection) {
  const introspection = (config: object, introspection_url = server.url) => [
    {
      name: 'oauth2-introspection',
      config: { introspection_url, authorization_value: 'Basic eDp5', custom_claims_forward: ['tenant'], ...config },
    },
  ]
  const nowhere = `http://127.0.0.1:${await unusedPort()}/introspect`
  const route = (name: string, plugins: object[]) => ({ name, paths: [`/${name}`], plugins })
  return {
    _format_version: '3.0',
    consumers: [{ username: 'alice', custom_id: 'custom-alice' }, { username: 'guest' }],
    services: [
      {
        name: 'upstream',
        url: `${upstream.origin}/anything`,
        routes: [
          route('allowed', introspection({})),
          route('anonymous', introspection({ anonymous: 'guest' })),
          route('down', introspection({}, nowhere)),
          route('down-anonymous', introspection({ anonymous: 'guest' }, nowhere)),
          route('open', []),
          route('preflight', introspection({ run_on_preflight: false })),
        ],
      },
    ],
  }
}
