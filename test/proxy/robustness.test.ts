/** Peers that are slow, leave or break off at every point of an exchange: what they began ends, what they hold is bounded, others are served on. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { type EchoUpstream, startEchoUpstream } from '../../demo/echo-upstream.ts'
import { HeaderList } from '../../src/http/headers.ts'
import { createFront } from '../../src/proxy/server.ts'
import { frontOptions } from '../support/front-options.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { END_HEADERS, ERROR, frame, H2Frames, requestLines, TYPE, uint32 } from '../support/h2-frames.ts'
import { exchange, headerOf, parseResponse, RawConnection } from '../support/raw-client.ts'
import { type RawUpstream, type RawUpstreamConnection, startRawUpstream } from '../support/raw-upstream.ts'
import { standsStill, until } from '../support/until.ts'
import { WEB_SOCKET_KEY, webSocketAnswer, webSocketOffer } from '../support/web-socket.ts'

const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`
const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
const get = (path: string, ...lines: string[]): string => `${[`GET ${path} HTTP/1.1`, 'Host: a', ...lines].join('\r\n')}\r\n\r\n`

function declarative(url: string, service: object = {}): object {
  return {
    _format_version: '3.0',
    services: [
      {
        name: 'upstream',
        url,
        retries: 0,
        ...service,
        routes: [
          { name: 'all', paths: ['/'], strip_path: false },
          { name: 'unbuffered', paths: ['/unbuffered'], strip_path: false, request_buffering: false },
        ],
      },
    ],
    routes: [{ name: 'closed', paths: ['/closed'], plugins: [{ name: 'request-termination', config: { status_code: 403 } }] }],
  }
}

/** Connections of clients that the gateway has open. */
async function openConnections(gateway: Gateway): Promise<number> {
  const { json } = await gateway.admin('GET', '/status')
  return Number(json?.['server']?.connections_active)
}

describe('a client that does not read', () => {
  let upstream: EchoUpstream
  let gateway: Gateway
  const COUNT = 8000

  before(async () => {
    upstream = await startEchoUpstream()
    const env = { SALLYPORT_SEND_TIMEOUT: '3s' }
    gateway = await startGateway({ database: 'off', declarative: declarative(upstream.origin), env, logLevel: 'error' })
  })
  after(async () => {
    await gateway?.stop()
    await upstream?.stop()
  })

  function pipeline(): Socket {
    upstream.reset()
    const socket = connect({ port: gateway.proxyPort, host: '127.0.0.1' }).on('error', () => {})
    socket.pause()
    socket.write(get('/bytes/4000').repeat(COUNT))
    return socket
  }

  test('is not asked for more requests than its socket has room for answers, and gets all of them when it reads', async () => {
    const socket = pipeline()
    const asked = await standsStill(() => upstream.requests.length)
    assert.ok(asked < COUNT / 2, `${asked} answers of ${COUNT} were made for a client that reads none`)
    let answers = 0
    let text = ''
    socket.on('data', (bytes: Buffer) => {
      text += bytes.toString('latin1')
      answers += text.split('HTTP/1.1 200 OK\r\n').length - 1
      text = text.slice(text.lastIndexOf('\n') + 1).slice(-16)
    })
    socket.resume()
    await until(() => upstream.requests.length === COUNT, 'the other requests', 30_000)
    await until(() => answers >= COUNT - 1, 'the other answers', 30_000)
    socket.destroy()
  })

  test('is cut when send_timeout is over, though no request is under way', async () => {
    const socket = pipeline()
    await standsStill(() => upstream.requests.length)
    const asked = upstream.requests.length
    await until(async () => (await openConnections(gateway)) === 0, 'the end of the connection', 10_000)
    assert.equal(upstream.requests.length, asked)
    socket.destroy()
  })
})

test('the last answer of a connection is not cut by lingering_timeout while its client reads', async () => {
  const size = 32 * 1024 * 1024
  const front = createFront(
    frontOptions(
      (downstream) => downstream.respond(200, undefined, HeaderList.fromRaw(['Content-Length', String(size)]), Buffer.alloc(size, 'x')),
      { deadlines: { lingeringMs: 200 } },
    ),
    null,
  )
  front.server.listen(0, '127.0.0.1')
  await once(front.server, 'listening')
  try {
    const { port } = front.server.address() as { port: number }
    const socket = connect({ port, host: '127.0.0.1' }).on('error', () => {})
    socket.pause()
    socket.write(get('/', 'Connection: close'))
    await delay(1000)
    let received = 0
    socket.on('data', (bytes: Buffer) => {
      received += bytes.length
    })
    socket.resume()
    await once(socket, 'close')
    assert.ok(received > size, `${received} bytes`)
  } finally {
    await front.destroy()
    front.server.close()
  }
})

describe('an exchange that a peer leaves', () => {
  let upstream: RawUpstream
  let gateway: Gateway
  let next: PromiseWithResolvers<RawUpstreamConnection>

  before(async () => {
    upstream = await startRawUpstream((connection) => next.resolve(connection))
    gateway = await startGateway({
      database: 'off',
      env: { SALLYPORT_CLIENT_BODY_TIMEOUT: '1s', SALLYPORT_PROXY_LISTEN: '127.0.0.1:0 http2', SALLYPORT_LINGERING_TIMEOUT: '1s' },
      declarative: declarative(upstream.origin),
      logLevel: 'crit',
    })
  })
  after(async () => {
    await gateway?.stop()
    await upstream?.stop()
  })

  const ended = (peer: RawUpstreamConnection) => assert.rejects(peer.waitFor('what nobody sends'), /the connection ended/)

  async function fresh(): Promise<void> {
    await upstream.disconnect()
    next = Promise.withResolvers()
  }

  async function servesOthers(): Promise<void> {
    assert.equal((await exchange(gateway.proxyPort, ['GET /closed HTTP/1.1', 'Host: a'])).status, 403)
    await until(async () => (await openConnections(gateway)) === 0, 'the end of all connections')
  }

  /** Brings an exchange to a point; the connection to the upstream where there is one by then. */
  const points: Record<string, (client: RawConnection) => Promise<RawUpstreamConnection | undefined>> = {
    'before a byte': async () => undefined,
    'in the request line': async (client) => void client.send('GET /x HT'),
    'in the head': async (client) => void client.send('GET /x HTTP/1.1\r\nHost: a\r\nX-A'),
    'in a body that is collected': async (client) => void client.send('POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf'),
    'in a chunked body that is collected': async (client) =>
      void client.send(`POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunk('half')}5\r\nab`),
    'in a body that is on its way': async (client) => {
      client.send('POST /unbuffered HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf')
      const peer = await next.promise
      await peer.waitFor('half')
      return peer
    },
    'in a refused body': async (client) => {
      client.send('POST /closed HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf')
      assert.equal((await client.readResponse()).status, 403)
      return undefined
    },
    'before the answer': async (client) => {
      client.send(get('/x'))
      const peer = await next.promise
      await peer.readRequest()
      return peer
    },
    'before the answer, with another request behind': async (client) => {
      client.send(get('/x') + get('/y'))
      const peer = await next.promise
      await peer.readRequest()
      return peer
    },
    'in the head of the answer': async (client) => {
      client.send(get('/x'))
      const peer = await next.promise
      await peer.readRequest()
      await peer.respond('HTTP/1.1 200 OK\r\nContent-')
      return peer
    },
    'in the answer': async (client) => {
      client.send(get('/x'))
      const peer = await next.promise
      await peer.readRequest()
      await peer.respond(CHUNKED + chunk('half'))
      await client.readUntil('half')
      return peer
    },
    'in the answer, while the body is on its way': async (client) => {
      client.send('POST /unbuffered HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf')
      const peer = await next.promise
      await peer.waitFor('half')
      await peer.respond(CHUNKED + chunk('half'))
      await client.readUntil('half')
      return peer
    },
    'after the answer': async (client) => {
      client.send(get('/closed'))
      assert.equal((await client.readResponse()).status, 403)
      return undefined
    },
    'after a refusal': async (client) => {
      client.send('GARBAGE\r\n\r\n')
      assert.equal((await client.readResponse()).status, 400)
      return undefined
    },
    'in a tunnel': async (client) => {
      client.send(webSocketOffer('/x'))
      const peer = await next.promise
      await peer.readRequest()
      await peer.respond(webSocketAnswer(WEB_SOCKET_KEY))
      assert.equal((await client.readResponse()).status, 101)
      return peer
    },
  }

  for (const [point, reach] of Object.entries(points)) {
    for (const how of ['reset', 'end'] as const) {
      test(`the client, by ${how}, ${point}: nothing of it stays`, async () => {
        await fresh()
        await using client = await RawConnection.open(gateway.proxyPort)
        const peer = await reach(client)
        client[how]()
        await client.closed
        if (peer !== undefined) await ended(peer)
        await servesOthers()
      })
    }
  }

  for (const [point, bytes, answer] of [
    ['before a byte', '', 502],
    ['in the status line', 'HTTP/1.1 2', 502],
    ['in the head', 'HTTP/1.1 200 OK\r\nContent-Le', 502],
    ['behind an interim answer', 'HTTP/1.1 100 Continue\r\n\r\n', 502],
    ['behind the head', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n', 'cut'],
    ['in a body of a length', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf', 'cut'],
    ['in a chunk', `${CHUNKED}5\r\nhal`, 'cut'],
    ['behind a chunk', CHUNKED + chunk('half'), 'cut'],
    ['behind the last chunk, before the empty line', `${CHUNKED}${chunk('half')}0\r\n`, 'cut'],
  ] as const) {
    for (const how of ['reset', 'close'] as const) {
      test(`the upstream, by ${how}, ${point}: ${answer}`, async () => {
        await fresh()
        await using client = await RawConnection.open(gateway.proxyPort)
        client.send(get('/x', 'Connection: close'))
        const peer = await next.promise
        await peer.readRequest()
        await peer.respond(bytes)
        if (answer === 'cut') await client.readUntil('\r\n\r\n')
        peer[how]()
        await client.closed
        if (answer === 502) assert.equal(parseResponse(client.unread, { ended: true })?.response.status, 502)
        else assert.doesNotMatch(client.unread.toString('latin1'), /0\r\n\r\n/)
        await fresh()
        await using second = await H2Frames.open(gateway.proxyPort)
        second.request(1, requestLines('GET', '/x'))
        const other = await next.promise
        await other.readRequest()
        await other.respond(bytes)
        if (answer === 'cut') await second.received(TYPE.HEADERS, 1)
        other[how]()
        if (answer === 502) assert.equal(await second.outcome(1), 'status 502')
        else assert.equal((await second.received(TYPE.RST_STREAM, 1)).payload.readUInt32BE(0), ERROR.INTERNAL_ERROR)
      })
    }
  }

  test('client_body_timeout counts after the answer has begun, too (HTTP/1.1)', async () => {
    await fresh()
    await using client = await RawConnection.open(gateway.proxyPort)
    client.send('POST /unbuffered HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf')
    const peer = await next.promise
    await peer.waitFor('half')
    await peer.respond(CHUNKED + chunk('begun'))
    await client.readUntil('begun')
    await client.closed
    await ended(peer)
    assert.doesNotMatch(client.unread.toString('latin1'), /0\r\n\r\n/)
  })

  test('client_body_timeout counts after the answer has begun, too (HTTP/2)', async () => {
    await fresh()
    await using client = await H2Frames.open(gateway.proxyPort)
    client.request(1, requestLines('POST', '/unbuffered'), END_HEADERS)
    client.send(frame(TYPE.DATA, 0, 1, Buffer.from('half')))
    const peer = await next.promise
    await peer.waitFor('half')
    await peer.respond(CHUNKED + chunk('begun'))
    await client.received(TYPE.DATA, 1)
    await client.received(TYPE.RST_STREAM, 1)
    await ended(peer)
  })

  test('a stream that is reset ends its upstream exchange at every point, the connection serves on', async () => {
    await using client = await H2Frames.open(gateway.proxyPort)
    let stream = 1
    for (const [path, bytes] of [
      ['/unbuffered', ''],
      ['/unbuffered', 'HTTP/1.1 200 OK\r\nConte'],
      ['/unbuffered', CHUNKED + chunk('half')],
    ] as const) {
      await fresh()
      client.request(stream, requestLines('POST', path), END_HEADERS)
      client.send(frame(TYPE.DATA, 0, stream, Buffer.from('half')))
      const peer = await next.promise
      await peer.waitFor('half')
      await peer.respond(bytes)
      if (bytes.startsWith(CHUNKED)) await client.received(TYPE.DATA, stream)
      client.send(frame(TYPE.RST_STREAM, 0, stream, uint32(ERROR.CANCEL)))
      await ended(peer)
      stream += 2
    }
    client.request(stream, requestLines('GET', '/closed'))
    assert.equal(await client.outcome(stream), 'status 403')
  })

  describe('an offer of WebSocket', () => {
    for (const [what, text] of [
      ['in HTTP/1.0', webSocketOffer('/x').replace('HTTP/1.1', 'HTTP/1.0')],
      ['with POST', webSocketOffer('/x').replace('GET', 'POST')],
      ['without a key', webSocketOffer('/x').replace(/Sec-WebSocket-Key: .*\r\n/, '')],
      ['that Connection does not name', webSocketOffer('/x').replace('keep-alive, Upgrade', 'keep-alive')],
    ] as const) {
      test(`${what} opens no tunnel, even if the upstream takes it`, async () => {
        await fresh()
        await using client = await RawConnection.open(gateway.proxyPort)
        client.send(text)
        const peer = await next.promise
        const request = await peer.readRequest()
        assert.equal(headerOf(request, 'upgrade'), undefined)
        await peer.respond(`${webSocketAnswer(WEB_SOCKET_KEY)}tunnel`)
        const response = await client.readResponse()
        assert.equal(response.status, 502)
        assert.doesNotMatch(client.unread.toString(), /tunnel/)
      })
    }

    test('bytes sent before the answer are held back, bounded, and are a request again where the offer is refused', async () => {
      await fresh()
      await using client = await RawConnection.open(gateway.proxyPort)
      // Of a version that is the upstream's to refuse.
      client.send(webSocketOffer('/x').replace('Version: 13', 'Version: 8') + get('/behind'))
      const peer = await next.promise
      assert.equal(headerOf(await peer.readRequest(), 'sec-websocket-version'), '8')
      assert.doesNotMatch(peer.received.toString(), /behind/)
      await peer.respond('HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
      assert.equal((await client.readResponse()).status, 426)
      await until(() => upstream.connections.some(({ received }) => received.includes('GET /behind ')), 'the request behind')
      await using flooder = await RawConnection.open(gateway.proxyPort)
      flooder.send(webSocketOffer('/x'))
      const piece = Buffer.alloc(64 * 1024)
      for (let i = 0; i < 512; i++) flooder.send(piece)
      const held = await standsStill(() => flooder.sent)
      assert.ok(held < 16 * 1024 * 1024, `${held} bytes were taken`)
    })
  })
})
