import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants, type OutgoingHttpHeaders } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { createServer as createTlsServer } from 'node:tls'
import { isInstalled, processTree } from '../../bench/processes.ts'
import { type EchoUpstream, startEchoUpstream } from '../../demo/echo-upstream.ts'
import type { Downstream } from '../../src/http/exchange.ts'
import { HeaderList } from '../../src/http/headers.ts'
import { createFront } from '../../src/proxy/server.ts'
import { frontOptions } from '../support/front-options.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { block, END_HEADERS, END_STREAM, frame, H2Frames, PREFACE, requestLines, settings, TYPE } from '../support/h2-frames.ts'
import { unusedPort } from '../support/ports.ts'
import { RawConnection } from '../support/raw-client.ts'
import { SELF_SIGNED_CERTIFICATE, SELF_SIGNED_KEY } from '../support/self-signed.ts'
import { until } from '../support/until.ts'

const MIB = 1024 * 1024
const LARGE = 200 * MIB

type Answer = { status: number; headers: Record<string, string | string[] | undefined>; body: Buffer; informational: number[] }

/** A session to `origin`; errors of a session that the server ends belong to its streams. */
function open(origin: string, options = {}): ClientHttp2Session & AsyncDisposable {
  const client = connect(origin, options)
  client.on('error', () => {})
  return Object.assign(client, { [Symbol.asyncDispose]: async () => client.destroy() })
}

async function answerOf(stream: ClientHttp2Stream): Promise<Answer> {
  const informational: number[] = []
  stream.on('continue', () => informational.push(100))
  const [headers] = await once(stream, 'response')
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return { status: headers[':status'], headers, body: Buffer.concat(chunks), informational }
}

function send(client: ClientHttp2Session, headers: OutgoingHttpHeaders, body?: Uint8Array): Promise<Answer> {
  const stream = client.request(headers, { endStream: body === undefined })
  if (body !== undefined) stream.end(body)
  return answerOf(stream)
}

/** An upstream of the test's own. */
async function listen(serve: (request: IncomingMessage, response: ServerResponse) => void): Promise<Server & AsyncDisposable> {
  const server = createServer({ requestTimeout: 0 }, serve)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return Object.assign(server, {
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
    },
  })
}

function gatewayFor(port: number, env: Record<string, string> = {}, route: object = {}): Promise<Gateway> {
  return startGateway({
    database: 'off',
    env: { SALLYPORT_PROXY_LISTEN: '127.0.0.1:0 http2', ...env },
    declarative: {
      _format_version: '3.0',
      services: [
        {
          name: 'upstream',
          url: `http://127.0.0.1:${port}`,
          retries: 0,
          routes: [{ name: 'all', paths: ['/'], strip_path: false, ...route }],
        },
      ],
    },
  })
}

describe('a request over HTTP/2', () => {
  let upstream: EchoUpstream
  let gateway: Gateway

  before(async () => {
    upstream = await startEchoUpstream()
    gateway = await gatewayFor(
      upstream.port,
      { SALLYPORT_CLIENT_MAX_BODY_SIZE: '1m', SALLYPORT_KEEPALIVE_REQUESTS: '50' },
      { paths: ['/'], preserve_host: true },
    )
  })

  after(async () => {
    await gateway.stop()
    await upstream.stop()
  })

  test('goes upstream as HTTP/1.1: Host from :authority, lines in order, cookie crumbs joined, Via 2', async () => {
    upstream.reset()
    await using client = await H2Frames.open(gateway.proxyPort)
    client.request(
      1,
      requestLines(
        'GET',
        '/anything/x?a=1',
        [
          ['x-b', '1'],
          ['cookie', 'a=1'],
          ['x-a', '2'],
          ['cookie', 'b=2'],
          ['te', 'trailers'],
          ['x-b', '3'],
          ['cookie', 'c=3'],
        ],
        'shop.test:8080',
      ),
    )
    assert.equal(await client.outcome(1), 'status 200')
    const { method, target, rawHeaders } = upstream.lastRequest ?? { rawHeaders: [] }
    assert.deepEqual([method, target], ['GET', '/anything/x?a=1'])
    const seen = rawHeaders.filter(([name]) => /^(host|cookie|x-[ab]|via|te)$/i.test(name))
    assert.deepEqual(seen, [
      ['Host', 'shop.test:8080'],
      ['x-b', '1'],
      ['cookie', 'a=1; b=2; c=3'],
      ['x-a', '2'],
      ['x-b', '3'],
      ['TE', 'trailers'],
      ['Via', '2 kong/3.9.1'],
    ])
    assert.ok(rawHeaders.some(([name, value]) => name === 'X-Forwarded-Proto' && value === 'http'))
  })

  test('is for its Host where it has no :authority, and for both where they are equal', async () => {
    await using client = await H2Frames.open(gateway.proxyPort)
    const lines = requestLines('GET', '/anything/x', [['host', 'API.test']])
    client.request(1, lines)
    client.request(
      3,
      lines.filter(([name]) => name !== ':authority'),
    )
    for (const stream of [1, 3]) assert.equal(await client.outcome(stream), 'status 200')
    assert.deepEqual(
      upstream.lastRequest?.rawHeaders.filter(([name]) => /^host$/i.test(name)).map(([, value]) => value),
      ['API.test'],
    )
  })

  test("is answered with Date and the gateway's own lines, and without those of a connection", async () => {
    await using client = open(gateway.proxyOrigin)
    const { headers, status } = await send(client, { ':path': '/anything/x' })
    assert.equal(status, 200)
    assert.equal(headers['via'], '1.1 kong/3.9.1')
    assert.match(String(headers['x-kong-request-id']), /^[0-9a-f]{32}$/)
    assert.match(String(headers['x-kong-proxy-latency']), /^\d+$/)
    assert.match(String(headers['date']), / GMT$/)
    for (const name of ['connection', 'keep-alive', 'transfer-encoding', 'upgrade']) assert.equal(headers[name], undefined, name)
  })

  test('with HEAD, or answered by 204 or 304, has no body', async () => {
    await using client = open(gateway.proxyOrigin)
    const head = await send(client, { ':method': 'HEAD', ':path': '/anything/x' })
    assert.equal(head.body.length, 0)
    assert.ok(Number(head.headers['content-length']) > 0)
    for (const code of [204, 304]) {
      const { status, body } = await send(client, { ':path': `/status/${code}` })
      assert.deepEqual([status, body.length], [code, 0])
    }
  })

  test('with a body goes upstream with its length', async () => {
    await using client = open(gateway.proxyOrigin)
    for (const headers of [{}, { 'content-length': '5' }]) {
      await send(client, { ':method': 'POST', ':path': '/anything/x', ...headers }, Buffer.from('hello'))
      assert.equal(upstream.lastRequest?.body.toString(), 'hello')
      assert.ok(upstream.lastRequest?.rawHeaders.some(([name, value]) => /^content-length$/i.test(name) && value === '5'))
    }
  })

  test('with a body above client_max_body_size is answered by 413, declared or not, and the connection serves on', async () => {
    upstream.reset()
    await using client = open(gateway.proxyOrigin)
    const declared = client.request({ ':method': 'POST', ':path': '/anything/x', 'content-length': String(2 * MIB) })
    assert.equal((await answerOf(declared)).status, 413)
    assert.equal(upstream.requests.length, 0)
    const streamed = client.request({ ':method': 'POST', ':path': '/anything/x' })
    streamed.on('error', () => {})
    streamed.write(Buffer.alloc(2 * MIB))
    assert.equal((await answerOf(streamed)).status, 413)
    assert.equal((await send(client, { ':path': '/anything/x' })).status, 200)
  })

  test('that expects 100-continue gets it when its body is read, and not when it is refused before', async () => {
    await using client = open(gateway.proxyOrigin)
    const good = client.request({ ':method': 'POST', ':path': '/anything/x', expect: '100-continue', 'content-length': '5' })
    good.once('continue', () => good.end('hello'))
    assert.deepEqual((await answerOf(good)).informational, [100])
    const refused = client.request({ ':method': 'POST', ':path': '/anything/x', expect: '100-continue', 'content-length': String(2 * MIB) })
    const { status, informational } = await answerOf(refused)
    assert.deepEqual([status, informational], [413, []])
  })

  test('runs beside others of its connection', async () => {
    await using client = open(gateway.proxyOrigin)
    const slow = send(client, { ':path': '/delay/1' })
    const order: string[] = []
    await Promise.all([
      slow.then(() => order.push('slow')),
      ...Array.from({ length: 20 }, () => send(client, { ':path': '/anything/x' }).then(() => order.push('fast'))),
    ])
    assert.equal(order.at(-1), 'slow')
  })

  test('stands in the access log as HTTP/2.0', async () => {
    await using client = open(gateway.proxyOrigin)
    await send(client, { ':path': '/anything/logged' })
    await gateway.waitForOutput(/"GET \/anything\/logged HTTP\/2\.0" 200 [1-9]\d*/)
  })

  test('with trailers reaches the upstream without them (RFC 9110 section 6.5.1)', async () => {
    for (const headers of [[], [['content-length', '5']]] as const) {
      upstream.reset()
      await using client = await H2Frames.open(gateway.proxyPort)
      client.request(1, requestLines('POST', '/anything/x', headers), END_HEADERS)
      client.send(frame(TYPE.DATA, 0, 1, Buffer.from('hello')))
      const trailers = [
        ['authorization', 'Bearer canary'],
        ['x-consumer-username', 'canary'],
        ['x-t', 'canary'],
      ] as const
      client.send(frame(TYPE.HEADERS, END_HEADERS | END_STREAM, 1, block(trailers)))
      assert.equal(await client.outcome(1), 'status 200')
      const { body, rawHeaders, complete } = upstream.lastRequest ?? {}
      assert.deepEqual([body?.toString(), complete], ['hello', true])
      assert.doesNotMatch(JSON.stringify(rawHeaders), /canary/)
    }
  })

  test('is the last one that its connection begins after keepalive_requests', async () => {
    await using client = open(gateway.proxyOrigin)
    const answers = Array.from({ length: 50 }, () => send(client, { ':path': '/anything/x' }))
    for (const { status } of await Promise.all(answers)) assert.equal(status, 200)
    await until(() => client.closed || client.destroyed, 'GOAWAY')
  })

  test('is served though it comes after the last one, where it comes in the same read', async () => {
    await using client = await H2Frames.open(gateway.proxyPort)
    const streams = Array.from({ length: 52 }, (_, i) => 1 + 2 * i)
    client.send(...streams.map((id) => frame(TYPE.HEADERS, END_HEADERS | END_STREAM, id, block(requestLines('GET', '/anything/x')))))
    for (const id of streams) assert.equal(await client.outcome(id), 'status 200')
    await until(() => client.closed, 'the end')
    const last = client.find(TYPE.GOAWAY)?.payload
    assert.deepEqual([last?.readUInt32BE(0), last?.readUInt32BE(4)], [streams.at(-1), constants.NGHTTP2_NO_ERROR])
  })

  for (const [program, ...parameters] of [
    ['curl', '-s', '-i', '--http2-prior-knowledge', '-d', 'hello'],
    ['nghttp', '-v'],
    ['h2load', '-n', '400', '-c', '10', '-m', '10'],
  ] as const) {
    test(`is served to ${program}`, { skip: isInstalled(program) ? false : `${program} is not installed` }, async () => {
      const output = await run(program, ...parameters, `${gateway.proxyOrigin}/anything/x`)
      assert.match(output, { curl: /^HTTP\/2 200/, nghttp: /:status: 200/, h2load: /400 succeeded/ }[program])
    })
  }
})

describe('bodies of any size', () => {
  test('pass in both directions without being kept', async () => {
    await using upstream = await listen((request, response) => {
      if (request.method === 'GET') return download(response)
      let size = 0
      request.on('data', (chunk) => {
        size += chunk.length
      })
      request.on('end', () => response.end(String(size)))
    })
    await using gateway = await gatewayFor((upstream.address() as AddressInfo).port)
    await using client = open(gateway.proxyOrigin)
    const worker = processTree(gateway.pid).at(-1) as number
    const before = residentBytes(worker)
    let size = 0
    let highest = 0
    const down = client.request({ ':path': '/' })
    for await (const chunk of down) {
      if (size % (8 * MIB) < chunk.length) highest = Math.max(highest, residentBytes(worker))
      size += chunk.length
    }
    assert.equal(size, LARGE)
    const up = client.request({ ':method': 'POST', ':path': '/' })
    const answer = answerOf(up)
    const piece = Buffer.alloc(64 * 1024)
    for (let sent = 0; sent < LARGE; sent += piece.length) if (!up.write(piece)) await once(up, 'drain')
    highest = Math.max(highest, residentBytes(worker))
    up.end()
    assert.equal((await answer).body.toString(), String(LARGE))
    assert.ok(highest - before < 100 * MIB, `the worker grew by ${Math.round((highest - before) / MIB)} MiB`)
  })

  test('an upstream that does not read stops the client, and a client that does not read stops the upstream', async () => {
    let written = 0
    await using upstream = await listen((request, response) => {
      if (request.method !== 'GET') return
      const piece = Buffer.alloc(64 * 1024)
      const more = (): void => {
        while (!response.destroyed) {
          written += piece.length
          if (!response.write(piece)) return void response.once('drain', more)
        }
      }
      more()
    })
    await using gateway = await gatewayFor((upstream.address() as AddressInfo).port)
    await using client = open(gateway.proxyOrigin)
    const down = client.request({ ':path': '/' })
    down.on('error', () => {})
    await once(down, 'response')
    const up = client.request({ ':method': 'POST', ':path': '/' })
    up.on('error', () => {})
    let sent = 0
    const push = (): void => {
      while (up.write(Buffer.alloc(64 * 1024))) sent += 64 * 1024
      sent += 64 * 1024
    }
    up.on('drain', push)
    push()
    // Nothing moves any more once every buffer between is full.
    let last = { bytes: 0, atMs: Date.now() }
    await until(
      () => {
        const bytes = written + sent
        if (bytes !== last.bytes) last = { bytes, atMs: Date.now() }
        return bytes > 100 * MIB || (written > 0 && Date.now() - last.atMs > 1000)
      },
      'both bodies to stop',
      30_000,
    )
    assert.ok(written < 20 * MIB && sent < 20 * MIB, `${written} bytes down, ${sent} up`)
  })
})

function download(response: ServerResponse): void {
  const piece = Buffer.alloc(64 * 1024)
  let left = LARGE
  const more = (): void => {
    for (; left > 0; left -= piece.length) {
      if (!response.write(piece)) {
        left -= piece.length
        return void response.once('drain', more)
      }
    }
    response.end()
  }
  more()
}

function residentBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024
}

describe('ends that are not good', () => {
  test('a stream that the client resets ends its upstream exchange, and the others go on', async () => {
    const closed: string[] = []
    await using upstream = await listen((request, response) => {
      response.on('close', () => closed.push(String(request.url)))
      if (request.url === '/quick') response.end('ok')
      else response.write('begun')
    })
    await using gateway = await gatewayFor((upstream.address() as AddressInfo).port)
    await using client = open(gateway.proxyOrigin)
    const stream = client.request({ ':path': '/slow' })
    stream.on('error', () => {})
    await once(stream, 'response')
    stream.close(constants.NGHTTP2_CANCEL)
    await until(() => closed.includes('/slow'), 'the upstream exchange to end')
    assert.equal((await send(client, { ':path': '/quick' })).body.toString(), 'ok')
    await gateway.waitForOutput(/"GET \/slow HTTP\/2\.0" 499/)
  })

  test('a truncated upstream answer is RST_STREAM, never a clean end (RFC 9113 section 8.1.1)', async () => {
    await using upstream = await listen((request, response) => {
      if (request.url === '/length') response.writeHead(200, { 'content-length': '100' })
      response.write('part')
      setImmediate(() => response.socket?.destroy())
    })
    await using gateway = await gatewayFor((upstream.address() as AddressInfo).port)
    for (const path of ['/length', '/chunked']) {
      await using client = await H2Frames.open(gateway.proxyPort)
      client.request(1, requestLines('GET', path))
      const reset = await client.received(TYPE.RST_STREAM, 1)
      assert.equal(reset.payload.readUInt32BE(0), constants.NGHTTP2_INTERNAL_ERROR)
      assert.equal(await client.outcome(1), 'status 200')
      const ends = client.frames.filter(({ type, flags }) => (type === TYPE.DATA || type === TYPE.HEADERS) && (flags & END_STREAM) !== 0)
      assert.deepEqual(ends, [])
    }
  })

  test('a stream that was answered before its body was read is gone, and keeps no worker from ending', async () => {
    const services = [{ url: `http://127.0.0.1:${await unusedPort()}`, retries: 0, routes: [{ paths: ['/'] }] }]
    await using own = await startGateway({
      database: 'off',
      declarative: { _format_version: '3.0', services },
      env: { SALLYPORT_PROXY_LISTEN: '127.0.0.1:0 http2' },
    })
    await using client = open(own.proxyOrigin)
    const answers = Array.from({ length: 4 }, () => send(client, { ':method': 'POST', ':path': '/x' }, Buffer.alloc(200_000)))
    for (const { status } of await Promise.all(answers)) assert.equal(status, 502)
    client.close()
    assert.equal(await own.quit(), 0)
  })

  test('SIGQUIT: GOAWAY at once, what is under way is answered', async () => {
    let release: (() => void) | undefined
    await using upstream = await listen((_, response) => {
      release = () => response.end('late')
    })
    await using gateway = await gatewayFor((upstream.address() as AddressInfo).port)
    await using client = open(gateway.proxyOrigin)
    const goaway = once(client, 'goaway')
    const answer = send(client, { ':path': '/' })
    await until(() => release !== undefined, 'the request upstream')
    const exit = gateway.quit()
    assert.equal((await goaway)[0], constants.NGHTTP2_NO_ERROR)
    release?.()
    assert.equal((await answer).body.toString(), 'late')
    assert.equal(await exit, 0)
  })
})

describe('time is limited', () => {
  let upstream: Server & AsyncDisposable
  let gateway: Gateway
  const open: string[] = []

  before(async () => {
    upstream = await listen((request, response) => {
      open.push(String(request.url))
      response.on('close', () => open.splice(open.indexOf(String(request.url)), 1))
      if (request.url === '/endless') response.write(Buffer.alloc(4 * MIB))
      else if (request.url === '/slow-reader') setTimeout(() => request.resume().on('end', () => response.end('read')), 2500)
      else request.resume().on('end', () => response.end('ok'))
    })
    gateway = await gatewayFor((upstream.address() as AddressInfo).port, {
      SALLYPORT_CLIENT_HEADER_TIMEOUT: '1s',
      SALLYPORT_CLIENT_BODY_TIMEOUT: '1s',
      SALLYPORT_SEND_TIMEOUT: '1s',
      SALLYPORT_KEEPALIVE_TIMEOUT: '4s',
      SALLYPORT_LINGERING_TIMEOUT: '1s',
    })
  })

  after(async () => {
    await gateway.stop()
    await upstream[Symbol.asyncDispose]()
  })

  test('client_header_timeout: for the first request, and for a header block that does not end', async () => {
    for (const bytes of ['', 'PRI * HTTP', PREFACE]) {
      await using client = await H2Frames.connect(gateway.proxyPort)
      client.send(Buffer.from(bytes))
      await client.ended(4000)
    }
    await using client = await H2Frames.open(gateway.proxyPort)
    client.send(frame(TYPE.HEADERS, END_STREAM, 1, block(requestLines('GET', '/'))))
    await client.ended(4000)
  })

  test('client_header_timeout: for a header block that does not end after a good request, sooner than keepalive_timeout', async () => {
    await using client = await H2Frames.open(gateway.proxyPort)
    client.request(1, requestLines('GET', '/'))
    assert.equal(await client.outcome(1), 'status 200')
    await until(() => client.frames.some(({ type, flags }) => type === TYPE.DATA && flags === END_STREAM), 'the answer')
    const begun = Date.now()
    client.send(frame(TYPE.HEADERS, END_STREAM, 3, block(requestLines('GET', '/'))))
    await client.ended()
    assert.ok(Date.now() - begun < 3500, `${Date.now() - begun} ms`)
  })

  test('keepalive_timeout: GOAWAY, then the end, whatever PING comes', async () => {
    await using client = await H2Frames.open(gateway.proxyPort)
    client.request(1, requestLines('GET', '/'))
    assert.equal(await client.outcome(1), 'status 200')
    const begun = Date.now()
    const pings = setInterval(() => client.send(frame(TYPE.PING, 0, 0, Buffer.alloc(8))), 300)
    await client.ended(8000)
    clearInterval(pings)
    assert.equal(client.goaway, 'NO_ERROR')
    assert.ok(Date.now() - begun > 2500, `${Date.now() - begun} ms`)
  })

  test('client_body_timeout: 408 for a client that stops; its stream alone ends', async () => {
    await using client = await H2Frames.open(gateway.proxyPort)
    client.request(1, requestLines('POST', '/'), END_HEADERS)
    client.send(frame(TYPE.DATA, 0, 1, Buffer.from('begun')))
    assert.equal(await client.outcome(1), 'status 408')
    await client.received(TYPE.RST_STREAM, 1)
    client.request(3, requestLines('GET', '/'))
    assert.equal(await client.outcome(3), 'status 200')
  })

  test('client_body_timeout does not run while the upstream does not read', async () => {
    await using client = await H2Frames.open(gateway.proxyPort)
    client.request(1, requestLines('POST', '/slow-reader'), END_HEADERS)
    const size = 8 * MIB
    let sent = 0
    const credits = { stream: 65_535, connection: 65_535, seen: 0 }
    await until(
      () => {
        for (; credits.seen < client.frames.length; credits.seen++) {
          const { type, stream, payload } = client.frames[credits.seen] as (typeof client.frames)[number]
          if (type === TYPE.WINDOW_UPDATE) credits[stream === 0 ? 'connection' : 'stream'] += payload.readUInt32BE(0)
        }
        while (sent < size && Math.min(credits.stream, credits.connection) >= 16_384) {
          client.send(frame(TYPE.DATA, 0, 1, Buffer.alloc(16_384)))
          credits.stream -= 16_384
          credits.connection -= 16_384
          sent += 16_384
        }
        return sent >= size || client.find(TYPE.HEADERS, 1) !== undefined
      },
      'the body to be sent',
      20_000,
    )
    client.send(frame(TYPE.DATA, END_STREAM, 1))
    assert.equal(await client.outcome(1), 'status 200')
  })

  test('send_timeout: a stream whose window stays at 0 ends, and its upstream exchange with it', async () => {
    await using client = await H2Frames.open(gateway.proxyPort, [[4, 0]])
    client.request(1, requestLines('GET', '/endless'))
    assert.equal(await client.outcome(1), 'status 200')
    assert.ok(open.includes('/endless'))
    const reset = await client.received(TYPE.RST_STREAM, 1)
    assert.equal(reset.payload.readUInt32BE(0), constants.NGHTTP2_CANCEL)
    await until(() => !open.includes('/endless'), 'the upstream exchange to end')
  })

  test('send_timeout: also for an answer that was handed over whole', async () => {
    await using client = await H2Frames.open(gateway.proxyPort, [[4, 0]])
    client.request(1, requestLines('GET', '/'))
    assert.equal(await client.outcome(1), 'status 200')
    await client.received(TYPE.RST_STREAM, 1)
  })
})

describe('the protocol of a connection', () => {
  test('a listener without the flag http2 takes the preface for a bad request of HTTP/1.1', async () => {
    await using upstream = await startEchoUpstream()
    await using gateway = await gatewayFor(upstream.port, { SALLYPORT_PROXY_LISTEN: '127.0.0.1:0' })
    await using client = await RawConnection.open(gateway.proxyPort)
    client.send(Buffer.concat([Buffer.from(PREFACE), frame(TYPE.SETTINGS, 0, 0, settings([]))]))
    await until(() => /^HTTP\/1\.1 (400|505) /.test(client.unread.toString('latin1')), 'a refusal')
    assert.equal(upstream.requests.length, 0)
  })

  test('over TLS is the one of ALPN, and the handshake is told', async () => {
    const seen: Downstream[] = []
    const front = createFront(
      frontOptions((downstream) => {
        seen.push(downstream)
        downstream.respond(200, undefined, HeaderList.fromRaw(['Content-Length', '2']), Buffer.from('ok'))
      }),
      null,
    )
    const server = createTlsServer({ key: SELF_SIGNED_KEY, cert: SELF_SIGNED_CERTIFICATE, ALPNProtocols: ['h2', 'http/1.1'] }, (socket) =>
      front.serve(socket),
    )
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    try {
      await using client = open(`https://127.0.0.1:${port}`, { rejectUnauthorized: false, servername: 'api.test' })
      const { status, body } = await send(client, { ':path': '/x' })
      assert.deepEqual([status, body.toString()], [200, 'ok'])
      const { version, tls } = seen[0] as Downstream
      assert.equal(version, '2')
      assert.equal(tls?.serverName, 'api.test')
      assert.match(tls?.version ?? '', /^TLSv1\.[23]$/)
      const curl = run('curl', '-sk', '--http1.1', `https://127.0.0.1:${port}/x`)
      assert.equal(await curl, 'ok')
      assert.equal(seen[1]?.version, '1.1')
      await until(() => front.counters.active === 1, "the end of curl's connection")
    } finally {
      front.destroy()
      server.close()
    }
    await until(() => front.counters.active === 0, 'the connections to end')
  })
})

async function run(program: string, ...parameters: string[]): Promise<string> {
  const child = spawn(program, parameters, { stdio: ['ignore', 'pipe', 'ignore'] })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk
  })
  await once(child, 'close')
  return output
}
