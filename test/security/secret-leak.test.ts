import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type EchoUpstream, startEchoUpstream } from '../../demo/echo-upstream.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { createHttpClient, type HttpClient } from '../support/http-client.ts'
import { unusedPort } from '../support/ports.ts'
import { type StubIntrospection, startStubIntrospection } from '../support/stub-introspection.ts'

/** Characters that every encoding spells differently, and that a token may hold (RFC 6750 section 2.1). */
const secret = (place: string): string => `leak.${place}~+/${place}-7f3a9c==`

/** One for each place that can hold one, so that a find says where it came from. */
const SECRETS = {
  authorizationValue: secret('authorization-value'),
  changedAuthorizationValue: secret('changed-authorization-value'),
  clientSecret: secret('client-secret'),
  customHeader: secret('custom-header'),
  adminToken: secret('admin-token'),
  wrongAdminToken: secret('wrong-admin-token'),
  refusedConfig: secret('refused-config'),
  malformedConfig: secret('malformed-config'),
  headerToken: secret('header-token'),
  queryToken: secret('query-token'),
  formToken: secret('form-token'),
  jsonToken: secret('json-token'),
  multipartToken: secret('multipart-token'),
  cookie: secret('cookie'),
  basicPassword: secret('basic-password'),
  cookieToken: secret('cookie-token'),
  openidToken: secret('openid-token'),
  openidHeader: secret('openid-own-header'),
  openidQueryPassword: secret('openid-query-password'),
  openidFormPassword: secret('openid-form-password'),
  dpop: secret('dpop'),
  apiKey: secret('api-key'),
  logServerPassword: secret('log-server-password'),
  openidEchoed: secret('openid-echoed-by-an-error'),
  xAccessToken: secret('x-access-token'),
  referer: secret('referer'),
  proxyAuthorization: secret('proxy-authorization'),
  anonymousToken: secret('anonymous-token'),
  inactiveToken: secret('inactive-token'),
  malformedToken: `${secret('malformed-token')} `,
  echoedToken: secret('echoed-by-an-error'),
  echoedInJson: secret('echoed-in-bad-json'),
  tokenWhileDown: secret('while-the-server-is-down'),
  tokenUpstreamDown: secret('while-the-upstream-is-down'),
  noRoute: secret('no-route'),
  badRequest: secret('bad-request'),
  terminated: secret('echoed-by-termination'),
} as const

/** Every way in which a text may stand in a file: as it is, percent-encoded, in hexadecimal, in base64 at each of three alignments. */
function spellings(text: string): string[] {
  const bytes = Buffer.from(text)
  const base64 = [0, 1, 2].flatMap((offset) => {
    const encoded = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64')
    // Only the characters that depend on the secret alone.
    const stable = encoded.slice(Math.ceil((offset * 4) / 3), Math.floor(((offset + bytes.length) * 4) / 3)).replace(/=+$/, '')
    return [stable, stable.replaceAll('+', '-').replaceAll('/', '_')]
  })
  const json = JSON.stringify(text).slice(1, -1)
  return [
    text,
    json,
    encodeURIComponent(text),
    encodeURI(text),
    new URLSearchParams({ a: text }).toString().slice(2),
    bytes.toString('hex'),
    ...base64,
  ]
}

function assertClean(where: string, content: Buffer | string): void {
  const text = typeof content === 'string' ? content : content.toString('latin1')
  for (const [name, value] of Object.entries(SECRETS)) {
    const found = spellings(value).find((spelling) => text.includes(spelling))
    if (found === undefined) continue
    const at = text.indexOf(found)
    assert.fail(`${name} stands in ${where}: ${JSON.stringify(text.slice(Math.max(0, at - 200), at + found.length + 50))}`)
  }
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}

test('the search finds a secret in each spelling', () => {
  const text = secret('x')
  for (const [index, content] of [
    text,
    `a=${encodeURIComponent(text)}`,
    Buffer.from(`user:${text}`).toString('base64'),
    Buffer.from(`usr:${text}!`).toString('base64'),
    Buffer.from(`us:${text}`).toString('base64url'),
    JSON.stringify({ text }),
    Buffer.from(text).toString('hex'),
  ].entries()) {
    assert.ok(
      spellings(text).some((spelling) => content.includes(spelling)),
      `spelling ${index}`,
    )
  }
})

describe('secrets and tokens are neither written nor told', () => {
  let gateway: Gateway
  let client: HttpClient
  let upstream: EchoUpstream
  let server: StubIntrospection
  let logServer: StubIntrospection
  const answers: [what: string, text: string][] = []

  before(async () => {
    upstream = await startEchoUpstream()
    logServer = await startStubIntrospection({ body: {} })
    server = await startStubIntrospection(({ path, form }) => {
      if (path.startsWith('/.well-known'))
        return { body: { issuer: server.origin, introspection_endpoint: server.url, token_endpoint: server.url } }
      return answerTo(form.get('token') ?? form.get('password') ?? '')
    })
    gateway = await startGateway({
      env: {
        SALLYPORT_ADMIN_TOKEN: SECRETS.adminToken,
        SALLYPORT_PROXY_ACCESS_LOG: 'logs/access.log',
        SALLYPORT_PROXY_ERROR_LOG: 'logs/error.log',
        SALLYPORT_ADMIN_ACCESS_LOG: 'logs/admin_access.log',
        SALLYPORT_ADMIN_ERROR_LOG: 'logs/error.log',
        SALLYPORT_STATUS_ACCESS_LOG: 'logs/status_access.log',
      },
    })
    client = createHttpClient(gateway.proxyOrigin)
    await configure()
    await misuseAdmin()
    await useProxy()
    await gateway.quit()
  })
  after(async () => {
    await upstream.stop()
    await server.stop()
    await logServer.stop()
    await client.close()
    await gateway.stop()
  })

  const admin = (method: string, path: string, body?: unknown, token: string = SECRETS.adminToken) =>
    gateway.admin(method, path, body, { 'kong-admin-token': token })

  async function configure(): Promise<void> {
    const nowhere = `http://127.0.0.1:${await unusedPort()}`
    const set = async (path: string, body: object) => {
      const answer = await admin('PUT', path, body)
      assert.equal(answer.status, 200, answer.text)
    }
    await set('/consumers/guest', {})
    await set('/services/up', { url: `${upstream.origin}/anything` })
    await set('/services/gone', { url: nowhere, retries: 0 })
    const guard = async (name: string, service: string, config: object) => {
      await set(`/routes/${name}`, { paths: [`/${name}`], service: { name: service } })
      const plugin = await admin('POST', `/routes/${name}/plugins`, {
        name: 'oauth2-introspection',
        config: {
          introspection_url: server.url,
          authorization_value: `Bearer ${SECRETS.authorizationValue}`,
          custom_introspection_headers: { 'X-Api-Key': SECRETS.customHeader },
          ...config,
        },
      })
      assert.equal(plugin.status, 201, plugin.text)
      return String(plugin.json?.id)
    }
    await guard('hiding', 'up', {})
    await guard('showing', 'up', { hide_credentials: false })
    await guard('anonymous', 'up', { anonymous: 'guest' })
    await guard('nobody', 'up', { anonymous: 'missing-consumer' })
    await guard('gone', 'gone', { hide_credentials: false })
    await guard('down', 'up', { introspection_url: `${nowhere}/introspect` })
    const changing = await guard('changing', 'up', {})
    await admin('PATCH', `/plugins/${changing}`, { config: { authorization_value: SECRETS.changedAuthorizationValue } })
    await set('/routes/openid', { paths: ['/openid'], service: { name: 'up' } })
    const openid = await admin('POST', '/routes/openid/plugins', {
      name: 'openid-connect',
      config: {
        issuer: server.origin,
        client_id: ['gateway'],
        client_secret: [SECRETS.clientSecret],
        auth_methods: ['introspection', 'password'],
        bearer_token_param_type: ['header', 'query', 'body', 'cookie'],
        bearer_token_cookie_name: 'token',
      },
    })
    assert.equal(openid.status, 201, openid.text)
    const openidHeader = await admin('POST', '/services/up/routes', { name: 'openid-header', paths: ['/openid-header'] })
    assert.equal(openidHeader.status, 201, openidHeader.text)
    const ownHeader = await admin('POST', '/routes/openid-header/plugins', {
      name: 'openid-connect',
      config: {
        issuer: server.origin,
        client_id: ['gateway'],
        client_secret: [SECRETS.clientSecret],
        auth_methods: ['introspection'],
        bearer_token_header_name: 'X-Own-Token',
        hide_credentials: false,
        upstream_access_token_header: 'x-upstream-own',
        downstream_access_token_header: 'x-downstream-own',
      },
    })
    assert.equal(ownHeader.status, 201, ownHeader.text)
    const logServerUrl = logServer.url.replace('//', `//gateway:${encodeURIComponent(SECRETS.logServerPassword)}@`)
    for (const plugin of [
      { name: 'http-log', config: { http_endpoint: logServerUrl } },
      { name: 'file-log', config: { path: join(gateway.prefix, 'logs', 'entries.log') } },
      { name: 'correlation-id' },
    ]) {
      const logger = await admin('POST', '/plugins', plugin)
      assert.equal(logger.status, 201, logger.text)
    }
    await set('/routes/terminated', { paths: ['/terminated'] })
    await admin('POST', '/routes/terminated/plugins', { name: 'request-termination', config: { status_code: 418, echo: true } })
  }

  /** Requests of the Admin API that are refused, with secrets in them. */
  async function misuseAdmin(): Promise<void> {
    const tell = (what: string, { text }: { text: string }) => void answers.push([what, text])
    tell('a wrong token', await admin('GET', '/services', undefined, SECRETS.wrongAdminToken))
    tell(
      'a wrong token as bearer',
      await gateway.admin('GET', '/services', undefined, { authorization: `Bearer ${SECRETS.wrongAdminToken}` }),
    )
    tell('a token in the query', await gateway.admin('GET', `/services?access_token=${encodeURIComponent(SECRETS.wrongAdminToken)}`))
    const config = { introspection_url: 'no url', authorization_value: `Bearer ${SECRETS.refusedConfig}`, ttl: -1 }
    tell('a refused plugin', await admin('POST', '/plugins', { name: 'oauth2-introspection', config }))
    const listed = { introspection_url: server.url, authorization_value: [SECRETS.refusedConfig] }
    tell('a secret of the wrong type', await admin('POST', '/plugins', { name: 'oauth2-introspection', config: listed }))
    const split = {
      introspection_url: server.url,
      authorization_value: 'x',
      custom_introspection_headers: { A: `${SECRETS.refusedConfig}\r\nB: c` },
    }
    tell('a header value of two lines', await admin('POST', '/plugins', { name: 'oauth2-introspection', config: split }))
    const body = `{"config": {"authorization_value": "${SECRETS.malformedConfig}", `
    tell(
      'a body that is no JSON',
      await gateway.admin('POST', '/plugins', body, { 'kong-admin-token': SECRETS.adminToken, 'content-type': 'application/json' }),
    )
    tell('settings', await admin('GET', '/'))
    tell('status', await admin('GET', '/status'))
  }

  async function useProxy(): Promise<void> {
    type Parts = { method?: string; headers?: Record<string, string>; body?: string | URLSearchParams }
    const send = async (what: string, expected: number, path: string, { method = 'GET', headers = {}, body }: Parts = {}) => {
      const response = await client.request(method, path, { headers, body })
      assert.equal(response.status, expected, `${what}: ${response.text}`)
      // The upstream may tell a client what it sent; the gateway may not.
      if (response.status >= 400) answers.push([what, JSON.stringify(response.rawHeaders) + response.text])
    }
    const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })
    const encoded = (token: string) => encodeURIComponent(token)

    for (const path of ['/hiding', '/showing', '/gone']) {
      const expected = path === '/gone' ? 502 : 200
      await send('a token in the header', expected, path, bearer(SECRETS.headerToken))
      await send('a token in the query', expected, `${path}?a=1&access_token=${encoded(SECRETS.queryToken)}&b=2`)
      await send('a token in the query, half encoded', expected, `${path}?access%5Ftoken=${encoded(SECRETS.queryToken)}`)
      await send('a token in a form', expected, path, { method: 'POST', body: new URLSearchParams({ access_token: SECRETS.formToken }) })
      await send('a token in JSON', expected, path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ access_token: SECRETS.jsonToken }),
      })
      await send('a token in a multipart body', expected, path, {
        method: 'POST',
        headers: { 'content-type': 'multipart/form-data; boundary=b' },
        body: `--b\r\nContent-Disposition: form-data; name="access_token"\r\n\r\n${SECRETS.multipartToken}\r\n--b--\r\n`,
      })
    }
    const others = {
      cookie: `session=${SECRETS.cookie}`,
      'x-access-token': SECRETS.xAccessToken,
      'access-token': SECRETS.xAccessToken,
      referer: `https://client.test/?access_token=${encoded(SECRETS.referer)}`,
      'proxy-authorization': `Bearer ${SECRETS.proxyAuthorization}`,
      authorization: `Basic ${Buffer.from(`user:${SECRETS.basicPassword}`).toString('base64')}`,
    }
    await send('other credentials', 401, '/hiding', { headers: others })
    await send('other credentials where no route matches', 404, `/none?access_token=${encoded(SECRETS.noRoute)}`, { headers: others })
    await send('a token and the anonymous consumer', 200, '/anonymous', bearer(SECRETS.anonymousToken))
    await send('a missing anonymous consumer', 500, '/nobody', bearer(SECRETS.anonymousToken))
    await send('an inactive token', 401, '/hiding', bearer(SECRETS.inactiveToken))
    await send('a malformed token', 401, '/hiding', bearer(`${SECRETS.malformedToken}"`))
    await send('an error that echoes the token', 503, '/hiding', bearer(SECRETS.echoedToken))
    await send('an answer that is no JSON and echoes the token', 503, '/hiding', bearer(SECRETS.echoedInJson))
    await send('a server that is down', 503, '/down', bearer(SECRETS.tokenWhileDown))
    await send('an upstream that is down', 502, `/gone?token=${encoded(SECRETS.tokenUpstreamDown)}`, bearer(SECRETS.tokenUpstreamDown))
    await send('a token for OpenID Connect', 200, '/openid', bearer(SECRETS.openidToken))
    await send('a token for OpenID Connect in the query', 200, `/openid?access_token=${encoded(SECRETS.openidToken)}`)
    await send('a token for OpenID Connect in a cookie', 200, '/openid', { headers: { cookie: `token=${encoded(SECRETS.cookieToken)}` } })
    await send('an inactive token for OpenID Connect', 401, '/openid', bearer(SECRETS.inactiveToken))
    await send('an error for OpenID Connect that echoes the token', 503, '/openid', bearer(SECRETS.openidEchoed))
    await send('a password for OpenID Connect', 503, '/openid', { headers: { authorization: others.authorization } })
    for (const name of ['authorization', 'access-token', 'x-access-token']) {
      await send(`a token for OpenID Connect in ${name}`, 200, '/openid', { headers: { [name]: `Bearer ${SECRETS.openidToken}` } })
    }
    await send('a token for OpenID Connect in a form', 200, '/openid', {
      method: 'POST',
      body: new URLSearchParams({ access_token: SECRETS.openidToken }),
    })
    await send('a token for OpenID Connect in JSON', 200, '/openid', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ access_token: SECRETS.openidToken }),
    })
    const pair = (password: string) => ({ username: 'user', password })
    await send('a password in the query', 503, `/openid?${new URLSearchParams(pair(SECRETS.openidQueryPassword))}`)
    await send('a password in a form', 503, '/openid', { method: 'POST', body: new URLSearchParams(pair(SECRETS.openidFormPassword)) })
    const own = { 'x-own-token': SECRETS.openidHeader, dpop: SECRETS.dpop, 'x-api-key': SECRETS.apiKey }
    await send('a token in a header of its own', 200, '/openid-header', { headers: own })
    await send('a token in a header of its own, for another route', 401, '/hiding', { headers: own })
    await send('a token in a header of its own, for no route', 404, '/none', { headers: own })
    await send('a changed client', 200, '/changing', bearer(SECRETS.headerToken))
    await send('a bad request', 400, `/%zz?access_token=${encoded(SECRETS.badRequest)}`, bearer(SECRETS.badRequest))
    await send('a termination that echoes', 418, `/terminated?access_token=${encoded(SECRETS.terminated)}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${SECRETS.terminated}`, cookie: SECRETS.terminated },
      body: new URLSearchParams({ access_token: SECRETS.terminated }),
    })
  }

  test('no answer of the gateway tells one', () => {
    assert.ok(answers.length > 20)
    for (const [what, text] of answers) assertClean(`the answer to ${what}`, text)
  })

  test('what the program printed holds none', () => {
    assert.match(gateway.output, /Sallyport started/)
    assertClean('the output', gateway.output)
  })

  test('no log holds one, although everything was logged', async () => {
    const files = await filesBelow(join(gateway.prefix, 'logs'))
    const logged = await Promise.all(files.map((file) => readFile(file, 'utf8')))
    const lines = logged.join('').split('\n').length
    assert.ok(lines > 40, `${lines} lines in ${files.join(', ')}`)
    for (const [index, file] of files.entries()) assertClean(file, logged[index] as string)
  })

  test('entries about all of these requests were logged, to a file and to a server, without one', async () => {
    const lines = (await readFile(join(gateway.prefix, 'logs', 'entries.log'), 'utf8')).trimEnd().split('\n')
    assert.ok(lines.length > 40, `${lines.length} entries`)
    const names = [
      'authorization',
      'cookie',
      'dpop',
      'x-api-key',
      'x-own-token',
      'x-upstream-own',
      'x-downstream-own',
      'proxy-authorization',
    ]
    for (const name of names) assert.ok(lines.join('').includes(`"${name}":"REDACTED"`), name)
    assert.ok(lines.join('').includes('"access_token":"REDACTED"'))
    assert.equal(logServer.calls, lines.length)
    for (const { body, headers } of logServer.requests) {
      assertClean('an entry sent', body)
      assert.equal(headers.authorization, `Basic ${Buffer.from(`gateway:${SECRETS.logServerPassword}`).toString('base64')}`)
    }
  })

  test('no other file of the prefix holds one; in the database they are encrypted', async () => {
    const files = await filesBelow(gateway.prefix)
    assert.ok(files.some((file) => file.endsWith('sallyport.sqlite')))
    assert.ok(files.some((file) => file.endsWith('keyring.key')))
    for (const file of files) {
      const content = await readFile(file, 'latin1')
      // Kong's schema does not call these header values secret, so that they are kept like any other field.
      const { customHeader } = SECRETS
      assertClean(file, file.includes('.sqlite') ? content.replaceAll(customHeader, '') : content)
    }
  })

  test('the authorization server got what it needs, so that all of this was really used', () => {
    const values = server.requests.map(({ headers, form }) => [headers.authorization, headers['x-api-key'], form.get('token')])
    for (const name of ['headerToken', 'queryToken', 'formToken', 'jsonToken', 'multipartToken', 'echoedToken'] as const) {
      assert.ok(
        values.some(([authorization, key, token]) => {
          return authorization === `Bearer ${SECRETS.authorizationValue}` && key === SECRETS.customHeader && token === SECRETS[name]
        }),
        name,
      )
    }
    assert.ok(values.some(([authorization]) => authorization === SECRETS.changedAuthorizationValue))
    assert.ok(values.some(([, , token]) => token === SECRETS.openidToken))
    assert.ok(server.requests.some(({ form }) => form.get('password') === SECRETS.basicPassword))
  })
})

function answerTo(token: string) {
  if (token === SECRETS.inactiveToken || token === SECRETS.anonymousToken) return { body: { active: false } }
  if (token === SECRETS.echoedToken || token === SECRETS.openidEchoed || token === SECRETS.basicPassword) {
    return { status: 500, headers: { 'x-token': token, 'www-authenticate': `Bearer error="${token}"` }, body: `no such token: ${token}` }
  }
  if (token === SECRETS.echoedInJson)
    return { body: `{"active": tru, "token": "${token}"`, headers: { 'content-type': 'application/json' } }
  return { body: { active: true, username: 'user', sub: 'subject' } }
}
