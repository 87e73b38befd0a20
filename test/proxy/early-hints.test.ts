/** 103 of an upstream through the gateway (RFC 8297): bytes in, bytes out. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:http2'
import { after, before, describe, test } from 'node:test'
import { isInstalled } from '../../bench/processes.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { headerOf, headersOf, RawConnection, type RawResponse } from '../support/raw-client.ts'
import { type RawUpstream, startRawUpstream } from '../support/raw-upstream.ts'
import { WEB_SOCKET_KEY, webSocketAnswer, webSocketOffer } from '../support/web-socket.ts'

const hint = (...lines: string[]): string => `${['HTTP/1.1 103 Early Hints', ...lines].join('\r\n')}\r\n\r\n`
const LINK = hint('Link: </a.css>; rel=preload; as=style')
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone'

/** What the upstream writes by the path of the request, piece by piece; `cut` resets the connection. */
const answers: Record<string, readonly string[]> = {
  '/one': [LINK, OK],
  '/several': [hint('Link: </a.css>', 'link: </b.css>', 'X-A: \xe9'), hint('Link: </c.css>'), OK],
  '/bare': [hint(), OK],
  '/unclean': [
    hint(
      'Link: </a.css>',
      'Content-Length: 5',
      'Connection: keep-alive, X-Named',
      'X-Named: 1',
      'Keep-Alive: timeout=5',
      'Upgrade: h2c',
      'Trailer: X-T',
      'TE: trailers',
      'Proxy-Connection: keep-alive',
      'HTTP2-Settings: AAMAAABk',
      'X-Accel-Redirect: /secret',
      '__proto__: 1',
    ),
    OK,
  ],
  '/chunked': [hint('Link: </a.css>', 'Transfer-Encoding: chunked'), OK],
  '/others': ['HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 102 Processing\r\n\r\n', 'HTTP/1.1 199 Odd\r\nX-A: 1\r\n\r\n', LINK, OK],
  '/sixteen': [LINK.repeat(16), OK],
  '/flood': [LINK.repeat(17), OK],
  '/large': [hint(`Link: <${'a'.repeat(8200)}>`), LINK, OK],
  '/body': [`${hint('Link: </a.css>', 'Content-Length: 5')}hello`, OK],
  '/head': [LINK, 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n'],
}

let upstream: RawUpstream
let gateway: Gateway
/** How often each path was asked for. */
const asked = new Map<string, number>()

before(async () => {
  upstream = await startRawUpstream(async (connection) => {
    for (;;) {
      const { line } = await connection.readRequest()
      const path = line.split(' ')[1] as string
      const times = (asked.get(path) ?? 0) + 1
      asked.set(path, times)
      if (path === '/socket') {
        await connection.respond(LINK + webSocketAnswer(WEB_SOCKET_KEY))
        await connection.waitFor('ping')
        await connection.respond('pong')
      } else if (path === '/again') {
        await connection.respond(hint(`Link: </${times}.css>`).repeat(10))
        if (times < 3) return connection.reset()
        await connection.respond(OK)
      } else for (const piece of answers[path.replace(/\?.*/, '')] ?? [OK]) await connection.respond(piece)
    }
  })
  gateway = await startGateway({
    database: 'off',
    env: { SALLYPORT_NGINX_PROXY_EARLY_HINTS: 'on', SALLYPORT_PROXY_LISTEN: '127.0.0.1:0 http2' },
    declarative: declarative(upstream.origin),
    logLevel: 'crit',
  })
})
after(async () => {
  await gateway.stop()
  await upstream.stop()
})

function declarative(url: string): object {
  return {
    _format_version: '3.0',
    services: [{ name: 'upstream', url, routes: [{ name: 'all', paths: ['/'], strip_path: false }] }],
    routes: [{ name: 'closed', paths: ['/closed'], plugins: [{ name: 'request-termination', config: { status_code: 403 } }] }],
  }
}

/** All responses to a request, the final one last. */
async function exchange(path: string, { method = 'GET', version = '1.1', port = gateway.proxyPort } = {}): Promise<RawResponse[]> {
  await using connection = await RawConnection.open(port)
  connection.send(`${method} ${path} HTTP/${version}\r\nHost: a\r\n\r\n`)
  const responses: RawResponse[] = []
  do responses.push(await connection.readResponse({ method }))
  while ((responses.at(-1) as RawResponse).status < 200)
  assert.equal(connection.unread.length, 0)
  return responses
}

const statuses = (responses: readonly RawResponse[]): number[] => responses.map(({ status }) => status)

describe('to a client of HTTP/1.1', () => {
  test('a hint is passed on byte for byte, before the answer is made', async () => {
    const next = Promise.withResolvers<void>()
    await using slow = await startRawUpstream(async (connection) => {
      await connection.readRequest()
      await connection.respond(LINK)
      await next.promise
      await connection.respond(OK)
    })
    await using other = await startGateway({
      database: 'off',
      env: { SALLYPORT_NGINX_HTTP_EARLY_HINTS: '1' },
      declarative: declarative(slow.origin),
      logLevel: 'crit',
    })
    await using connection = await RawConnection.open(other.proxyPort)
    connection.send('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n')
    assert.equal((await connection.readUntil('\r\n\r\n')).toString('latin1'), LINK)
    next.resolve()
    const { status, body } = await connection.readResponse()
    assert.deepEqual([status, body.toString()], [200, 'done'])
  })

  test('several are passed on in order, their lines as they came, and the connection serves on', async () => {
    await using connection = await RawConnection.open(gateway.proxyPort)
    for (let i = 0; i < 2; i++) {
      connection.send('GET /several HTTP/1.1\r\nHost: a\r\n\r\n')
      const first = await connection.readResponse()
      assert.deepEqual(first.headers, [
        ['Link', '</a.css>'],
        ['link', '</b.css>'],
        ['X-A', '\xe9'],
      ])
      assert.deepEqual((await connection.readResponse()).headers, [['Link', '</c.css>']])
      assert.equal((await connection.readResponse()).status, 200)
    }
    assert.deepEqual(statuses(await exchange('/bare')), [103, 200])
    assert.deepEqual(statuses(await exchange('/head', { method: 'HEAD' })), [103, 200])
  })

  test('what frames the message or is meant for one hop is left out', async () => {
    const [first, last] = (await exchange('/unclean')) as [RawResponse, RawResponse]
    const own = ([name]: readonly [string, string]): boolean => name !== 'HTTP2-Settings'
    assert.deepEqual(first.headers.filter(own), [
      ['Link', '</a.css>'],
      ['__proto__', '1'],
    ])
    assert.equal(last.body.toString(), 'done')
    const [coded] = (await exchange('/chunked')) as [RawResponse]
    assert.deepEqual(coded.headers, [['Link', '</a.css>']])
  })

  test('other interim answers are not passed on', async () => {
    assert.deepEqual(statuses(await exchange('/others')), [103, 200])
  })

  test('sixteen are passed on, more in one attempt are a flood: 502', async () => {
    assert.deepEqual(statuses(await exchange('/sixteen')), [...Array.from({ length: 16 }, () => 103), 200])
    assert.equal(statuses(await exchange('/flood')).at(-1), 502)
  })

  test('a hint above 8 KiB is dropped, those behind it are not', async () => {
    const responses = await exchange('/large')
    assert.deepEqual(statuses(responses), [103, 200])
    assert.match(headerOf(responses[0] as RawResponse, 'link') ?? '', /a\.css/)
  })

  test('a 103 has no body: what stands behind it is read as the next head, and is none', async () => {
    assert.deepEqual(statuses(await exchange('/body')), [103, 502])
  })

  test('an attempt that fails after a hint is repeated, and no more than sixteen hints reach the client of all attempts', async () => {
    const responses = await exchange('/again')
    assert.equal(asked.get('/again'), 3)
    assert.deepEqual(statuses(responses), [...Array.from({ length: 16 }, () => 103), 200])
    assert.deepEqual(
      responses.slice(0, 16).map((response) => headersOf(response, 'link')[0]),
      [...Array.from({ length: 10 }, () => '</1.css>'), ...Array.from({ length: 6 }, () => '</2.css>')],
    )
  })

  test('a hint may stand before a switch to WebSocket', async () => {
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send(webSocketOffer('/socket'))
    assert.equal((await connection.readResponse()).status, 103)
    assert.equal((await connection.readResponse()).status, 101)
    connection.send('ping')
    await connection.readUntil('pong')
  })

  test('a request that is refused gets none', async () => {
    assert.deepEqual(statuses(await exchange('/closed')), [403])
  })
})

test('a client of HTTP/1.0 never gets one (RFC 8297 section 3)', async () => {
  await using connection = await RawConnection.open(gateway.proxyPort)
  connection.send('GET /several HTTP/1.0\r\n\r\n')
  assert.match((await connection.readUntilClose()).toString('latin1'), /^HTTP\/1\.1 200 OK\r\n/)
})

for (const value of ['', 'off', '0']) {
  test(`nginx_proxy_early_hints = ${JSON.stringify(value)}: none are passed on, as by Kong`, async () => {
    const env = { SALLYPORT_NGINX_PROXY_EARLY_HINTS: value }
    await using other = await startGateway({ database: 'off', env, declarative: declarative(upstream.origin), logLevel: 'crit' })
    assert.deepEqual(statuses(await exchange('/several', { port: other.proxyPort })), [200])
  })
}

describe('to a client of HTTP/2', () => {
  async function hintsOf(path: string): Promise<{ hints: Record<string, unknown>[]; status: number; body: string }> {
    const client = connect(gateway.proxyOrigin)
    try {
      const stream = client.request({ ':path': path })
      const hints: Record<string, unknown>[] = []
      stream.on('headers', (headers) => hints.push(Object.fromEntries(Object.entries(headers))))
      const [headers] = await once(stream, 'response')
      let body = ''
      for await (const chunk of stream) body += chunk
      return { hints, status: Number(headers[':status']), body }
    } finally {
      client.destroy()
    }
  }

  test('a hint is passed on, cleaned', async () => {
    assert.deepEqual(await hintsOf('/one'), {
      hints: [{ ':status': 103, link: '</a.css>; rel=preload; as=style' }],
      status: 200,
      body: 'done',
    })
    const { hints } = await hintsOf('/unclean')
    assert.deepEqual(
      hints.map((lines) => Object.keys(lines)),
      [[':status', 'link', '__proto__']],
    )
  })

  test('several are passed on, repeated lines too', async () => {
    const { hints, status } = await hintsOf('/several')
    assert.deepEqual(
      hints.map(({ link }) => link),
      ['</a.css>, </b.css>', '</c.css>'],
    )
    assert.equal(status, 200)
    assert.equal((await hintsOf('/sixteen')).hints.length, 16)
  })

  for (const [program, ...parameters] of [
    ['curl', '-s', '-i', '--http2-prior-knowledge'],
    ['nghttp', '-v'],
  ] as const) {
    test(`${program} sees it`, { skip: isInstalled(program) ? false : `${program} is not installed` }, async () => {
      const child = spawn(program, [...parameters, `${gateway.proxyOrigin}/one`], { stdio: ['ignore', 'pipe', 'ignore'] })
      let output = ''
      child.stdout.on('data', (chunk: Buffer) => {
        output += chunk
      })
      await once(child, 'close')
      assert.match(output, /103[\s\S]*link[^\n]*a\.css[\s\S]*200/)
    })
  }
})
