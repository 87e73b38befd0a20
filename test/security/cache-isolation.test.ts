import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type EchoUpstream, startEchoUpstream } from '../../demo/echo-upstream.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { createHttpClient, type HttpClient } from '../support/http-client.ts'
import { type StubIntrospection, type StubRequest, startStubIntrospection } from '../support/stub-introspection.ts'

const TOKEN = 'the-one-token'

type Config = Record<string, unknown>

/** Two configurations that differ in one respect only. `{server}` and `{other}` stand for the addresses of two servers. */
const PAIRS: Record<string, readonly [Config, Config]> = {
  'two plugins with one configuration': [{}, {}],
  'two authorization servers': [{ introspection_url: '{server}' }, { introspection_url: '{other}' }],
  'two endpoints of one server': [{ introspection_url: '{server}/a' }, { introspection_url: '{server}/b' }],
  'two clients': [{ authorization_value: 'Basic YTph' }, { authorization_value: 'Basic Yjpi' }],
  'two hints': [{ token_type_hint: 'access_token' }, { token_type_hint: 'refresh_token' }],
  'a hint and none': [{ token_type_hint: 'access_token' }, {}],
  'two values of a custom header': [
    { custom_introspection_headers: { 'X-Tenant': 'a' } },
    { custom_introspection_headers: { 'X-Tenant': 'b' } },
  ],
  'a custom header and none': [{ custom_introspection_headers: { 'X-Tenant': 'a' } }, {}],
  'values that run together the same way': [
    { custom_introspection_headers: { A: 'b, C: d' } },
    { custom_introspection_headers: { A: 'b', C: 'd' } },
  ],
}

describe('one token, two configurations: no answer is shared', () => {
  let gateway: Gateway
  let client: HttpClient
  let upstream: EchoUpstream
  let server: StubIntrospection
  let other: StubIntrospection

  before(async () => {
    upstream = await startEchoUpstream()
    server = await startStubIntrospection((request) => ({ body: tellApart('server', request) }))
    other = await startStubIntrospection((request) => ({ body: tellApart('other', request) }))
    gateway = await startGateway({ logLevel: 'error' })
    client = createHttpClient(gateway.proxyOrigin)
    await gateway.admin('PUT', '/services/upstream', { url: `${upstream.origin}/anything` })
  })
  after(async () => {
    await upstream.stop()
    await server.stop()
    await other.stop()
    await client.close()
    await gateway.stop()
  })

  const calls = () => server.calls + other.calls

  /** A route with the plugin; its path is its name. */
  async function guard(name: string, config: Config): Promise<string> {
    const route = await gateway.admin('PUT', `/routes/${name}`, { paths: [`/${name}`], service: { name: 'upstream' } })
    assert.equal(route.status, 200, route.text)
    const filled: Config = JSON.parse(JSON.stringify(config).replaceAll('{server}', server.url).replaceAll('{other}', other.url))
    const plugin = await gateway.admin('POST', `/routes/${name}/plugins`, {
      name: 'oauth2-introspection',
      config: { introspection_url: server.url, authorization_value: 'Basic eDp5', ...filled },
    })
    assert.equal(plugin.status, 201, plugin.text)
    return String(plugin.json?.id)
  }

  /** What the upstream was told that the server had answered. */
  async function answerOn(path: string): Promise<string> {
    const response = await client.get(path, { authorization: `Bearer ${TOKEN}` })
    assert.equal(response.status, 200, response.text)
    return String(response.json?.headers?.['X-Credential-Sub'])
  }

  for (const [index, [name, [a, b]]] of Object.entries(PAIRS).entries()) {
    test(`${name}: each asks once and keeps its own answer`, async () => {
      await guard(`a${index}`, a)
      await guard(`b${index}`, b)
      const before = calls()
      const first = [await answerOn(`/a${index}`), await answerOn(`/b${index}`)]
      assert.equal(calls() - before, 2)
      assert.deepEqual([await answerOn(`/a${index}`), await answerOn(`/b${index}`)], first)
      assert.equal(calls() - before, 2)
      assert.notEqual(first[0], first[1])
    })
  }

  test('a policy is applied to each request, not kept with the answer: the consumer by username and by client id', async () => {
    await gateway.admin('PUT', '/consumers/alice', { custom_id: 'somebody-else' })
    await gateway.admin('PUT', '/consumers/robot', { custom_id: 'client-1' })
    await guard('by-username', { consumer_by: 'username' })
    await guard('by-client', { consumer_by: 'client_id' })
    for (let round = 0; round < 2; round++) {
      for (const [path, username] of [
        ['/by-username', 'alice'],
        ['/by-client', 'robot'],
      ] as const) {
        const { json } = await client.get(path, { authorization: `Bearer ${TOKEN}` })
        assert.equal(json?.headers?.['X-Consumer-Username'], username)
      }
    }
  })

  test('claims are forwarded by the configuration of the request, not of the first one', async () => {
    await guard('forwarding', { custom_claims_forward: ['tenant'] })
    await guard('silent', {})
    for (let round = 0; round < 2; round++) {
      const forwarding = await client.get('/forwarding', { authorization: `Bearer ${TOKEN}` })
      const silent = await client.get('/silent', { authorization: `Bearer ${TOKEN}` })
      assert.equal(forwarding.json?.headers?.['X-Credential-Tenant'], 'T')
      assert.equal(silent.json?.headers?.['X-Credential-Tenant'], undefined)
    }
  })

  test('where the server is told about the request, answers belong to path and method', async () => {
    await guard('told', { introspect_request: true })
    const before = calls()
    const told = [await answerOn('/told/a'), await answerOn('/told/b'), await answerOn('/told/a')]
    assert.equal(calls() - before, 2)
    assert.notEqual(told[0], told[1])
    assert.equal(told[0], told[2])
    const response = await client.request('DELETE', '/told/a', { headers: { authorization: `Bearer ${TOKEN}` } })
    assert.equal(response.status, 200)
    assert.equal(calls() - before, 3)
  })

  test('tokens that differ in one character, in case or in padding have answers of their own', async () => {
    await guard('tokens', {})
    const before = calls()
    const tokens = ['abc', 'abd', 'ABC', 'abc=', 'abc==', 'abcabc', 'ab', 'abc.', 'abc~']
    for (const token of [...tokens, ...tokens]) {
      const response = await client.get('/tokens', { authorization: `Bearer ${token}` })
      assert.match(String(response.json?.headers?.['X-Credential-Sub']), new RegExp(`token=${encodeURIComponent(token)}$`))
    }
    assert.equal(calls() - before, tokens.length)
  })

  test('an answer does not survive a change of the client that asked for it', async () => {
    const id = await guard('changing', { authorization_value: 'Basic b2xk' })
    const old = await answerOn('/changing')
    await gateway.admin('PATCH', `/plugins/${id}`, { config: { authorization_value: 'Basic bmV3' } })
    assert.notEqual(await answerOn('/changing'), old)
  })

  test('an answer does not survive the removal of its plugin', async () => {
    const id = await guard('again', {})
    await answerOn('/again')
    await gateway.admin('DELETE', `/plugins/${id}`)
    await gateway.admin('DELETE', '/routes/again')
    await guard('again', {})
    const before = calls()
    await answerOn('/again')
    assert.equal(calls() - before, 1)
  })
})

let answers = 0

/** An answer whose subject shows who asked whom for what; no two are equal. */
function tellApart(server: string, { path, headers, form }: StubRequest): object {
  const about = [headers['x-request-path'], headers['x-request-http-method']].join(' ')
  const sub = [
    ++answers,
    server,
    path,
    headers.authorization,
    headers['x-tenant'],
    about,
    `token=${encodeURIComponent(form.get('token') ?? '')}`,
  ]
  return { active: true, sub: sub.join('|'), username: 'alice', client_id: 'client-1', tenant: 'T' }
}
