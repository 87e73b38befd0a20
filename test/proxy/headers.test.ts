import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type EchoUpstream, startEchoUpstream } from '../../demo/echo-upstream.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { unusedPort } from '../support/ports.ts'
import { exchange, headerOf, headersOf, RawConnection, type RawResponse } from '../support/raw-client.ts'
import { startRawUpstream } from '../support/raw-upstream.ts'

const PRODUCT = /^kong\/\d+\.\d+\.\d+$/

async function configuration(upstream: EchoUpstream) {
  const terminate = { name: 'request-termination', config: { status_code: 200, message: 'terminated' } }
  return {
    _format_version: '3.0',
    services: [
      {
        name: 'echo',
        url: `${upstream.origin}/anything`,
        routes: [
          { name: 'stripped', paths: ['/stripped'] },
          { name: 'kept', paths: ['/kept'], strip_path: false },
          { name: 'preserving', paths: ['/preserving'], preserve_host: true },
          { name: 'root', hosts: ['root.test'] },
        ],
      },
      { name: 'gone', url: `http://127.0.0.1:${await unusedPort()}`, retries: 0, routes: [{ name: 'gone', paths: ['/gone'] }] },
    ],
    routes: [{ name: 'terminated', paths: ['/terminated'], plugins: [terminate] }],
  }
}

let gateway: Gateway
let upstream: EchoUpstream

before(async () => {
  upstream = await startEchoUpstream()
  gateway = await startGateway({ database: 'off', declarative: await configuration(upstream), logLevel: 'crit' })
})
after(async () => {
  await upstream.stop()
  await gateway.stop()
})

/** Values of a header at the upstream, spelling of the name aside. */
function received(name: string): string[] {
  return headersOf({ headers: upstream.lastRequest?.rawHeaders ?? [] }, name)
}

async function sendTo({ proxyPort }: Gateway, target: string, lines: readonly string[]): Promise<RawResponse> {
  upstream.reset()
  const host = lines.some((line) => /^host:/i.test(line)) ? [] : ['Host: Api.Test:8443']
  return await exchange(proxyPort, [`GET ${target} HTTP/1.1`, ...host, ...lines])
}

const send = (target: string, ...lines: string[]) => sendTo(gateway, target, lines)

const SPOOFED = [
  'X-Forwarded-For: 203.0.113.9',
  'X-Forwarded-Proto: https',
  'X-Forwarded-Host: spoofed.test',
  'X-Forwarded-Port: 1',
  'X-Forwarded-Path: /spoofed',
  'X-Forwarded-Prefix: /spoofed',
  'X-Real-IP: 203.0.113.9',
  'Forwarded: for=203.0.113.9;host=spoofed.test',
]

describe('to the upstream', () => {
  const forwardedSet = () =>
    Object.fromEntries(
      [
        'X-Forwarded-For',
        'X-Forwarded-Proto',
        'X-Forwarded-Host',
        'X-Forwarded-Port',
        'X-Forwarded-Path',
        'X-Forwarded-Prefix',
        'X-Real-IP',
      ].map((name) => [name, received(name).join(' AND ')]),
    )

  test('the forwarded set tells what the gateway saw', async () => {
    await send('/stripped/a%2fb/../c?q=1')
    assert.deepEqual(forwardedSet(), {
      'X-Forwarded-For': '127.0.0.1',
      'X-Forwarded-Proto': 'http',
      'X-Forwarded-Host': 'api.test',
      'X-Forwarded-Port': String(gateway.proxyPort),
      'X-Forwarded-Path': '/stripped/a%2fb/../c',
      'X-Forwarded-Prefix': '/stripped',
      'X-Real-IP': '127.0.0.1',
    })
  })

  test("a stranger's copies are replaced, each by one line; the chain of addresses is appended to", async () => {
    await send('/stripped/x', ...SPOOFED, 'x-forwarded-host: twice.test', 'X-FORWARDED-PROTO: wss')
    assert.deepEqual(forwardedSet(), {
      'X-Forwarded-For': '203.0.113.9, 127.0.0.1',
      'X-Forwarded-Proto': 'http',
      'X-Forwarded-Host': 'api.test',
      'X-Forwarded-Port': String(gateway.proxyPort),
      'X-Forwarded-Path': '/stripped/x',
      'X-Forwarded-Prefix': '/stripped',
      'X-Real-IP': '127.0.0.1',
    })
    assert.deepEqual(received('Forwarded'), [])
  })

  test('X-Forwarded-For: all lines are kept, in order', async () => {
    await send('/stripped', 'X-Forwarded-For: 1.1.1.1', 'X-A: b', 'x-forwarded-for: 2.2.2.2, 3.3.3.3')
    assert.deepEqual(received('X-Forwarded-For'), ['1.1.1.1, 2.2.2.2, 3.3.3.3, 127.0.0.1'])
  })

  test('X-Forwarded-Prefix is there only where something was stripped', async () => {
    await send('/kept/x', 'X-Forwarded-Prefix: /spoofed')
    assert.deepEqual(received('X-Forwarded-Prefix'), [])
    await send('/x', 'Host: root.test', 'X-Forwarded-Prefix: /spoofed')
    assert.deepEqual(received('X-Forwarded-Prefix'), [])
  })

  test('Via is appended to', async () => {
    await send('/stripped')
    assert.match(received('Via').join('|'), /^1\.1 kong\/\d+\.\d+\.\d+$/)
    await send('/stripped', 'Via: 1.0 a', 'Via: 1.1 b (c)')
    assert.match(received('Via').join('|'), /^1\.0 a, 1\.1 b \(c\), 1\.1 kong\/\d+\.\d+\.\d+$/)
    upstream.reset()
    await using old = await RawConnection.open(gateway.proxyPort)
    old.send('GET /stripped HTTP/1.0\r\n\r\n')
    await old.readFinalResponse()
    assert.match(received('Via').join('|'), /^1 kong\//)
  })

  test('the request id is new for each request, and the same for upstream, client and log', async () => {
    const response = await send('/stripped', 'X-Kong-Request-Id: 0123', 'x-kong-request-id: 4567')
    const [id] = received('X-Kong-Request-Id')
    assert.equal(received('X-Kong-Request-Id').length, 1)
    assert.match(id ?? '', /^[0-9a-f]{32}$/)
    assert.equal(headerOf(response, 'X-Kong-Request-Id'), id)
    await gateway.waitForOutput(new RegExp(`kong_request_id: "${id}"`))
    assert.notEqual(headerOf(await send('/stripped'), 'X-Kong-Request-Id'), id)
  })

  test('order, spelling and repetition of other lines stay', async () => {
    await send('/stripped', 'x-first: 1', 'X-SECOND: 2', 'Cookie: a=b', 'x-first: 3', 'cookie: c=d', 'X_Under_Score: 4')
    const lines = (upstream.lastRequest?.rawHeaders ?? []).filter(([name]) => /^x-(first|second)$|cookie|score/i.test(name))
    assert.deepEqual(lines, [
      ['x-first', '1'],
      ['X-SECOND', '2'],
      ['Cookie', 'a=b'],
      ['x-first', '3'],
      ['cookie', 'c=d'],
      ['X_Under_Score', '4'],
    ])
  })

  test('what is meant for one hop ends here', async () => {
    const hop = [
      'Keep-Alive: timeout=5',
      'Proxy-Connection: keep-alive',
      'TE: gzip',
      'Trailer: X-T',
      'Proxy: http://evil',
      'HTTP2-Settings: x',
    ]
    await send('/stripped', ...hop, 'Connection: keep-alive, X-Mine', 'X-Mine: 1', 'x-mine: 2')
    for (const name of ['Keep-Alive', 'Proxy-Connection', 'TE', 'Trailer', 'Proxy', 'HTTP2-Settings', 'X-Mine', 'Upgrade']) {
      assert.deepEqual(received(name), [], name)
    }
    await send('/stripped', 'TE: gzip, trailers', 'Connection: TE')
    assert.deepEqual(received('TE'), ['trailers'])
  })

  test('Connection cannot name what frames, authorises or identifies the request (RFC 9110 section 7.6.1)', async () => {
    const named = [
      'Host',
      'Content-Length',
      'Content-Type',
      'Authorization',
      'Cookie',
      'X-Forwarded-For',
      'X-Forwarded-Host',
      'X-Real-IP',
      'X-Kong-Request-Id',
      'Via',
    ]
    upstream.reset()
    const lines = [
      'POST /preserving HTTP/1.1',
      'Host: named.test',
      'Content-Length: 5',
      'Content-Type: text/plain',
      'Authorization: Basic eDp5',
      'Cookie: a=b',
    ]
    const connection = `Connection: ${named.join(', ')}, ${named.map((name) => name.toLowerCase().replaceAll('-', '_')).join(',')}`
    const response = await exchange(gateway.proxyPort, [...lines, connection, 'X-Forwarded-For: 1.1.1.1'], 'hello')
    assert.equal(response.status, 200)
    assert.equal(upstream.lastRequest?.body.toString(), 'hello')
    assert.deepEqual(received('Host'), ['named.test'])
    assert.deepEqual(received('Content-Length'), ['5'])
    assert.deepEqual(received('Authorization'), ['Basic eDp5'])
    assert.deepEqual(received('Cookie'), ['a=b'])
    assert.deepEqual(received('X-Forwarded-For'), ['1.1.1.1, 127.0.0.1'])
    for (const name of ['X-Forwarded-Host', 'X-Real-IP', 'X-Kong-Request-Id', 'Via']) assert.equal(received(name).length, 1, name)
  })

  test('underscore spellings of what the gateway tells do not get past it', async () => {
    await send('/stripped', ...SPOOFED.map((line) => line.replace(/^[^:]+/, (name) => name.replaceAll('-', '_'))))
    const told = (upstream.lastRequest?.rawHeaders ?? []).filter(([, value]) => /203\.0\.113\.9|spoofed/.test(value)).map(([name]) => name)
    assert.deepEqual(told, [])
  })
})

describe('from trusted peers', () => {
  let trusting: Gateway
  const send = (target: string, ...lines: string[]) => sendTo(trusting, target, lines)
  before(async () => {
    trusting = await startGateway({
      database: 'off',
      declarative: await configuration(upstream),
      env: { SALLYPORT_TRUSTED_IPS: '127.0.0.0/8', SALLYPORT_REAL_IP_HEADER: 'X-Forwarded-For', SALLYPORT_REAL_IP_RECURSIVE: 'on' },
      logLevel: 'crit',
    })
  })
  after(() => trusting.stop())

  test('their word stands, and the address of the client is the last one that is not trusted', async () => {
    await send('/kept/x', ...SPOOFED)
    assert.deepEqual(received('X-Forwarded-For'), ['203.0.113.9, 127.0.0.1'])
    assert.deepEqual(received('X-Forwarded-Proto'), ['https'])
    assert.deepEqual(received('X-Forwarded-Host'), ['spoofed.test'])
    assert.deepEqual(received('X-Forwarded-Port'), ['1'])
    assert.deepEqual(received('X-Forwarded-Path'), ['/spoofed'])
    assert.deepEqual(received('X-Forwarded-Prefix'), ['/spoofed'])
    assert.deepEqual(received('X-Real-IP'), ['203.0.113.9'])
    assert.deepEqual(received('Forwarded'), ['for=203.0.113.9;host=spoofed.test'])
    await send('/kept', 'X-Forwarded-For: 198.51.100.1, 203.0.113.9, 127.0.0.5')
    assert.deepEqual(received('X-Real-IP'), ['203.0.113.9'])
    await send('/kept', 'X-Forwarded-For: 198.51.100.1, no address, 127.0.0.5')
    assert.deepEqual(received('X-Real-IP'), ['127.0.0.5'])
  })

  test('what they do not say, the gateway says', async () => {
    await send('/stripped/x')
    assert.deepEqual(received('X-Forwarded-Proto'), ['http'])
    assert.deepEqual(received('X-Forwarded-Host'), ['api.test'])
    assert.deepEqual(received('X-Forwarded-Prefix'), ['/stripped'])
    assert.deepEqual(received('X-Real-IP'), ['127.0.0.1'])
  })
})

describe('to the client', () => {
  /** Answer by answer: what stands there (a pattern) and what must not (null). */
  const expectations: Record<string, Record<string, RegExp | null>> = {
    '/stripped': {
      'X-Kong-Upstream-Latency': /^\d+$/,
      'X-Kong-Proxy-Latency': /^\d+$/,
      'X-Kong-Response-Latency': null,
      Via: /^1\.1 kong\/\d+\.\d+\.\d+$/,
      Server: PRODUCT,
      'X-Kong-Request-Id': /^[0-9a-f]{32}$/,
      'X-Kong-Upstream-Status': null,
    },
    '/terminated': {
      'X-Kong-Upstream-Latency': null,
      'X-Kong-Proxy-Latency': null,
      'X-Kong-Response-Latency': /^\d+$/,
      Via: null,
      Server: PRODUCT,
      'X-Kong-Request-Id': /^[0-9a-f]{32}$/,
    },
    '/none': {
      'X-Kong-Upstream-Latency': null,
      'X-Kong-Response-Latency': /^\d+$/,
      Via: null,
      Server: PRODUCT,
      'X-Kong-Request-Id': /^[0-9a-f]{32}$/,
    },
    '/gone': {
      'X-Kong-Upstream-Latency': /^\d+$/,
      'X-Kong-Proxy-Latency': /^\d+$/,
      'X-Kong-Response-Latency': null,
      Via: /kong/,
      Server: PRODUCT,
      'X-Kong-Request-Id': /^[0-9a-f]{32}$/,
    },
  }
  for (const [path, headers] of Object.entries(expectations)) {
    test(`${path}: latency, Via, Server and request id`, async () => {
      const response = await send(path)
      for (const [name, pattern] of Object.entries(headers)) {
        const values = headersOf(response, name)
        if (pattern === null) assert.deepEqual(values, [], name)
        else {
          assert.equal(values.length, 1, name)
          assert.match(values[0] as string, pattern, name)
        }
      }
    })
  }

  test("the upstream's Server and Via stand, its hop-by-hop headers and X-Accel-* go, everything else keeps order and spelling", async () => {
    const head = [
      'HTTP/1.1 200 Fine',
      'server: theirs',
      'Set-Cookie: a=1',
      'X-Mine: 1',
      'Connection: keep-alive, X-Mine',
      'set-cookie: b=2',
      'Via: 1.1 theirs',
      'Keep-Alive: timeout=5',
      'X-Accel-Redirect: /secret',
      'Proxy-Connection: x',
      'Trailer: X-T',
      'X-Kong-Request-Id: theirs',
      'X-LAST: \xe9',
      'Content-Length: 2',
    ]
    await using raw = await startRawUpstream(async (connection) => {
      await connection.readRequest()
      await connection.respond(`${head.join('\r\n')}\r\n\r\nok`)
    })
    const services = [{ name: 'raw', url: raw.origin, routes: [{ name: 'raw', paths: ['/'] }] }]
    const env = { SALLYPORT_HEADERS: 'server_tokens, latency_tokens, X-Kong-Request-Id, X-Kong-Upstream-Status' }
    await using other = await startGateway({ database: 'off', declarative: { _format_version: '3.0', services }, env, logLevel: 'crit' })
    const response = await exchange(other.proxyPort, ['GET / HTTP/1.1', 'Host: a'])
    assert.equal(response.reason, 'Fine')
    assert.deepEqual(headersOf(response, 'server'), ['theirs'])
    assert.match(headerOf(response, 'via') ?? '', /^1\.1 theirs, 1\.1 kong\//)
    assert.match(headersOf(response, 'x-kong-request-id').join('|'), /^[0-9a-f]{32}$/)
    assert.equal(headerOf(response, 'x-kong-upstream-status'), '200')
    for (const name of ['x-mine', 'x-accel-redirect', 'proxy-connection', 'trailer']) assert.deepEqual(headersOf(response, name), [], name)
    assert.notEqual(headerOf(response, 'keep-alive'), 'timeout=5')
    const kept = response.headers.filter(([name]) => /^(set-cookie|x-last)$/i.test(name))
    assert.deepEqual(kept, [
      ['Set-Cookie', 'a=1'],
      ['set-cookie', 'b=2'],
      ['X-LAST', '\xe9'],
    ])
  })
})

test("an upstream's trailers are dropped, and so is the Trailer that announces them, also for a client that takes trailers", async () => {
  const asked: (string | undefined)[] = []
  await using raw = await startRawUpstream(async (connection) => {
    for (;;) {
      asked.push(headerOf(await connection.readRequest(), 'te'))
      const head = ['HTTP/1.1 200 OK', 'Trailer: X-T', 'Transfer-Encoding: chunked']
      await connection.respond(`${head.join('\r\n')}\r\n\r\n4\r\nbody\r\n0\r\nX-T: 1\r\nSet-Cookie: a=b\r\n\r\n`)
    }
  })
  const services = [{ name: 'raw', url: raw.origin, routes: [{ name: 'raw', paths: ['/'] }] }]
  await using other = await startGateway({ database: 'off', declarative: { _format_version: '3.0', services }, logLevel: 'crit' })
  for (const lines of [
    [],
    ['TE: trailers', 'Connection: TE'],
    ['TE: gzip;q=0.5, trailers', 'Connection: TE'],
    ['TE: gzip', 'Connection: TE'],
  ]) {
    const response = await exchange(other.proxyPort, ['GET / HTTP/1.1', 'Host: a', ...lines])
    assert.equal(response.body.toString(), 'body')
    assert.deepEqual(response.trailers, [])
    assert.doesNotMatch(response.raw.toString('latin1'), /^(trailer|x-t|set-cookie):/im)
  }
  assert.deepEqual(asked, [undefined, 'trailers', 'trailers', undefined])
})

test('headers = off adds nothing to any answer, headers_upstream = off nothing to requests', async () => {
  await using bare = await startGateway({
    database: 'off',
    declarative: await configuration(upstream),
    env: { SALLYPORT_HEADERS: 'off', SALLYPORT_HEADERS_UPSTREAM: 'off' },
    logLevel: 'crit',
  })
  for (const path of ['/stripped', '/terminated', '/none', '/gone', '/%zz']) {
    const response = await exchange(bare.proxyPort, [`GET ${path} HTTP/1.1`, 'Host: a', 'X-Kong-Request-Id: mine'])
    const added = response.headers.map(([name]) => name.toLowerCase()).filter((name) => /^(x-kong-.*|via|server)$/.test(name))
    assert.deepEqual(added, [], path)
  }
  assert.deepEqual(received('X-Kong-Request-Id'), ['mine'])
  await using connection = await RawConnection.open(bare.proxyPort)
  connection.send('GARBAGE\r\n\r\n')
  const response = await connection.readFinalResponse()
  assert.deepEqual(
    response.headers.map(([name]) => name.toLowerCase()).filter((name) => /^(x-kong-.*|via|server)$/.test(name)),
    [],
  )
})
