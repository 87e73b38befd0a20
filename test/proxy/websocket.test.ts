/** WebSocket through the gateway (RFC 6455, RFC 9110 section 7.8): bytes in, bytes out. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { after, before, suite, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { listen } from '../../demo/listening.ts'
import { type Gateway, portsOf, startGateway } from '../support/gateway.ts'
import { headerOf, RawConnection } from '../support/raw-client.ts'
import type { RawRequest } from '../support/raw-message.ts'
import { type RawUpstream, type RawUpstreamConnection, startRawUpstream } from '../support/raw-upstream.ts'
import { standsStill, until } from '../support/until.ts'
import { acceptOf, WEB_SOCKET_KEY, webSocketAnswer, webSocketOffer } from '../support/web-socket.ts'

const ACCEPT = acceptOf(WEB_SOCKET_KEY)
const TAKEN = webSocketAnswer(WEB_SOCKET_KEY, 'Sec-WebSocket-Protocol: chat')
/** What looks like a request is nobody's business in a tunnel. */
const SAID_LATER = 'GET /open/x HTTP/1.1\r\n\r\n'

suite('WebSocket', () => {
  let upstream: RawUpstream
  let gateway: Gateway
  const requests: RawRequest[] = []
  /** Of the listeners, in their order. */
  let [plain, twofold, tls, proxied] = [0, 0, 0, 0]
  /** Takes every offer, and reads when it is told to. */
  const sleeper = createServer((socket) => {
    socket.once('data', () => socket.pause().write(`${TAKEN}hello`))
    socket.on('error', () => {})
  })

  before(async () => {
    const sleeperPort = await listen(sleeper, 0)
    upstream = await startRawUpstream(async (connection) => {
      for (;;) {
        const request = await connection.readRequest()
        requests.push(request)
        await answer(request.line.split(' ')[1] as string, connection)
      }
    })
    const service = { url: upstream.origin, retries: 0 }
    gateway = await startGateway({
      database: 'off',
      env: { SALLYPORT_PROXY_LISTEN: '127.0.0.1:0, 127.0.0.1:0 http2, 127.0.0.1:0 ssl, 127.0.0.1:0 proxy_protocol' },
      declarative: {
        _format_version: '3.0',
        services: [
          { name: 'open', ...service, routes: [{ name: 'open', paths: ['/open'], strip_path: false }] },
          { name: 'asleep', url: `http://127.0.0.1:${sleeperPort}`, routes: [{ name: 'asleep', paths: ['/asleep'] }] },
          { name: 'hasty', ...service, read_timeout: 300, routes: [{ name: 'hasty', paths: ['/hasty'], strip_path: false }] },
          {
            name: 'closed',
            ...service,
            routes: [{ name: 'closed', paths: ['/closed'] }],
            plugins: [{ name: 'request-termination', config: { status_code: 401 } }],
          },
        ],
      },
    })
  })
  before(async () => {
    ;[plain = 0, twofold = 0, tls = 0, proxied = 0] = await portsOf(gateway)
  })
  after(async () => {
    await gateway?.stop()
    await upstream?.[Symbol.asyncDispose]()
    sleeper.close()
  })

  /** What the upstream does by the last part of the path. */
  async function answer(target: string, connection: RawUpstreamConnection): Promise<void> {
    switch (target.split('/').at(-1)) {
      case 'echo':
        await connection.respond(`${TAKEN}hello`)
        for (const said of ['early', SAID_LATER]) {
          await connection.waitFor(said)
          await connection.respond(said)
        }
        return await connection.closed
      case 'held':
        await connection.respond(`${TAKEN}hello`)
        return await connection.closed
      case 'bye':
        await connection.respond(`${TAKEN}bye`)
        connection.close()
        return await connection.closed
      case 'wrong-accept':
        return await connection.respond(TAKEN.replace(ACCEPT, 'AAAAAAAAAAAAAAAAAAAAAAAAAAA='))
      case 'other-protocol':
        return await connection.respond(TAKEN.replace('websocket', 'h2c'))
      default:
        return await connection.respond('HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nno')
    }
  }

  test('after the upstream took the offer, bytes pass both ways, those sent early included', async () => {
    await using client = await RawConnection.open(gateway.proxyPort)
    client.send(`${webSocketOffer('/open/echo')}early`)
    const response = await client.readUntil('early')
    const text = response.toString('latin1')
    assert.match(text, /^HTTP\/1\.1 101 Switching Protocols\r\n/)
    for (const line of ['Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Accept: ${ACCEPT}`, 'Sec-WebSocket-Protocol: chat'])
      assert.ok(text.includes(`\r\n${line}\r\n`), line)
    assert.ok(text.endsWith('\r\n\r\nhelloearly'))
    assert.doesNotMatch(text, /content-length|transfer-encoding/i)
    client.send(SAID_LATER)
    await client.readUntil(SAID_LATER)
    const request = requests.at(-1) as RawRequest
    assert.equal(request.line, 'GET /open/echo HTTP/1.1')
    assert.equal(headerOf(request, 'upgrade'), 'websocket')
    assert.equal(headerOf(request, 'connection'), 'keep-alive, Upgrade')
    assert.equal(headerOf(request, 'sec-websocket-key'), WEB_SOCKET_KEY)
  })

  test("the upstream's end is passed on", async () => {
    await using client = await RawConnection.open(gateway.proxyPort)
    client.send(webSocketOffer('/open/bye'))
    const bytes = await client.readUntilClose()
    assert.ok(bytes.toString('latin1').endsWith('\r\n\r\nbye'))
  })

  test('a client that leaves takes its upstream connection along', async () => {
    const client = await RawConnection.open(gateway.proxyPort)
    client.send(webSocketOffer('/open/held'))
    await client.readUntil('hello')
    client.destroy()
    await assert.rejects(upstream.connections.at(-1)?.waitFor('what never comes') ?? Promise.resolve(), /ended/)
  })

  const clear = (port: number) => connect({ port, host: '127.0.0.1' })
  const ways: Record<string, () => Socket> = {
    'in clear': () => clear(plain),
    'on a listener that takes HTTP/2 too': () => clear(twofold),
    'over TLS': () => connectTls({ port: tls, host: '127.0.0.1', rejectUnauthorized: false }),
    'behind a PROXY header': () => {
      const client = clear(proxied)
      client.write('PROXY TCP4 192.0.2.1 198.51.100.1 40000 80\r\n')
      return client
    },
  }
  for (const [way, open] of Object.entries(ways)) {
    test(`a side that does not read holds the other one back, and gets every byte in the end: ${way}`, async () => {
      const asleep = once(sleeper, 'connection') as Promise<[Socket]>
      const client = open()
      try {
        client.write(webSocketOffer('/asleep'))
        await once(client, 'data')
        const [server] = await asleep
        // More than the system holds between the four sockets.
        const blocks = Array.from({ length: 2000 }, (_, i) => Buffer.alloc(65_536, i % 251))
        const sent = createHash('sha256')
        for (const block of blocks) {
          client.write(block)
          sent.update(block)
        }
        assert.ok((await standsStill(() => client.writableLength)) > 0, 'all was taken from the client although nobody reads')
        const received = createHash('sha256')
        let size = 0
        server.on('data', (chunk: Buffer) => {
          received.update(chunk)
          size += chunk.length
        })
        server.resume()
        await until(() => size >= blocks.length * 65_536, 'the rest', 30_000)
        assert.equal(received.digest('hex'), sent.digest('hex'))
      } finally {
        client.destroy()
      }
    })
  }

  test('a tunnel in which nothing moves is cut after read_timeout', async () => {
    await using client = await RawConnection.open(gateway.proxyPort)
    client.send(webSocketOffer('/hasty/held'))
    await client.readUntil('hello')
    await client.readUntilClose()
  })

  for (const path of ['/open/wrong-accept', '/open/other-protocol']) {
    test(`a 101 that does not take the offer is 502, and no byte of a tunnel passes: ${path}`, async () => {
      await using client = await RawConnection.open(gateway.proxyPort)
      client.send(webSocketOffer(path))
      assert.equal((await client.readResponse()).status, 502)
    })
  }

  test('any other answer is an ordinary one, and the connection goes on in HTTP', async () => {
    await using client = await RawConnection.open(gateway.proxyPort)
    client.send(webSocketOffer('/open/refused'))
    const response = await client.readResponse()
    assert.deepEqual([response.status, response.body.toString(), headerOf(response, 'upgrade')], [426, 'no', undefined])
    client.send(webSocketOffer('/open/refused'))
    assert.equal((await client.readResponse()).status, 426)
  })

  test('a plugin that refuses does so before the upstream is asked', async () => {
    await using client = await RawConnection.open(gateway.proxyPort)
    const asked = requests.length
    client.send(webSocketOffer('/closed'))
    assert.equal((await client.readResponse()).status, 401)
    assert.equal(requests.length, asked)
  })

  for (const [what, lines] of [
    ['a body', ['Content-Length: 0', 'Transfer-Encoding: chunked']],
    ['a second key', [`Sec-WebSocket-Key: ${WEB_SOCKET_KEY}`]],
    ['a second protocol', ['Upgrade: h2c']],
  ] as const) {
    test(`an offer with ${what} is none: nothing of it goes upstream as one`, async () => {
      await using client = await RawConnection.open(gateway.proxyPort)
      const asked = requests.length
      client.send(webSocketOffer('/open/none', ...lines))
      const { status } = await client.readResponse()
      if (status === 400) return assert.equal(requests.length, asked)
      assert.equal(status, 426)
      assert.equal(headerOf(requests.at(-1) as RawRequest, 'upgrade'), undefined)
    })
  }
})
