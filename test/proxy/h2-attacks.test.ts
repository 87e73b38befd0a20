import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type EchoUpstream, startEchoUpstream } from '../../demo/echo-upstream.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import {
  block,
  END_HEADERS,
  END_STREAM,
  ERROR,
  frame,
  H2Frames,
  type Lines,
  PREFACE,
  requestLines,
  settings,
  TYPE,
  uint32,
} from '../support/h2-frames.ts'
import { until } from '../support/until.ts'

let upstream: EchoUpstream
let gateway: Gateway

before(async () => {
  upstream = await startEchoUpstream()
  gateway = await startGateway({
    database: 'off',
    env: { SALLYPORT_PROXY_LISTEN: '127.0.0.1:0 http2' },
    declarative: {
      _format_version: '3.0',
      services: [{ name: 'echo', url: upstream.origin, routes: [{ name: 'all', paths: ['/anything'], strip_path: false }] }],
    },
  })
})

after(async () => {
  await gateway.stop()
  await upstream.stop()
})

const PROTOCOL_ERROR = 'stream PROTOCOL_ERROR'
const MALFORMED = [PROTOCOL_ERROR]
const BAD = ['status 400']

const get = (...more: Lines): Lines => requestLines('GET', '/anything/x', more)
const post = (...more: Lines): Lines => requestLines('POST', '/anything/x', more)
const without = (name: string): Lines => get().filter(([line]) => line !== name)
const withPseudo = (name: string, value: string): Lines => get().map(([line, old]) => [line, line === name ? value : old])

/** Heads that must be refused: name, lines, allowed outcomes. All are complete requests without a body. */
const heads: readonly (readonly [name: string, lines: Lines, outcomes: readonly string[]])[] = [
  // RFC 9113 section 8.2.1
  ['a name with an upper-case letter', get(['X-Upper', '1']), MALFORMED],
  ['a value with a leading space', get(['x-a', ' 1']), MALFORMED],
  ['a value with a trailing space', get(['x-a', '1 ']), MALFORMED],
  ['a value with a leading tab', get(['x-a', '\t1']), MALFORMED],
  // RFC 9113 section 8.2.2
  ['Connection', get(['connection', 'close']), MALFORMED],
  ['Connection that names a header', get(['connection', 'x-consumer-username']), MALFORMED],
  ['Keep-Alive', get(['keep-alive', 'timeout=5']), MALFORMED],
  ['Proxy-Connection', get(['proxy-connection', 'keep-alive']), MALFORMED],
  ['Transfer-Encoding', get(['transfer-encoding', 'chunked']), MALFORMED],
  ['Upgrade', get(['upgrade', 'websocket']), MALFORMED],
  ['TE other than trailers', get(['te', 'gzip']), MALFORMED],
  ['TE with more than trailers', get(['te', 'trailers, gzip']), MALFORMED],
  // RFC 9113 section 8.3
  ['a pseudo-header field behind a line', [...without(':path'), ['x-a', '1'], [':path', '/anything/x']], MALFORMED],
  ['an unknown pseudo-header field', [[':what', '1'], ...get()], MALFORMED],
  ['a pseudo-header field of responses', [[':status', '200'], ...get()], MALFORMED],
  ['two :method', [[':method', 'GET'], ...get()], MALFORMED],
  ['two :path', [[':path', '/anything/y'], ...get()], MALFORMED],
  ['two :scheme', [[':scheme', 'http'], ...get()], MALFORMED],
  ['two :authority', [[':authority', 'api.test'], ...get()], MALFORMED],
  ['no :method', without(':method'), MALFORMED],
  ['no :scheme', without(':scheme'), MALFORMED],
  ['no :path', without(':path'), MALFORMED],
  ['neither :authority nor Host', without(':authority'), MALFORMED],
  ['an empty :path', withPseudo(':path', ''), MALFORMED],
  ['a :path without a slash', withPseudo(':path', 'anything/x'), MALFORMED],
  ['a :path in absolute form', withPseudo(':path', 'http://other.test/anything/x'), MALFORMED],
  ['a :path with a space', withPseudo(':path', '/anything/x HTTP/1.1'), MALFORMED],
  ['a :path with a line end', withPseudo(':path', '/anything/x HTTP/1.1\r\nx: y'), MALFORMED],
  ['a :path with a byte beyond ASCII', withPseudo(':path', '/anything/\xe4'), MALFORMED],
  ['a :path that climbs above the root', withPseudo(':path', '/../anything'), BAD],
  ['a :path with %00', withPseudo(':path', '/anything/%00'), BAD],
  ['* for another method than OPTIONS', withPseudo(':path', '*'), MALFORMED],
  ['an unknown :scheme', withPseudo(':scheme', 'ftp'), MALFORMED],
  ['a :scheme with a request line', withPseudo(':scheme', 'http://api.test/anything/y?'), MALFORMED],
  ['a :method that is no token', withPseudo(':method', 'GET /anything/y HTTP/1.1\r\nx:'), MALFORMED],
  ['a :method in lower case', withPseudo(':method', 'get'), MALFORMED],
  ['an empty :method', withPseudo(':method', ''), MALFORMED],
  ['TRACE', withPseudo(':method', 'TRACE'), ['status 405']],
  // RFC 9113 section 8.3.1: what the request is for is said once
  ['a Host that is not :authority', get(['host', 'other.test']), BAD],
  ['two Host lines', get(['host', 'api.test'], ['host', 'other.test']), [...BAD, PROTOCOL_ERROR]],
  ['an :authority with user information', withPseudo(':authority', 'a@api.test'), [...BAD, PROTOCOL_ERROR]],
  ['an :authority with a path', withPseudo(':authority', 'api.test/x'), [...BAD, PROTOCOL_ERROR]],
  ['an empty :authority', withPseudo(':authority', ''), [...BAD, PROTOCOL_ERROR]],
  // RFC 9113 section 8.5, RFC 8441
  [
    'CONNECT',
    [
      [':method', 'CONNECT'],
      [':authority', 'api.test:443'],
    ],
    ['status 405'],
  ],
  ['CONNECT with a path', requestLines('CONNECT', '/anything/x'), MALFORMED],
  ['extended CONNECT', requestLines('CONNECT', '/anything/x', [[':protocol', 'websocket']]), MALFORMED],
  // RFC 9113 section 8.1.1
  ['a Content-Length without a body', post(['content-length', '5']), MALFORMED],
  ['two Content-Length lines', post(['content-length', '0'], ['content-length', '0']), MALFORMED],
  ['a Content-Length list', post(['content-length', '0, 0']), MALFORMED],
  ['a Content-Length with a sign', post(['content-length', '+0']), MALFORMED],
  ['a Content-Length that is no number', post(['content-length', 'x']), MALFORMED],
  // The limits of HTTP/1.1
  ['a line above its limit', get(['x-a', 'a'.repeat(8200)]), BAD],
  ['a :path above its limit', withPseudo(':path', `/anything/${'a'.repeat(8200)}`), ['status 414']],
]

/**
 * Lines that may not stand in a head and that Node.js leaves out before anybody can see them; the request is served without. RFC 9113 section 8.2.1 would have
 * it refused; what counts is that nothing of the line goes on.
 */
const leftOut: readonly (readonly [name: string, line: readonly [string, string]])[] = [
  ['a name with a space', ['x a', '1']],
  ['a name with a colon', ['x:a', '1']],
  ['a name with a line end', ['x\r\na', '1']],
  ['a name with a NUL', ['x\0a', '1']],
  ['an empty name', ['', '1']],
  ['a value with CR LF', ['x-a', '1\r\ntransfer-encoding: chunked']],
  ['a value with LF', ['x-a', '1\n2']],
  ['a value with CR', ['x-a', '1\r2']],
  ['a value with NUL', ['x-a', '1\x002']],
  ['a value with another control character', ['x-a', '1\x012']],
  ['a value with DEL', ['x-a', '1\x7f2']],
]

/** Names that the upstream is sent for a request without lines of its own. */
const OWN_NAMES = /^(host|x-forwarded-(for|proto|host|port|path)|x-real-ip|via|x-kong-request-id|connection)$/i

/** Frames that must be refused on the stream 1, behind a good preface: name, frames, allowed outcomes. */
const frames: readonly (readonly [name: string, frames: readonly Buffer[], outcomes: readonly string[]])[] = [
  [
    'a body shorter than its Content-Length',
    [frame(TYPE.HEADERS, END_HEADERS, 1, block(post(['content-length', '6']))), frame(TYPE.DATA, END_STREAM, 1, Buffer.from('hello'))],
    MALFORMED,
  ],
  [
    'a body longer than its Content-Length',
    [frame(TYPE.HEADERS, END_HEADERS, 1, block(post(['content-length', '4']))), frame(TYPE.DATA, 0, 1, Buffer.from('hello'))],
    ['connection PROTOCOL_ERROR', 'connection INTERNAL_ERROR'],
  ],
  [
    'trailers with a pseudo-header field',
    [
      frame(TYPE.HEADERS, END_HEADERS, 1, block(post())),
      frame(TYPE.DATA, 0, 1, Buffer.from('hello')),
      frame(TYPE.HEADERS, END_HEADERS | END_STREAM, 1, block([[':path', '/anything/y']])),
    ],
    MALFORMED,
  ],
  ...['content-length', 'transfer-encoding', 'connection', 'upgrade', 'X-Upper'].map(
    (name) =>
      [
        `trailers with ${name}`,
        [
          frame(TYPE.HEADERS, END_HEADERS, 1, block(post())),
          frame(TYPE.DATA, 0, 1, Buffer.from('hello')),
          frame(TYPE.HEADERS, END_HEADERS | END_STREAM, 1, block([[name, name === 'content-length' ? '5' : 'x']])),
        ],
        MALFORMED,
      ] as const,
  ),
  [
    'trailers that do not end the stream',
    [
      frame(TYPE.HEADERS, END_HEADERS, 1, block(post())),
      frame(TYPE.DATA, 0, 1, Buffer.from('hello')),
      frame(TYPE.HEADERS, END_HEADERS, 1, block([['x-t', '1']])),
    ],
    MALFORMED,
  ],
  [
    'trailers with too many lines',
    [
      frame(TYPE.HEADERS, END_HEADERS, 1, block(post())),
      frame(TYPE.DATA, 0, 1, Buffer.from('hello')),
      frame(TYPE.HEADERS, END_HEADERS | END_STREAM, 1, block(lines(1100, 1))),
    ],
    ['stream ENHANCE_YOUR_CALM'],
  ],
  ['a stream of an even number', [frame(TYPE.HEADERS, END_HEADERS | END_STREAM, 2, block(get()))], ['connection PROTOCOL_ERROR']],
  ['HEADERS on stream 0', [frame(TYPE.HEADERS, END_HEADERS | END_STREAM, 0, block(get()))], ['connection PROTOCOL_ERROR']],
  ['DATA on a stream that is idle', [frame(TYPE.DATA, END_STREAM, 1, Buffer.from('x'))], ['connection PROTOCOL_ERROR']],
  ['CONTINUATION without HEADERS', [frame(TYPE.CONTINUATION, END_HEADERS, 1, block(get()))], ['connection PROTOCOL_ERROR']],
  ['PUSH_PROMISE', [frame(TYPE.PUSH_PROMISE, END_HEADERS, 1, Buffer.concat([uint32(2), block(get())]))], ['connection PROTOCOL_ERROR']],
  [
    'another frame within a header block',
    [frame(TYPE.HEADERS, END_STREAM, 1, block(get())), frame(TYPE.PING, 0, 0, Buffer.alloc(8))],
    ['connection PROTOCOL_ERROR'],
  ],
  ['a frame above the largest size', [frame(TYPE.DATA, 0, 1, Buffer.alloc(16_385))], ['connection FRAME_SIZE_ERROR']],
  [
    'an index outside the tables',
    [frame(TYPE.HEADERS, END_HEADERS | END_STREAM, 1, Buffer.from([0xff, 0x50]))],
    ['connection COMPRESSION_ERROR'],
  ],
  ['WINDOW_UPDATE of 0', [frame(TYPE.WINDOW_UPDATE, 0, 0, uint32(0))], ['connection PROTOCOL_ERROR']],
  [
    'a header list above its limit',
    [
      frame(TYPE.HEADERS, END_STREAM, 1, block(get(...lines(3, 5000)))),
      frame(TYPE.CONTINUATION, 0, 1, block(lines(3, 5000))),
      frame(TYPE.CONTINUATION, END_HEADERS, 1, block(lines(3, 5000))),
    ],
    BAD,
  ],
  ['too many lines', [frame(TYPE.HEADERS, END_STREAM | END_HEADERS, 1, block(get(...lines(1001, 1))))], ['stream ENHANCE_YOUR_CALM']],
  // CVE-2019-9511 and its kin, CVE-2024-27316
  [
    'a flood of CONTINUATION',
    [
      frame(TYPE.HEADERS, END_STREAM, 1, block(get())),
      ...Array.from({ length: 100 }, () => frame(TYPE.CONTINUATION, 0, 1, block(lines(1, 10)))),
    ],
    ['connection ENHANCE_YOUR_CALM', 'connection INTERNAL_ERROR'],
  ],
  [
    'a flood of empty CONTINUATION',
    [frame(TYPE.HEADERS, END_STREAM, 1, block(get())), ...Array.from({ length: 1000 }, () => frame(TYPE.CONTINUATION, 0, 1))],
    ['connection ENHANCE_YOUR_CALM', 'connection INTERNAL_ERROR'],
  ],
  // CVE-2016-6581: one large entry of the table, named again and again
  [
    'an HPACK bomb',
    [
      frame(
        TYPE.HEADERS,
        END_STREAM | END_HEADERS,
        1,
        Buffer.concat([block(get()), block([['x-a', 'a'.repeat(3000)]], true), Buffer.alloc(8000, 0xbe)]),
      ),
    ],
    ['stream ENHANCE_YOUR_CALM'],
  ],
  [
    'a SETTINGS frame with too many entries',
    [frame(TYPE.SETTINGS, 0, 0, settings(Array.from({ length: 100 }, () => [3, 100])))],
    ['connection ENHANCE_YOUR_CALM'],
  ],
]

function lines(count: number, size: number): Lines {
  return Array.from({ length: count }, (_, i) => [`x-${i}`, 'a'.repeat(size)])
}

async function servesOthers(): Promise<void> {
  await using client = await H2Frames.open(gateway.proxyPort)
  client.request(1, get(['x-good', '1']))
  assert.equal(await client.outcome(1), 'status 200')
  assert.deepEqual(
    upstream.requests.map(({ rawHeaders }) => rawHeaders.some(([name]) => name === 'x-good')),
    [true],
    'the upstream saw nothing but the good request',
  )
}

describe('a head that breaks the rules is refused before the upstream sees a byte (RFC 9113 sections 8.1.1 to 8.3)', () => {
  for (const [name, head, outcomes] of heads) {
    test(name, async () => {
      upstream.reset()
      await using client = await H2Frames.open(gateway.proxyPort)
      client.request(1, head)
      const outcome = await client.outcome(1)
      assert.ok(outcomes.includes(outcome), outcome)
      await servesOthers()
    })
  }

  for (const [name, line] of leftOut) {
    test(`${name} is left out`, async () => {
      upstream.reset()
      await using client = await H2Frames.open(gateway.proxyPort)
      client.request(1, get(line))
      assert.equal(await client.outcome(1), 'status 200')
      assert.deepEqual(
        upstream.lastRequest?.rawHeaders.filter(([seen]) => !OWN_NAMES.test(seen)),
        [],
      )
      upstream.reset()
      await servesOthers()
    })
  }

  test('the connection of a refused head serves on', async () => {
    upstream.reset()
    await using client = await H2Frames.open(gateway.proxyPort)
    client.request(1, get(['connection', 'close']))
    client.request(3, get(['host', 'other.test']))
    client.request(5, get(['x-good', '1']))
    assert.equal(await client.outcome(1), PROTOCOL_ERROR)
    assert.equal(await client.outcome(3), 'status 400')
    assert.equal(await client.outcome(5), 'status 200')
    assert.equal(upstream.requests.length, 1)
  })
})

describe('frames that break the rules end their stream or connection, and others are served on', () => {
  for (const [name, bytes, outcomes] of frames) {
    test(name, async () => {
      upstream.reset()
      await using client = await H2Frames.open(gateway.proxyPort)
      client.send(...bytes)
      const outcome = await client.outcome(1)
      assert.ok(outcomes.includes(outcome), outcome)
      await servesOthers()
    })
  }

  test('a body that is not what Content-Length says never ends well for an upstream that reads it already', async () => {
    upstream.reset()
    await using client = await H2Frames.open(gateway.proxyPort)
    const size = 200_000
    client.request(1, post(['content-length', String(size)]), END_HEADERS)
    for (let sent = 0; sent < size - 16_000; sent += 16_000) {
      client.send(frame(TYPE.DATA, 0, 1, Buffer.alloc(16_000)))
      if (sent % 48_000 === 0) await client.received(TYPE.WINDOW_UPDATE)
    }
    client.send(frame(TYPE.DATA, END_STREAM, 1))
    assert.equal(await client.outcome(1), PROTOCOL_ERROR)
    await upstream.received(1)
    assert.equal(upstream.lastRequest?.complete, false)
  })
})

/** Sends `count` requests, each followed by what makes it be reset, at once; answers what the connection ended by. */
async function flood(client: H2Frames, count: number, reset: (stream: number) => Buffer): Promise<string | undefined> {
  const head = block(requestLines('POST', '/anything/x'))
  client.send(
    ...Array.from({ length: count }, (_, i) => Buffer.concat([frame(TYPE.HEADERS, END_HEADERS, 2 * i + 1, head), reset(2 * i + 1)])),
  )
  await client.ended()
  return client.goaway
}

describe('what costs the gateway more than the client is bounded', () => {
  test('rapid reset: ENHANCE_YOUR_CALM (CVE-2023-44487)', async () => {
    upstream.reset()
    await using client = await H2Frames.open(gateway.proxyPort)
    assert.equal(await flood(client, 300, (stream) => frame(TYPE.RST_STREAM, 0, stream, uint32(ERROR.CANCEL))), 'ENHANCE_YOUR_CALM')
    await gateway.waitForOutput(/client reset too many HTTP\/2 streams/)
    await servesOthers()
  })

  test('a client that makes the server reset its streams loses its connection (CVE-2025-8671)', async () => {
    for (const increment of [0, 0x7fffffff]) {
      upstream.reset()
      await using client = await H2Frames.open(gateway.proxyPort)
      const goaway = await flood(client, 300, (stream) => frame(TYPE.WINDOW_UPDATE, 0, stream, uint32(increment)))
      assert.ok(['PROTOCOL_ERROR', 'FLOW_CONTROL_ERROR', 'ENHANCE_YOUR_CALM'].includes(goaway ?? ''), goaway ?? 'no GOAWAY')
      await servesOthers()
    }
  })

  test('malformed heads one after the other end the connection', async () => {
    upstream.reset()
    await using client = await H2Frames.open(gateway.proxyPort)
    for (let i = 0; i < 1000 && !client.closed; i++) {
      client.request(2 * i + 1, get(['connection', 'close']))
      if (i % 50 === 49) await new Promise((resolve) => setImmediate(resolve))
    }
    await client.ended()
    await servesOthers()
  })

  test('PING whose answers nobody reads, SETTINGS, and empty DATA do not keep others from being served', async () => {
    upstream.reset()
    await using client = await H2Frames.open(gateway.proxyPort)
    client.request(1, post(), END_HEADERS)
    const piece = Buffer.concat([
      ...Array.from({ length: 500 }, () => frame(TYPE.PING, 0, 0, Buffer.alloc(8))),
      ...Array.from({ length: 500 }, () => frame(TYPE.SETTINGS, 0, 0)),
    ])
    for (let i = 0; i < 10 && !client.closed; i++) client.send(piece)
    await servesOthers()
  })

  for (const [name, bytes] of [
    ['PING', frame(TYPE.PING, 0, 0, Buffer.alloc(8))],
    ['SETTINGS', frame(TYPE.SETTINGS, 0, 0)],
    ['RST_STREAM that a broken stream gets', Buffer.alloc(0)],
  ] as const) {
    test(`answers that nobody reads end the connection: ${name}`, async () => {
      upstream.reset()
      await using client = await H2Frames.open(gateway.proxyPort)
      client.pause()
      const piece = Buffer.concat(Array.from({ length: 4000 }, () => bytes))
      for (let i = 0, stream = 1; i < 400 && !client.cut; i++) {
        if (piece.length > 0) client.send(piece)
        else for (let j = 0; j < 50; j++, stream += 2) client.request(stream, get(['connection', 'close']))
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
      await until(() => client.cut, 'the end of the connection')
      await servesOthers()
    })
  }

  test('an empty DATA frame that does not end its stream is refused (CVE-2019-9518)', async () => {
    upstream.reset()
    await using client = await H2Frames.open(gateway.proxyPort)
    client.request(1, post(), END_HEADERS)
    client.send(...Array.from({ length: 5000 }, () => frame(TYPE.DATA, 0, 1)))
    await client.ended()
    await servesOthers()
  })

  test('streams above http2_max_concurrent_streams are refused', async () => {
    upstream.reset()
    await using client = await H2Frames.open(gateway.proxyPort)
    client.send(...Array.from({ length: 129 }, (_, i) => frame(TYPE.HEADERS, END_HEADERS, 2 * i + 1, block(post()))))
    assert.equal(await client.outcome(257), 'stream REFUSED_STREAM')
    assert.equal(client.closed, false)
    assert.ok(client.find(TYPE.SETTINGS)?.payload.toString('hex').includes('000300000080'), 'MAX_CONCURRENT_STREAMS is 128')
    // A client that has acknowledged the setting knows better.
    client.request(259, post(), END_HEADERS)
    assert.ok(['stream REFUSED_STREAM', 'connection PROTOCOL_ERROR'].includes(await client.outcome(259)))
  })
})

describe('a connection in clear with the flag http2 speaks what its first bytes say', () => {
  test('HTTP/1.1, also in single bytes and with a method that begins like the preface', async () => {
    for (const method of ['GET', 'PROPFIND', 'POST', 'PUT']) {
      upstream.reset()
      await using client = await H2Frames.connect(gateway.proxyPort)
      for (const byte of Buffer.from(`${method} /anything/x HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n`))
        client.send(Buffer.from([byte]))
      await client.ended()
      assert.equal(upstream.lastRequest?.method, method)
    }
  })

  test('HTTP/2, also in single bytes', async () => {
    upstream.reset()
    await using client = await H2Frames.connect(gateway.proxyPort)
    for (const byte of Buffer.concat([Buffer.from(PREFACE), frame(TYPE.SETTINGS, 0, 0)])) client.send(Buffer.from([byte]))
    client.request(1, get())
    assert.equal(await client.outcome(1), 'status 200')
  })
})
