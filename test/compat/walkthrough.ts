import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { Gateway } from '../support/gateway.ts'
import type { Json } from '../support/http-client.ts'
import type { Answer, CommandLine } from './command-line.ts'

/** How soon after the plugin was put its issuer must be listed. */
const DISCOVERY_MS = 5000
const PLUGIN = '5f35b796-ced6-4c00-9b2a-90eef745f4f9'
/** The members of a JWK that only its owner may know (RFC 7518 sections 6.2.2, 6.3.2 and 6.4; RFC 8037 section 2). */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

export type Walkthrough = {
  commandLine: CommandLine
  gateway: Gateway
  /** Of an authorization server whose client `kong` authenticates by `private_key_jwt`; John's password is doe. */
  issuer: string
  httpbinPort: number
  /** Tells the authorization server where client `kong` publishes its keys. */
  setJwksUrl(url: string): Promise<void>
}

function assertStatus(answer: Answer, status: number): void {
  assert.equal(answer.status, status, answer.text)
}

/** The identifiers of a list of keys, after a look that each is a key and that none shows a private member. */
export function assertPublicKeys(keys: unknown): string[] {
  assert.ok(Array.isArray(keys) && keys.length > 0, `no keys in ${JSON.stringify(keys)}`)
  return keys.map((key: Json) => {
    assert.ok(key['kty'], 'a key has its type')
    assert.ok(key['kid'], 'a key has an identifier')
    assert.deepEqual(
      Object.keys(key).filter((member) => PRIVATE_MEMBERS.includes(member)),
      [],
    )
    return String(key['kid'])
  })
}

function assertNoPrivateMembers(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  for (const [member, child] of Object.entries(value)) {
    assert.ok(!PRIVATE_MEMBERS.includes(member), `private member ${member}`)
    assertNoPrivateMembers(child)
  }
}

/** The documented command lines. Only the ports of the gateway, and host and port of the identity provider and of httpbin differ. */
function commandsFor({ gateway, issuer, httpbinPort }: Pick<Walkthrough, 'gateway' | 'issuer' | 'httpbinPort'>) {
  const { adminPort, proxyPort } = gateway
  return {
    service: `http -f put :${adminPort}/services/openid-connect url=http://httpbin.test:${httpbinPort}/anything`,
    route: `http -f put :${adminPort}/services/openid-connect/routes/openid-connect paths=/`,
    plugin:
      `http -f put :${adminPort}/plugins/${PLUGIN} name=openid-connect service.name=openid-connect ` +
      `config.issuer=${issuer} config.client_id=kong config.client_auth=private_key_jwt`,
    issuers: `http :${adminPort}/openid-connect/issuers`,
    jwks: `http :${adminPort}/openid-connect/jwks`,
    methods:
      `http -f patch :${adminPort}/plugins/${PLUGIN} config.bearer_token_param_type=header ` +
      'config.auth_methods=introspection config.auth_methods=password',
    password: `http -a john:doe :${proxyPort}`,
    wrongPassword: `http -a john:wrong :${proxyPort}`,
    nothing: `http :${proxyPort}`,
    passwordThenBearer: `http -v :${proxyPort} Authorization:"$(http -a john:doe :${proxyPort} | jq -r .headers.Authorization)"`,
    bearer: (token: string) => `http -v :${proxyPort} Authorization:"Bearer ${token}"`,
  }
}

/** The bearer token in the headers that httpbin received. */
function bearerTokenIn({ json }: Answer): string {
  const authorization = String(json?.['headers']?.['Authorization'])
  assert.match(authorization, /^Bearer \S+$/)
  return authorization.slice('Bearer '.length)
}

/** The documented walkthrough, each step with what it must answer. */
export async function walkThrough(t: TestContext, walkthrough: Walkthrough): Promise<void> {
  const { commandLine, gateway, issuer, httpbinPort } = walkthrough
  const commands = commandsFor(walkthrough)
  let service: string
  let token: string

  /** The steps build on each other: after one that failed there is nothing to learn from the next. */
  async function step(rule: string, run: () => Promise<void>): Promise<void> {
    let passed = false
    await t.test(rule, async () => {
      await run()
      passed = true
    })
    assert.ok(passed, `stopped at: ${rule}`)
  }

  const publishedKeys = async () => assertPublicKeys((await commandLine.run(commands.jwks)).json?.['keys'])

  /** The issuers, as soon as there are any: discovery goes on beside the Admin API, which does not wait for identity providers. */
  async function listedIssuers(): Promise<Json[]> {
    const endsAtMs = performance.now() + DISCOVERY_MS
    for (;;) {
      const answer = await commandLine.run(commands.issuers)
      assertStatus(answer, 200)
      const listed: unknown = answer.json?.['data']
      assert.ok(Array.isArray(listed))
      if (listed.length > 0 || performance.now() > endsAtMs) return listed
      await delay(50)
    }
  }

  await step('a service is made from a url', async () => {
    const answer = await commandLine.run(commands.service)
    assertStatus(answer, 200)
    const { json } = answer
    assert.equal(json?.['name'], 'openid-connect')
    assert.equal(json?.['protocol'], 'http')
    assert.equal(json?.['host'], 'httpbin.test')
    assert.equal(json?.['port'], httpbinPort)
    assert.equal(json?.['path'], '/anything')
    service = String(json?.['id'])
  })

  await step('a route is made below the service', async () => {
    const answer = await commandLine.run(commands.route)
    assertStatus(answer, 200)
    assert.equal(answer.json?.['name'], 'openid-connect')
    assert.deepEqual(answer.json?.['paths'], ['/'])
    assert.deepEqual(answer.json?.['service'], { id: service })
  })

  await step('the plugin is put at the identifier chosen, its service named, single values become lists', async () => {
    const answer = await commandLine.run(commands.plugin)
    assertStatus(answer, 200)
    const { json } = answer
    assert.equal(json?.['id'], PLUGIN)
    assert.equal(json?.['name'], 'openid-connect')
    assert.deepEqual(json?.['service'], { id: service })
    assert.equal(json?.['config']?.['issuer'], issuer)
    assert.deepEqual(json?.['config']?.['client_id'], ['kong'])
    assert.deepEqual(json?.['config']?.['client_auth'], ['private_key_jwt'])
  })

  await step('the Admin API publishes a generated key set without its private members', async () => {
    const answer = await commandLine.run(commands.jwks)
    assertStatus(answer, 200)
    assert.match(answer.headers['content-type'] ?? '', /^application\/jwk-set\+json/)
    const kids = assertPublicKeys(answer.json?.['keys'])
    assert.equal(new Set(kids).size, kids.length)
    await walkthrough.setJwksUrl(`${gateway.adminOrigin}/openid-connect/jwks`)
  })

  await step('the issuers show the discovery document and the public keys', async () => {
    const listed = await listedIssuers()
    assert.equal(listed.length, 1)
    const [found]: Json[] = listed
    assert.equal(String(found?.['issuer']).replace(/\/$/, ''), issuer)
    const configuration = found?.['configuration']
    assert.equal(configuration?.['issuer'], issuer)
    assert.equal(configuration?.['token_endpoint'], `${issuer}/protocol/openid-connect/token`)
    assert.equal(configuration?.['introspection_endpoint'], `${issuer}/protocol/openid-connect/token/introspect`)
    const keys: unknown = found?.['keys']
    assertPublicKeys(Array.isArray(keys) ? keys : found?.['keys']?.['keys'])
    assertNoPrivateMembers(listed)
  })

  await step('the methods are narrowed by a patch of repeated form fields', async () => {
    const answer = await commandLine.run(commands.methods)
    assertStatus(answer, 200)
    assert.deepEqual(answer.json?.['config']?.['auth_methods'], ['introspection', 'password'])
    assert.deepEqual(answer.json?.['config']?.['bearer_token_param_type'], ['header'])
    assert.deepEqual(answer.json?.['config']?.['client_auth'], ['private_key_jwt'])
  })

  await step("a user's name and password reach httpbin as a bearer token, which is then accepted itself", async () => {
    const answer = await commandLine.run(commands.passwordThenBearer)
    assertStatus(answer, 200)
    token = bearerTokenIn(answer)
    assert.ok(answer.text.includes('"url"'), 'it is httpbin that answers')
  })

  await step('a bearer token in the Authorization header reaches httpbin', async () => {
    const answer = await commandLine.run(commands.bearer(token))
    assertStatus(answer, 200)
    assert.equal(bearerTokenIn(answer), token)
  })

  await step('a wrong password, an unknown token and no credential are refused with 401 and a challenge', async () => {
    for (const command of [commands.wrongPassword, commands.bearer('unknown'), commands.nothing]) {
      const answer = await commandLine.run(command)
      assertStatus(answer, 401)
      assert.match(answer.headers['www-authenticate'] ?? '', /^Bearer /)
      assert.deepEqual(answer.json, { message: 'Unauthorized' })
    }
  })

  await step('the key set survives a restart of the gateway, and the way of a request with it', async () => {
    const before = await publishedKeys()
    await gateway.restart()
    assert.deepEqual(await publishedKeys(), before)
    const answer = await commandLine.run(commands.password)
    assertStatus(answer, 200)
    bearerTokenIn(answer)
  })

  await step('no private member of a key is in what the gateway printed', async () => {
    assert.doesNotMatch(await gateway.logText(), /"(?:d|p|q|dp|dq|qi|k)":"/)
  })
}
