import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { unusedPort } from '../support/ports.ts'
import { exchange, headerOf, headersOf, RawConnection, type RawResponse } from '../support/raw-client.ts'
import { type RawUpstream, startRawUpstream } from '../support/raw-upstream.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/temp.ts'

type Format = 'json' | 'plain' | 'html' | 'xml'

/** Kong's bodies, byte for byte. */
const BODIES: Record<Format, { type: string; body(message: string, id: string): string }> = {
  json: {
    type: 'application/json; charset=utf-8',
    body: (message, id) => `{\n  "message":"${message}",\n  "request_id":"${id}"\n}`,
  },
  plain: { type: 'text/plain; charset=utf-8', body: (message, id) => `${message}\nrequest_id: ${id}\n` },
  html: {
    type: 'text/html; charset=utf-8',
    body: (message, id) =>
      `<!doctype html>\n<html>\n  <head>\n    <meta charset="utf-8">\n    <title>Error</title>\n  </head>\n  <body>\n    <h1>Error</h1>\n    <p>${message}.</p>\n    <p>request_id: ${id}</p>\n  </body>\n</html>\n`,
  },
  xml: {
    type: 'application/xml; charset=utf-8',
    body: (message, id) =>
      `<?xml version="1.0" encoding="UTF-8"?>\n<error>\n  <message>${message}</message>\n  <requestid>${id}</requestid>\n</error>\n`,
  },
}

function assertError(response: RawResponse, status: number, format: Format, message: string): void {
  const id = headerOf(response, 'x-kong-request-id') ?? ''
  assert.match(id, /^[0-9a-f]{32}$/)
  assert.equal(response.status, status)
  assert.equal(headerOf(response, 'content-type'), BODIES[format].type)
  assert.equal(response.body.toString(), BODIES[format].body(message, id))
}

const NO_ROUTE = 'no Route matched with those values'
const BAD_GATEWAY = 'An invalid response was received from the upstream server'

/** Accept, then the format of an error of the router; null where the one that says nothing decides. */
const ACCEPTS: readonly (readonly [accept: string | null, format: Format | null])[] = [
  [null, null],
  ['', null],
  ['*/*', 'json'],
  ['text/html', 'html'],
  ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', 'html'],
  ['application/json', 'json'],
  ['Application/JSON', 'json'],
  ['application/json; charset=utf-8', 'json'],
  ['application/xml', 'xml'],
  ['text/plain', 'plain'],
  ['application/*', 'json'],
  ['text/*', 'plain'],
  ['image/png', 'json'],
  ['application/vnd.api+json', 'json'],
  ['text/html;q=0.5, application/xml;q=0.6', 'xml'],
  ['text/html;q=0.5, application/xml;q=0.5', 'html'],
  ['text/html;q=0, text/plain', 'plain'],
  ['text/html;q=0', null],
  ['text/plain;q=0.1, image/png;q=0.9', 'json'],
  ['text/html ; q=0.2 , application/xml ; q=0.8', 'xml'],
]

describe('errors are told in the format that the client accepts', () => {
  let gateway: Gateway
  before(async () => {
    const url = `http://127.0.0.1:${await unusedPort()}`
    const services = [{ name: 'gone', url, retries: 0, routes: [{ name: 'gone', paths: ['/gone'] }] }]
    gateway = await startGateway({ database: 'off', declarative: { _format_version: '3.0', services }, logLevel: 'crit' })
  })
  after(() => gateway.stop())

  const send = (path: string, ...lines: string[]) => exchange(gateway.proxyPort, [`GET ${path} HTTP/1.1`, 'Host: a', ...lines])

  for (const [accept, format] of ACCEPTS) {
    test(`Accept: ${accept ?? '(none)'}`, async () => {
      const lines = accept === null ? [] : [`Accept: ${accept}`]
      assertError(await send('/none', ...lines), 404, format ?? 'json', NO_ROUTE)
      assertError(await send('/gone', ...lines), 502, format ?? 'plain', BAD_GATEWAY)
    })
  }

  test('without Accept, a failure of the upstream follows the content type of the request, an error of the router is JSON', async () => {
    for (const [type, format] of [
      ['application/json', 'json'],
      ['application/json; charset=utf-8', 'json'],
      ['application/xml', 'xml'],
      ['text/html', 'html'],
      ['text/plain', 'plain'],
      ['image/png', 'plain'],
    ] as const) {
      assertError(await send('/gone', `Content-Type: ${type}`), 502, format, BAD_GATEWAY)
      assertError(await send('/none', `Content-Type: ${type}`), 404, 'json', NO_ROUTE)
    }
    assertError(await send('/gone', 'Content-Type: text/html', 'Accept: application/xml'), 502, 'xml', BAD_GATEWAY)
  })

  test('HEAD gets the head of the error alone', async () => {
    const response = await exchange(gateway.proxyPort, ['HEAD /none HTTP/1.1', 'Host: a'])
    assert.equal(response.status, 404)
    assert.equal(headerOf(response, 'content-length'), String(BODIES.json.body(NO_ROUTE, 'x'.repeat(32)).length))
    assert.equal(response.body.length, 0)
  })
})

test('error_default_type is the format of upstream failures where nothing else tells', async () => {
  for (const [type, format] of [
    ['application/json', 'json'],
    ['text/html', 'html'],
    ['application/xml', 'xml'],
  ] as const) {
    const url = `http://127.0.0.1:${await unusedPort()}`
    const services = [{ name: 'gone', url, retries: 0, routes: [{ name: 'gone', paths: ['/gone'] }] }]
    await using gateway = await startGateway({
      database: 'off',
      declarative: { _format_version: '3.0', services },
      env: { SALLYPORT_ERROR_DEFAULT_TYPE: type },
    })
    const send = (...lines: string[]) => exchange(gateway.proxyPort, [`GET ${lines[0]} HTTP/1.1`, 'Host: a', ...lines.slice(1)])
    assertError(await send('/gone'), 502, format, BAD_GATEWAY)
    assertError(await send('/gone', 'Content-Type: text/plain'), 502, 'plain', BAD_GATEWAY)
    assertError(await send('/none'), 404, 'json', NO_ROUTE)
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send('GARBAGE\r\n\r\n')
    assertError(await connection.readFinalResponse(), 400, format, 'Bad request')
  }
})

describe('each failure has its status and its words', () => {
  let gateway: Gateway
  let upstream: RawUpstream
  let silent: RawUpstream
  let folder: TemporaryFolder
  before(async () => {
    folder = await temporaryFolder()
    // Answers by the path; what is not listed waits for ever.
    upstream = await startRawUpstream(async (connection) => {
      for (;;) {
        const { line } = await connection.readRequest()
        if (line.includes('/reset')) return connection.reset()
        if (line.includes('/close')) return connection.close()
        if (line.includes('/garbage')) await connection.respond('no HTTP\r\n\r\n')
        const status = /\/status\/(\d+)/.exec(line)?.[1]
        if (status !== undefined) {
          await connection.respond(`HTTP/1.1 ${status} As It Is\r\nContent-Type: x/y\r\nX-Odd: 1\r\nContent-Length: 12\r\n\r\nits own body`)
        }
      }
    })
    silent = await startRawUpstream(() => {})
    const hosts = join(folder.path, 'hosts')
    await writeFile(hosts, '')
    const service = (name: string, url: string, more: object = {}) => ({
      name,
      url,
      retries: 0,
      ...more,
      routes: [{ name, paths: [`/${name}`] }],
    })
    const services = [
      service('refused', `http://127.0.0.1:${await unusedPort()}`),
      service('unknown', 'http://does-not-exist.invalid:80'),
      service('slow', upstream.origin, { read_timeout: 300 }),
      service('upstream', upstream.origin),
      service('tls', `https://127.0.0.1:${upstream.port}`),
      // A port that takes connections and answers nothing: the handshake does not end.
      service('handshake', `https://127.0.0.1:${silent.port}`, { connect_timeout: 300 }),
    ]
    gateway = await startGateway({
      database: 'off',
      declarative: { _format_version: '3.0', services, routes: [{ name: 'serviceless', paths: ['/serviceless'] }] },
      env: { SALLYPORT_DNS_HOSTSFILE: hosts, SALLYPORT_CLIENT_MAX_BODY_SIZE: '1k' },
      logLevel: 'crit',
    })
  })
  after(async () => {
    await upstream.stop()
    await silent.stop()
    await gateway.stop()
    await folder.remove()
  })

  const send = (path: string, ...lines: string[]) => exchange(gateway.proxyPort, [`GET ${path} HTTP/1.1`, 'Host: a', ...lines])

  const failures: readonly (readonly [what: string, path: string, status: number, format: Format, message: string])[] = [
    ['a refused connection', '/refused', 502, 'plain', BAD_GATEWAY],
    ['a reset before the answer', '/upstream/reset', 502, 'plain', BAD_GATEWAY],
    ['a close before the answer', '/upstream/close', 502, 'plain', BAD_GATEWAY],
    ['an upstream that speaks no TLS', '/tls', 502, 'plain', BAD_GATEWAY],
    ['an answer that is no HTTP', '/upstream/garbage', 502, 'plain', BAD_GATEWAY],
    ['a name that does not exist', '/unknown', 503, 'json', 'name resolution failed'],
    ['no answer in time', '/slow', 504, 'plain', 'The upstream server is timing out'],
    ['a handshake that does not end', '/handshake', 504, 'plain', 'The upstream server is timing out'],
    ['a route without a service', '/serviceless', 503, 'json', 'no Service found with those values'],
    ['no route', '/none', 404, 'json', NO_ROUTE],
  ]
  for (const [what, path, status, format, message] of failures) {
    test(`${what}: ${status}`, async () => {
      assertError(await send(path), status, format, message)
    })
  }

  test('an answer of the upstream passes unchanged, whatever its status', async () => {
    for (const status of [200, 301, 400, 404, 418, 500, 502, 503, 504, 599]) {
      const response = await send(`/upstream/status/${status}`, 'Accept: text/html')
      assert.deepEqual([response.status, response.reason, response.body.toString()], [status, 'As It Is', 'its own body'])
      assert.deepEqual([headerOf(response, 'content-type'), headerOf(response, 'x-odd')], ['x/y', '1'])
    }
  })

  test('a body beyond client_max_body_size is 413, one of just that size passes', async () => {
    const upload = (size: number) =>
      exchange(gateway.proxyPort, ['POST /upstream/status/200 HTTP/1.1', 'Host: a', `Content-Length: ${size}`], 'a'.repeat(size))
    assert.equal((await upload(1024)).status, 200)
    const response = await upload(1025)
    assertError(response, 413, 'plain', 'Payload too large')
    assert.equal(headerOf(response, 'connection'), 'close')
    const big = ['POST /upstream/status/200 HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked']
    assertError(await exchange(gateway.proxyPort, big, `800\r\n${'a'.repeat(0x800)}\r\n0\r\n\r\n`), 413, 'plain', 'Payload too large')
  })

  test('what a client sent is never part of an error, and markup in it is no markup', async () => {
    const canary = '/<script>canary</script>'
    for (const accept of ['text/html', 'application/xml', 'application/json', 'text/plain']) {
      const response = await send(canary, `Accept: ${accept}`, 'X-Canary: canary')
      assert.equal(response.status, 404)
      assert.doesNotMatch(response.raw.toString(), /canary/)
    }
  })

  test('an error has one Content-Type, one Content-Length and no Content-Encoding', async () => {
    for (const path of ['/none', '/refused', '/serviceless']) {
      const response = await send(path, 'Accept-Encoding: gzip')
      for (const name of ['content-type', 'content-length']) assert.equal(headersOf(response, name).length, 1)
      assert.equal(headerOf(response, 'content-encoding'), undefined)
    }
  })
})
