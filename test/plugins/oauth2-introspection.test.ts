import assert from 'node:assert/strict'
import { createServer as createTlsServer } from 'node:https'
import { after, before, describe, test } from 'node:test'
import { setTimeout as passes } from 'node:timers/promises'
import { type EchoedRequest, type EchoUpstream, startEchoUpstream } from '../../demo/echo-upstream.ts'
import { close, listen } from '../../demo/listening.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { createHttpClient, type HttpClient, type HttpRequestOptions, type HttpResponse } from '../support/http-client.ts'
import { RawConnection } from '../support/raw-client.ts'
import { SELF_SIGNED_CERTIFICATE, SELF_SIGNED_KEY } from '../support/self-signed.ts'
import { type AnswerFunction, type StubAnswer, type StubIntrospection, startStubIntrospection } from '../support/stub-introspection.ts'

const FORM = 'application/x-www-form-urlencoded'
const NEGATIVES = 50

let gateway: Gateway
let upstream: EchoUpstream
let client: HttpClient
let paths = 0

before(async () => {
  upstream = await startEchoUpstream()
  gateway = await startGateway({ env: { SALLYPORT_INTROSPECTION_CACHE_NEGATIVE_MAX_ENTRIES: String(NEGATIVES) } })
  client = createHttpClient(gateway.proxyOrigin)
  await admin('POST', '/services', { name: 'echo', url: upstream.origin })
  for (const consumer of [
    { username: 'alice', custom_id: 'client-a' },
    { username: 'guest', custom_id: 'client-g' },
  ]) {
    await admin('POST', '/consumers', consumer)
  }
})

after(async () => {
  await client?.close()
  await gateway?.stop()
  await upstream?.stop()
})

async function admin(method: string, path: string, body?: unknown): Promise<HttpResponse> {
  const response = await gateway.admin(method, path, body)
  assert.ok(response.status < 300, `${method} ${path}: ${response.status} ${response.text}`)
  return response
}

/** A route of its own with the plugin, and an introspection endpoint of its own. */
class Case implements AsyncDisposable {
  readonly as: StubIntrospection
  readonly path: string
  readonly pluginId: string

  private constructor(as: StubIntrospection, path: string, pluginId: string) {
    this.as = as
    this.path = path
    this.pluginId = pluginId
  }

  static async open(config: object = {}, answer: AnswerFunction | StubAnswer = { body: { active: true } }): Promise<Case> {
    const as = await startStubIntrospection(answer)
    const name = `case-${paths++}`
    await admin('POST', '/services/echo/routes', { name, paths: [`/anything/${name}/`], strip_path: false })
    const plugin = await admin('POST', `/routes/${name}/plugins`, {
      name: 'oauth2-introspection',
      config: { introspection_url: as.url, authorization_value: 'Basic c2VjcmV0', ...config },
    })
    return new Case(as, `/anything/${name}/`, String(plugin.json?.['id']))
  }

  send(options: HttpRequestOptions & { method?: string; path?: string } = {}): Promise<HttpResponse> {
    const { method = 'GET', path = '', ...rest } = options
    return client.request(method, this.path + path, rest)
  }

  bearer(token = 'T', headers: Record<string, string | string[]> = {}, path = ''): Promise<HttpResponse> {
    return this.send({ path, headers: { authorization: `Bearer ${token}`, ...headers } })
  }

  /** Bodies of the calls to the endpoint. */
  get calls(): readonly string[] {
    return this.as.requests.map(({ body }) => body)
  }

  /** What the upstream got last on this route. */
  get forwarded(): EchoedRequest {
    const found = upstream.requests.findLast(({ target }) => target.startsWith(this.path))
    assert.ok(found, 'nothing was forwarded')
    return found
  }

  /** A header that the upstream got, in any spelling of its name; undefined for none. */
  header(name: string): string | undefined {
    const found = this.forwarded.rawHeaders.filter(([key]) => key.toLowerCase().replaceAll('_', '-') === name.toLowerCase())
    assert.ok(found.length <= 1, `${name} came ${found.length} times`)
    return found[0]?.[1]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.as.stop()
  }
}

function assertMissing(response: HttpResponse): void {
  assert.equal(response.status, 401)
  assert.deepEqual(response.json, { error: 'invalid_request', error_description: 'The access token is missing' })
  assert.equal(response.headers['www-authenticate'], 'Bearer realm="service"')
  assert.equal(response.headers['content-type'], 'application/json; charset=utf-8')
}

function assertInvalid(response: HttpResponse): void {
  assert.equal(response.status, 401)
  assert.deepEqual(response.json, { error: 'invalid_token', error_description: 'The access token is invalid or has expired' })
  assert.equal(
    response.headers['www-authenticate'],
    'Bearer realm="service", error="invalid_token", error_description="The access token is invalid or has expired"',
  )
}

function assertUnavailable(response: HttpResponse): void {
  assert.equal(response.status, 503, response.text)
  assert.match(response.headers['retry-after'] ?? '', /^[1-9]\d*$/)
  assert.equal(response.headers['www-authenticate'], undefined)
}

const assertProxied = (response: HttpResponse): void => assert.equal(response.status, 200, response.text)
const nowS = (): number => Math.floor(Date.now() / 1000)
const form = (body: string, more: HttpRequestOptions & { path?: string } = {}) => ({
  method: 'POST',
  body,
  ...more,
  headers: { 'content-type': FORM, ...more.headers },
})

describe('where the token is', () => {
  test('A1: no token is 401, and the server is not asked', async () => {
    await using it = await Case.open()
    assertMissing(await it.send())
    assert.equal(it.as.calls, 0)
  })

  test('A2: a bearer token is posted once, as a form', async () => {
    await using it = await Case.open()
    assertProxied(await it.bearer())
    assert.deepEqual(it.calls, ['token=T'])
    assert.equal(it.as.requests[0]?.method, 'POST')
  })

  for (const [name, value] of [
    ['A3: the scheme is read in any case, the space may be wide', 'bEaReR   T'],
    ['A4: the scheme may be "token"', 'token T'],
  ] as const) {
    test(name, async () => {
      await using it = await Case.open()
      assertProxied(await it.send({ headers: { authorization: value } }))
      assert.deepEqual(it.calls, ['token=T'])
    })
  }

  test('A5: Basic credentials are never sent to the server', async () => {
    await using it = await Case.open()
    assertMissing(await it.send({ headers: { authorization: 'Basic dTpw' } }))
    assert.equal(it.as.calls, 0)
  })

  test('A6: beside Basic credentials the query is searched', async () => {
    await using it = await Case.open()
    assertProxied(await it.send({ path: '?access_token=T', headers: { authorization: 'Basic dTpw' } }))
    assert.deepEqual(it.calls, ['token=T'])
  })

  test('A7: the header wins over the query', async () => {
    await using it = await Case.open()
    await it.bearer('A', {}, '?access_token=B')
    assert.deepEqual(it.calls, ['token=A'])
  })

  test('A8: a repeated argument is no token', async () => {
    await using it = await Case.open()
    assertMissing(await it.send({ path: '?access_token=A&access_token=B' }))
  })

  test('A9: a token in a form is introspected, the rest of the form arrives', async () => {
    await using it = await Case.open()
    assertProxied(await it.send(form('a=%41&access_token=T&b=+')))
    assert.deepEqual(it.calls, ['token=T'])
    assert.equal(it.forwarded.body.toString(), 'a=%41&b=+')
  })

  test('A10: a token in a JSON body is introspected, the rest arrives', async () => {
    await using it = await Case.open()
    assertProxied(await it.send({ method: 'POST', body: { access_token: 'T', x: 1 } }))
    assert.equal(it.forwarded.body.toString(), '{"x":1}')
    assert.equal(it.header('content-length'), '7')
  })

  test('A11: JSON that is no object is no token and no failure', async () => {
    await using it = await Case.open()
    for (const body of ['[1]', '"s"', 'null', '3', '{"acc']) {
      assertMissing(await it.send({ method: 'POST', body, headers: { 'content-type': 'application/json' } }))
    }
  })

  test('A12: the body of a GET is not searched', async () => {
    await using it = await Case.open()
    assertMissing(await it.send({ ...form('access_token=T'), method: 'GET' }))
  })

  test('A13: two Authorization lines are no token', async () => {
    await using it = await Case.open()
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send(`GET ${it.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer T\r\nAuthorization: Bearer T\r\n\r\n`)
    assert.equal((await connection.readFinalResponse({ method: 'GET' })).status, 401)
    assert.equal(it.as.calls, 0)
  })

  test('A14: the query wins over the body', async () => {
    await using it = await Case.open()
    assertProxied(await it.send(form('access_token=B', { path: '?access_token=Q' })))
    assert.deepEqual(it.calls, ['token=Q'])
  })
})

describe('the call to the server', () => {
  test('B1: the hint is sent if there is one', async () => {
    await using it = await Case.open({ token_type_hint: 'access_token' })
    await it.bearer()
    assert.deepEqual(it.calls, ['token=T&token_type_hint=access_token'])
  })

  test('B2: the Authorization value is sent as it is', async () => {
    await using it = await Case.open({ authorization_value: 'Basic abc' })
    await it.bearer()
    assert.equal(it.as.requests[0]?.headers.authorization, 'Basic abc')
    assert.equal(it.as.requests[0]?.headers.accept, 'application/json')
    assert.equal(it.as.requests[0]?.headers['content-type'], FORM)
  })

  test('B3: the server decodes the very token', async () => {
    await using it = await Case.open()
    await it.bearer('a+b/c=&d%41~')
    assert.equal(it.as.requests[0]?.form.get('token'), 'a+b/c=&d%41~')
  })

  test('B4: path and method of the request are told if so configured', async () => {
    await using it = await Case.open({ introspect_request: true })
    await it.bearer('T', {}, 'a%20b?c=d')
    assert.equal(it.as.requests[0]?.headers['x-request-path'], `${it.path}a%20b`)
    assert.equal(it.as.requests[0]?.headers['x-request-http-method'], 'GET')
  })

  test('B5: no header of the caller reaches the server', async () => {
    await using it = await Case.open()
    await it.bearer('T', { 'x-request-path': 'mine', 'x-mine': '1' })
    assert.equal(it.as.requests[0]?.headers['x-request-path'], undefined)
    assert.equal(it.as.requests[0]?.headers['x-mine'], undefined)
  })

  test('B6: custom headers are sent, those that frame the message are not', async () => {
    await using it = await Case.open({ custom_introspection_headers: { 'X-Foo': 'bar', 'Content-Type': 'text/plain' } })
    await it.bearer()
    assert.equal(it.as.requests[0]?.headers['x-foo'], 'bar')
    assert.equal(it.as.requests[0]?.headers['content-type'], FORM)
  })

  test('B7: a redirect is not followed', async () => {
    await using other = await startStubIntrospection({ body: { active: true } })
    await using it = await Case.open({}, { status: 302, headers: { location: other.url } })
    assertUnavailable(await it.bearer())
    assert.equal(other.calls, 0)
  })

  test('B8: a certificate of an unknown authority is not accepted', async () => {
    const server = createTlsServer({ key: SELF_SIGNED_KEY, cert: SELF_SIGNED_CERTIFICATE }, (_request, response) => {
      response.end('{"active":true}')
    })
    const port = await listen(server)
    try {
      await using it = await Case.open({ introspection_url: `https://127.0.0.1:${port}/introspect` })
      assertUnavailable(await it.bearer())
      assert.match(await gateway.logText(), /SELF_SIGNED/)
    } finally {
      await close(server)
    }
  })

  test('B9: a server that never answers is given up after three times the timeout at most', async () => {
    await using it = await Case.open({ timeout: 200 }, 'never')
    const start = performance.now()
    assertUnavailable(await it.bearer())
    assert.ok(performance.now() - start < 1000)
  })
})

describe('the answer of the server', () => {
  test('C1: active is proxied', async () => {
    await using it = await Case.open()
    assertProxied(await it.bearer())
  })

  test('C2: not active is 401', async () => {
    await using it = await Case.open({}, { body: { active: false } })
    assertInvalid(await it.bearer())
  })

  test('C3 C4: anything but a boolean is 401, logged as an error, and asked about again', async () => {
    for (const body of [{}, { active: 'true' }]) {
      await using it = await Case.open({}, { body })
      assertInvalid(await it.bearer())
      assertInvalid(await it.bearer())
      assert.equal(it.as.calls, 2)
    }
    assert.match(await gateway.logText(), /without a boolean member/)
  })

  test('C5: what is no JSON object is 503', async () => {
    await using it = await Case.open()
    for (const body of ['[]', 'null', '"x"', '', '{"active":tr']) {
      it.as.answer({ body })
      assertUnavailable(await it.bearer())
    }
  })

  test('C6: statuses that are no answer are 503', async () => {
    await using it = await Case.open()
    for (const status of [401, 403, 404, 429, 500, 503]) {
      it.as.answer({ status, body: { active: true } })
      assertUnavailable(await it.bearer())
    }
    it.as.answer({ body: { active: true } })
    assertProxied(await it.bearer())
  })

  test('C7: an error about the token is 401', async () => {
    await using it = await Case.open({}, { status: 400, body: { error: 'invalid_token' } })
    assertInvalid(await it.bearer())
  })

  test('C8: exp that has passed is 401', async () => {
    await using it = await Case.open({}, { body: { active: true, exp: nowS() - 1 } })
    assertInvalid(await it.bearer())
  })

  test('C9: nbf ahead is 401', async () => {
    await using it = await Case.open({}, { body: { active: true, nbf: nowS() + 60 } })
    assertInvalid(await it.bearer())
  })

  test('C10: a server that is not there is 503, and no log ever holds the token or the secret', async () => {
    await using it = await Case.open()
    await it.as.pause()
    assertUnavailable(await it.bearer('S3CRET-T0KEN'))
    const log = await gateway.logText()
    assert.match(log, /ECONNREFUSED/)
    assert.doesNotMatch(log, /S3CRET-T0KEN|c2VjcmV0/)
  })
})

describe('the cache', { concurrency: true }, () => {
  test('D1: two requests with one token are one call', async () => {
    await using it = await Case.open()
    await it.bearer()
    assertProxied(await it.bearer())
    assert.equal(it.as.calls, 1)
  })

  test('D2: after ttl the server is asked again', async () => {
    await using it = await Case.open({ ttl: 1 })
    await it.bearer()
    await passes(1500)
    assertProxied(await it.bearer())
    assert.equal(it.as.calls, 2)
  })

  for (const [name, ttl] of [
    ['D3: exp ends an answer, however long ttl is', 3600],
    ['D4: exp ends an answer with ttl = 0 too', 0],
  ] as const) {
    test(name, async () => {
      await using it = await Case.open({ ttl })
      it.as.answer({ body: { active: true, exp: nowS() + 2 } })
      assertProxied(await it.bearer())
      it.as.answer({ body: { active: false } })
      await passes(3000)
      assertInvalid(await it.bearer())
      assert.equal(it.as.calls, 2)
    })
  }

  test('D5: with ttl = 0 and without exp any number of requests is one call', async () => {
    await using it = await Case.open({ ttl: 0 })
    for (let i = 0; i < 50; i++) assertProxied(await it.bearer())
    assert.equal(it.as.calls, 1)
  })

  test('D6: a revoked token is refused after ttl at the latest, and stays refused', async () => {
    await using it = await Case.open({ ttl: 1 })
    await it.bearer()
    it.as.answer({ body: { active: false } })
    await passes(1000)
    for (let i = 0; i < 3; i++) assertInvalid(await it.bearer())
  })

  test('D7: "not active" is reused for five seconds', async () => {
    await using it = await Case.open({}, { body: { active: false } })
    await it.bearer()
    it.as.answer({ body: { active: true } })
    await passes(3000)
    assertInvalid(await it.bearer())
    assert.equal(it.as.calls, 1)
    await passes(2100)
    assertProxied(await it.bearer())
    assert.equal(it.as.calls, 2)
  })

  test('D8 D9: a server that is down is 503 once the answer has ended; when it is back the next request succeeds', async () => {
    await using it = await Case.open({ ttl: 1 })
    await it.bearer()
    await it.as.pause()
    await passes(1000)
    assertUnavailable(await it.bearer())
    await it.as.resume()
    assertProxied(await it.bearer())
  })

  test('D10: fifty requests at once with a new token are one call', async () => {
    await using it = await Case.open()
    it.as.hold()
    const waiting = Array.from({ length: 50 }, () => it.bearer())
    await it.as.received(1)
    it.as.release()
    for (const response of await Promise.all(waiting)) assertProxied(response)
    assert.equal(it.as.calls, 1)
  })

  test('a client that leaves does not spoil the answer of the others', async () => {
    await using it = await Case.open()
    it.as.hold()
    const leaving = await RawConnection.open(gateway.proxyPort)
    leaving.send(`GET ${it.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer T\r\n\r\n`)
    await it.as.received(1)
    const staying = it.bearer()
    await leaving[Symbol.asyncDispose]()
    it.as.release()
    assertProxied(await staying)
    assert.equal(it.as.calls, 1)
  })

  test('D12: an answer about one path is not used for another', async () => {
    await using it = await Case.open({ introspect_request: true })
    for (const path of ['a', 'b', 'a']) await it.bearer('T', {}, path)
    assert.equal(it.as.calls, 2)
  })

  test('D13: a change of the plugin asks the server anew', async () => {
    await using it = await Case.open()
    await it.bearer()
    await admin('PATCH', `/plugins/${it.pluginId}`, { config: { ttl: 60 } })
    await it.bearer()
    assert.equal(it.as.calls, 2)
  })

  test('D14: equal configurations share no answers', async () => {
    await using first = await Case.open()
    await using second = await Case.open({ introspection_url: first.as.url })
    await first.bearer()
    await second.bearer()
    assert.equal(first.as.calls, 2)
  })
})

// On their own: what they do reaches the answers of all routes.
describe('the cache as a whole', () => {
  test('emptying the caches by the Admin API asks the server anew', async () => {
    await using it = await Case.open()
    await it.bearer()
    await admin('DELETE', '/cache')
    await it.bearer()
    assert.equal(it.as.calls, 2)
  })

  test('D11: a flood of invalid tokens leaves a valid one in the cache', async () => {
    await using it = await Case.open({}, ({ form: sent }) => ({ body: { active: sent.get('token') === 'good' } }))
    await it.bearer('good')
    for (let i = 0; i < NEGATIVES * 10; i += 25) await Promise.all(Array.from({ length: 25 }, (_, j) => it.bearer(`bad${i + j}`)))
    const { calls } = it.as
    assertProxied(await it.bearer('good'))
    assert.equal(it.as.calls, calls)
  })
})

describe('the consumer', () => {
  test('E1: the username finds its consumer', async () => {
    await using it = await Case.open({}, { body: { active: true, username: 'alice' } })
    await it.bearer()
    assert.equal(it.header('x-consumer-username'), 'alice')
    assert.equal(it.header('x-consumer-custom-id'), 'client-a')
    assert.match(it.header('x-consumer-id') ?? '', /^[0-9a-f-]{36}$/)
    assert.equal(it.header('x-anonymous-consumer'), undefined)
  })

  test('E2: without a match the request goes on without a consumer', async () => {
    await using it = await Case.open({}, { body: { active: true, username: 'nobody' } })
    assertProxied(await it.bearer())
    assert.equal(it.header('x-consumer-id'), undefined)
    assert.equal(it.header('x-credential-identifier'), 'nobody')
  })

  test('E3: client_id is compared with custom_id and not with a username', async () => {
    await using it = await Case.open({ consumer_by: 'client_id' }, ({ form: sent }) => ({
      body: { active: true, client_id: sent.get('token') },
    }))
    await it.bearer('client-a')
    assert.equal(it.header('x-consumer-username'), 'alice')
    await it.bearer('alice')
    assert.equal(it.header('x-consumer-username'), undefined)
  })

  test('E4 E5: consumers change and go while the answer is stored', async () => {
    await using it = await Case.open({ consumer_by: 'client_id' }, { body: { active: true, client_id: 'passing' } })
    const { json } = await admin('POST', '/consumers', { username: 'passing-by', custom_id: 'passing' })
    await it.bearer()
    assert.equal(it.header('x-consumer-username'), 'passing-by')
    await admin('PATCH', `/consumers/${json?.['id']}`, { custom_id: 'other' })
    await it.bearer()
    assert.equal(it.header('x-consumer-id'), undefined)
    await admin('PATCH', `/consumers/${json?.['id']}`, { custom_id: 'passing' })
    await it.bearer()
    assert.equal(it.header('x-consumer-username'), 'passing-by')
    await admin('DELETE', `/consumers/${json?.['id']}`)
    assertProxied(await it.bearer())
    assert.equal(it.header('x-consumer-id'), undefined)
    assert.equal(it.as.calls, 1)
  })
})

describe('the headers', () => {
  test('F1 F2: every member of the answer has its header', async () => {
    const claims = {
      scope: 'a b',
      client_id: 'c',
      username: 'u',
      token_type: 'Bearer',
      iat: 1,
      nbf: 2,
      sub: 's',
      aud: ['a', 'b'],
      iss: 'https://as',
      jti: 'j',
    }
    await using it = await Case.open({}, { body: { active: true, exp: 4_102_444_800, ...claims } })
    await it.bearer()
    const got = it.forwarded.rawHeaders.filter(([name]) => name.startsWith('X-Credential-'))
    assert.deepEqual(Object.fromEntries(got), {
      'X-Credential-Scope': 'a b',
      'X-Credential-Client-ID': 'c',
      'X-Credential-Identifier': 'u',
      'X-Credential-Token-Type': 'Bearer',
      'X-Credential-Exp': '4102444800',
      'X-Credential-Iat': '1',
      'X-Credential-Nbf': '2',
      'X-Credential-Sub': 's',
      'X-Credential-Aud': 'a, b',
      'X-Credential-Iss': 'https://as',
      'X-Credential-Jti': 'j',
    })
  })

  test('F3 F4 F7: identity headers of the caller never arrive, in any spelling', async () => {
    await using it = await Case.open({ custom_claims_forward: ['email'] }, { body: { active: true, email: null } })
    const forged = [
      'X-Credential-Scope',
      'X_Credential_Sub',
      'x-consumer-username',
      'X_CONSUMER_ID',
      'X-Anonymous-Consumer',
      'X-Credential-Email',
    ]
    await it.bearer('T', Object.fromEntries(forged.map((name) => [name, 'root'])))
    assert.ok(it.forwarded.rawHeaders.every(([, value]) => value !== 'root'))
  })

  test('F5 F6: custom claims arrive in their forms, and none injects a header', async () => {
    const claims = { email: 'a@b', realm_access: { roles: ['x'] }, flags: ['a', 1], n: 5, evil: 'x\r\nX-Admin: 1' }
    await using it = await Case.open({ custom_claims_forward: Object.keys(claims) }, { body: { active: true, ...claims } })
    await it.bearer()
    assert.equal(it.header('x-credential-email'), 'a@b')
    assert.equal(it.header('x-credential-realm-access'), '{"roles":["x"]}')
    assert.equal(it.header('x-credential-flags'), 'a, 1')
    assert.equal(it.header('x-credential-n'), '5')
    assert.equal(it.header('x-credential-evil'), 'xX-Admin: 1')
    assert.equal(it.header('x-admin'), undefined)
  })
})

describe('anonymous and errors', () => {
  const assertAnonymous = (it: Case, response: HttpResponse): void => {
    assertProxied(response)
    assert.equal(it.header('x-consumer-username'), 'guest')
    assert.equal(it.header('x-anonymous-consumer'), 'true')
    assert.ok(it.forwarded.rawHeaders.every(([name]) => !name.startsWith('X-Credential-')))
  }

  test('G1 G2 G3 G5: no token, an inactive one and a server that is down go on as the anonymous consumer', async () => {
    await using it = await Case.open({ anonymous: 'guest' }, { body: { active: false } })
    assertAnonymous(it, await it.send())
    assertAnonymous(it, await it.bearer('T', { 'x-credential-scope': 'admin' }))
    await it.as.pause()
    assertAnonymous(it, await it.bearer('U'))
  })

  test('G4 G5: an anonymous consumer that is not there, or is named by its custom_id, is 500 for who needs it', async () => {
    for (const anonymous of ['nobody', 'client-g']) {
      await using it = await Case.open({ anonymous })
      const response = await it.send()
      assert.equal(response.status, 500)
      assert.equal(response.json?.['message'], `anonymous consumer ${anonymous} is configured but doesn't exist`)
      assertProxied(await it.bearer())
    }
  })

  test('G7: preflights pass if so configured, else they are authenticated', async () => {
    await using open = await Case.open({ run_on_preflight: false })
    assertProxied(await open.send({ method: 'OPTIONS' }))
    assert.equal(open.header('x-consumer-id'), undefined)
    await using closed = await Case.open()
    assertMissing(await closed.send({ method: 'OPTIONS' }))
  })

  test('G8: a gRPC call without a token is status 16', async () => {
    await using it = await Case.open()
    const response = await it.send({ method: 'POST', body: '', headers: { 'content-type': 'application/grpc' } })
    assert.equal(response.status, 200)
    assert.equal(response.headers['grpc-status'], '16')
  })
})

describe('hiding the token', () => {
  test('H1: a header token is removed', async () => {
    await using it = await Case.open()
    await it.bearer()
    assert.equal(it.header('authorization'), undefined)
  })

  test('H2: a query token is removed, the other arguments stay as they are', async () => {
    await using it = await Case.open()
    await it.send({ path: '?b=%41+&access_token=T&a' })
    assert.equal(it.forwarded.target, `${it.path}?b=%41+&a`)
  })

  test('H3: a body token is removed and the length is right', async () => {
    await using it = await Case.open()
    await it.send(form('a=1&access_token=T'))
    assert.deepEqual([it.forwarded.body.toString(), it.header('content-length')], ['a=1', '3'])
    await it.send({
      method: 'POST',
      body: '{"n":12345678901234567890,"access_token":"T"}',
      headers: { 'content-type': 'application/json' },
    })
    assert.deepEqual([it.forwarded.body.toString(), it.header('content-length')], ['{"n":12345678901234567890}', '26'])
  })

  test('H4: with hide_credentials off everything stays', async () => {
    await using it = await Case.open({ hide_credentials: false })
    await it.bearer('T', {}, '?access_token=T')
    assert.equal(it.header('authorization'), 'Bearer T')
    assert.equal(it.forwarded.target, `${it.path}?access_token=T`)
    await it.send(form('access_token=T'))
    assert.equal(it.forwarded.body.toString(), 'access_token=T')
  })

  test('H5: Basic credentials stay, the query token goes', async () => {
    await using it = await Case.open()
    await it.send({ path: '?access_token=T', headers: { authorization: 'Basic dTpw' } })
    assert.equal(it.header('authorization'), 'Basic dTpw')
    assert.equal(it.forwarded.target, it.path)
  })
})
