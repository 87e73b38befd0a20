import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import type { Writable } from 'node:stream'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { close, listen } from '../../demo/listening.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { headerOf, RawConnection } from '../support/raw-client.ts'
import { type RawUpstream, type RawUpstreamConnection, startRawUpstream, type UpstreamScript } from '../support/raw-upstream.ts'
import { startStubIntrospection } from '../support/stub-introspection.ts'
import { until } from '../support/until.ts'

const MEBIBYTE = 1024 * 1024
const HUGE = 200 * MEBIBYTE
/** What sockets, both kernels' buffers and the gateway may hold of a stream that stands still. */
const HELD_AT_MOST = 64 * MEBIBYTE
/** What a worker may grow by while a huge body passes, after another one has passed: garbage is collected late, so this is no measure of what is held. */
const GROWTH_AT_MOST = 64 * MEBIBYTE
const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: api.test\r\n\r\n'

const declarative = (url: string) => ({
  _format_version: '3.0',
  services: [
    {
      name: 'upstream',
      url,
      retries: 0,
      routes: [
        { name: 'all', paths: ['/'] },
        { name: 'unbuffered', paths: ['/unbuffered'], request_buffering: false, response_buffering: false },
      ],
    },
  ],
})

const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`
const CHUNKED = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n'

describe('a body passes piece by piece', () => {
  let gateway: Gateway
  let upstream: RawUpstream
  before(async () => {
    upstream = await startRawUpstream(() => {})
    gateway = await startGateway({ database: 'off', declarative: declarative(upstream.origin), logLevel: 'error' })
  })
  after(async () => {
    await upstream.stop()
    await gateway.stop()
  })

  /** Resolves when the gateway has closed its end. */
  const ended = (peer: RawUpstreamConnection) => assert.rejects(peer.waitFor('what nobody sends'), /the connection ended/)

  /** Lets the next request come over a connection of its own, which `script` serves. */
  async function serveNext(script: UpstreamScript): Promise<void> {
    await upstream.disconnect()
    upstream.setScript(script)
  }

  /** The upstream's end of the connection over which the next request comes. */
  async function nextConnection(): Promise<{ peer: Promise<RawUpstreamConnection> }> {
    const next = Promise.withResolvers<RawUpstreamConnection>()
    await serveNext((connection) => next.resolve(connection))
    return { peer: next.promise }
  }

  for (const path of ['/sse', '/unbuffered']) {
    test(`server-sent events arrive one by one, each before the next is made (${path})`, async () => {
      const next = await nextConnection()
      await using connection = await RawConnection.open(gateway.proxyPort)
      connection.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
      const peer = await next.peer
      await peer.readRequest()
      await peer.respond(CHUNKED)
      await connection.readUntil('\r\n\r\n')
      for (let i = 0; i < 5; i++) {
        await peer.respond(chunk(`data: ${i}\n\n`))
        assert.match((await connection.readUntil('\n\n\r\n')).toString(), new RegExp(`data: ${i}\n\n\r\n$`))
      }
      await peer.respond('0\r\n\r\n')
      await connection.readUntil('0\r\n\r\n')
    })
  }

  test('a head arrives before any of its body', async () => {
    const next = await nextConnection()
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send('GET /x HTTP/1.1\r\nHost: a\r\n\r\n')
    const peer = await next.peer
    await peer.readRequest()
    await peer.respond('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n')
    await connection.readUntil('\r\n\r\n')
    await peer.respond('done')
    assert.equal((await connection.readUntil(4)).toString(), 'done')
  })

  test('without request buffering, chunks reach the upstream one by one', async () => {
    const next = await nextConnection()
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send('POST /unbuffered HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')
    connection.send(chunk('piece-0'))
    const peer = await next.peer
    for (let i = 0; i < 5; i++) {
      if (i > 0) connection.send(chunk(`piece-${i}`))
      await peer.waitFor(`piece-${i}`)
    }
    connection.send('0\r\n\r\n')
    const request = await peer.readRequest()
    assert.equal(headerOf(request, 'transfer-encoding'), 'chunked')
    assert.equal(request.body.toString(), 'piece-0piece-1piece-2piece-3piece-4')
    await peer.respond('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
    assert.equal((await connection.readFinalResponse()).status, 200)
  })

  test('with request buffering, a chunked body of up to 64 KiB gets a length, a longer one flows on in chunks', async () => {
    for (const size of [65_536, 65_537]) {
      const next = await nextConnection()
      await using connection = await RawConnection.open(gateway.proxyPort)
      connection.send(`POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n${chunk('a'.repeat(size))}`)
      if (size > 65_536) await (await next.peer).waitFor(size)
      connection.send('0\r\n\r\n')
      const peer = await next.peer
      const request = await peer.readRequest()
      assert.equal(headerOf(request, 'content-length'), size === 65_536 ? String(size) : undefined)
      assert.equal(request.body.length, size)
      await peer.respond('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
      peer.close()
      assert.equal((await connection.readFinalResponse()).status, 200)
    }
  })

  test('nothing is lost of a chunked body whose chunks come together, wherever the buffer is full', async () => {
    const pieces = Array.from({ length: 400 }, (_, index) => `${index}:`.padEnd(300, '.'))
    const next = await nextConnection()
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send('POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n')
    connection.send(`${pieces.map(chunk).join('')}0\r\n\r\n`)
    const peer = await next.peer
    const request = await peer.readRequest()
    assert.equal(request.body.toString(), pieces.join(''))
    await peer.respond('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
    peer.close()
    assert.equal((await connection.readFinalResponse()).status, 200)
  })

  test('an answer without a length is chunked for 1.1, and ends by the close for 1.0', async () => {
    for (const version of ['1.1', '1.0']) {
      await serveNext(async (peer) => {
        await peer.readRequest()
        await peer.respond('HTTP/1.1 200 OK\r\n\r\nuntil the end')
        peer.close()
      })
      await using connection = await RawConnection.open(gateway.proxyPort)
      connection.send(`GET /x HTTP/${version}\r\nHost: a\r\n\r\n`)
      const response = await connection.readFinalResponse()
      assert.equal(response.body.toString(), 'until the end')
      assert.equal(headerOf(response, 'transfer-encoding'), version === '1.1' ? 'chunked' : undefined)
    }
  })

  for (const [when, path] of [
    ['before the answer', '/wait'],
    ['in the middle of the answer', '/stream'],
  ] as const) {
    test(`a client that leaves ${when} ends the exchange with the upstream`, async () => {
      const next = await nextConnection()
      const connection = await RawConnection.open(gateway.proxyPort)
      connection.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
      const peer = await next.peer
      await peer.readRequest()
      if (path === '/stream') {
        await peer.respond(CHUNKED + chunk('one'))
        await connection.readUntil('one')
      }
      connection.destroy()
      await ended(peer)
    })
  }

  test('a client that leaves in the middle of its body ends the exchange with the upstream', async () => {
    const next = await nextConnection()
    const connection = await RawConnection.open(gateway.proxyPort)
    connection.send(`POST /unbuffered HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunk('half')}`)
    const peer = await next.peer
    await peer.waitFor('half')
    connection.destroy()
    await ended(peer)
    assert.doesNotMatch(peer.received.toString(), /0\r\n\r\n$/)
  })

  test('a client that leaves in the middle of a body that is still collected costs the upstream nothing', async () => {
    const known = upstream.connections.length
    const connection = await RawConnection.open(gateway.proxyPort)
    connection.send('POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf')
    connection.end()
    await connection.closed
    assert.equal(upstream.connections.length, known)
  })

  test('an upstream that answers before it has read the body is heard at once, and what is left of the body is never a request', async () => {
    await serveNext(async (peer) => {
      await peer.waitFor('\r\n\r\n')
      await peer.respond('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno')
    })
    const known = upstream.connections.length
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send(`POST /unbuffered HTTP/1.1\r\nHost: a\r\nContent-Length: ${100 * SMUGGLED.length}\r\n\r\nhalf`)
    const response = await connection.readFinalResponse()
    assert.deepEqual([response.status, response.body.toString()], [403, 'no'])
    for (let i = 0; i < 100 && !connection.ended; i++) connection.send(SMUGGLED)
    connection.end()
    await connection.closed
    assert.equal(connection.unread.length, 0)
    assert.equal(upstream.connections.length, known + 1)
    const received = upstream.connections.at(-1)?.received.toString('latin1') ?? ''
    assert.equal(received.match(/HTTP\/1\.1\r\n/g)?.length, 1 + (received.match(/GET \/smuggled HTTP\/1\.1\r\n/g)?.length ?? 0))
  })

  test('100 Continue comes from the gateway when it begins to read, and the upstream sees no Expect', async () => {
    for (const path of ['/x', '/unbuffered']) {
      const next = await nextConnection()
      await using connection = await RawConnection.open(gateway.proxyPort)
      connection.send(`POST ${path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n`)
      assert.equal((await connection.readResponse()).status, 100)
      connection.send('hello')
      const peer = await next.peer
      const request = await peer.readRequest()
      assert.equal(headerOf(request, 'expect'), undefined)
      assert.equal(request.body.toString(), 'hello')
      await peer.respond('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
      assert.equal((await connection.readResponse()).status, 200)
    }
  })

  test('an Expect that means nothing to us is passed over (Kong)', async () => {
    await serveNext(async (peer) => {
      await peer.readRequest()
      await peer.respond('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
      peer.close()
    })
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send('POST /x HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\nContent-Length: 5\r\n\r\nhello')
    assert.equal((await connection.readResponse()).status, 200)
  })
})

test('a client that waits for 100 Continue and is refused gets 401 in its place', async () => {
  await using server = await startStubIntrospection()
  const config = { introspection_url: server.url, authorization_value: 'Basic eDp5' }
  const plugins = [{ name: 'oauth2-introspection', config }]
  const routes = [{ name: 'all', paths: ['/'], plugins }]
  const services = [{ name: 'upstream', url: 'http://127.0.0.1:1', routes }]
  await using gateway = await startGateway({ database: 'off', declarative: { _format_version: '3.0', services }, logLevel: 'error' })
  await using connection = await RawConnection.open(gateway.proxyPort)
  const lines = ['POST / HTTP/1.1', 'Host: a', 'Authorization: Bearer bad', 'Expect: 100-continue', `Content-Length: ${SMUGGLED.length}`]
  connection.send(`${lines.join('\r\n')}\r\n\r\n`)
  const response = await connection.readResponse()
  assert.equal(response.status, 401)
  assert.equal(headerOf(response, 'connection'), 'close')
  connection.send(SMUGGLED)
  assert.equal((await connection.readUntilClose()).length, 0)
})

describe('bodies of any size', { skip: existsSync('/proc/self/status') ? false : 'the memory of a process is read from /proc' }, () => {
  let gateway: Gateway
  let server: Server
  let serve: (request: IncomingMessage, response: ServerResponse) => void = () => {}
  let worker = 0

  before(async () => {
    server = createServer({ requestTimeout: 0 }, (request, response) => serve(request, response))
    const port = await listen(server)
    gateway = await startGateway({ database: 'off', declarative: declarative(`http://127.0.0.1:${port}`), logLevel: 'error' })
    worker = Number((await gateway.admin('GET', '/')).json?.pids?.workers?.['0'])
  })
  after(async () => {
    await close(server)
    await gateway.stop()
  })

  async function residentBytes(): Promise<number> {
    const status = await readFile(`/proc/${worker}/status`, 'utf8')
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
  }

  /** The most that the worker grows by while `work` runs. */
  async function growthDuring(work: Promise<unknown>): Promise<number> {
    const before = await residentBytes()
    let most = before
    let over = false
    const done = work.finally(() => {
      over = true
    })
    while (!over) {
      most = Math.max(most, await residentBytes())
      await delay(20)
    }
    await done
    return most - before
  }

  const PIECE = Buffer.alloc(64 * 1024, 97)

  /** Sends `size` bytes as fast as they are taken, and says how many it has sent. */
  async function sendBytes(target: Writable, size: number, onSent: (bytes: number) => void = () => {}): Promise<void> {
    for (let left = size; left > 0; left -= PIECE.length) {
      const piece = PIECE.subarray(0, Math.min(left, PIECE.length))
      const hasRoom = target.write(piece)
      onSent(piece.length)
      if (!hasRoom) await once(target, 'drain')
    }
  }

  /** Resolves when `progress` has not changed for a while: everything that can hold bytes is full. */
  async function standstill(progress: () => number): Promise<number> {
    for (let before = -1; before !== progress(); await delay(250)) before = progress()
    return progress()
  }

  async function download(): Promise<number> {
    const socket = connect({ port: gateway.proxyPort, host: '127.0.0.1' })
    socket.write('GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    let received = 0
    socket.on('data', (bytes) => {
      received += bytes.length
    })
    await once(socket, 'end')
    socket.destroy()
    return received
  }

  test('200 MB down at constant memory', async () => {
    serve = (_request, response) => {
      response.writeHead(200, { 'content-length': HUGE })
      void sendBytes(response, HUGE).then(() => response.end())
    }
    assert.ok((await download()) > HUGE)
    const second = download()
    const growth = await growthDuring(second)
    assert.ok((await second) > HUGE)
    assert.ok(growth < GROWTH_AT_MOST, `grew by ${growth}`)
  })

  async function upload(isChunked: boolean): Promise<string> {
    const socket = connect({ port: gateway.proxyPort, host: '127.0.0.1' })
    const head = isChunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${HUGE}`
    socket.write(`POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${head}\r\n\r\n`)
    if (isChunked) {
      const piece = Buffer.concat([Buffer.from(`${PIECE.length.toString(16)}\r\n`), PIECE, Buffer.from('\r\n')])
      for (let left = HUGE; left > 0; left -= PIECE.length) if (!socket.write(piece)) await once(socket, 'drain')
      socket.write('0\r\n\r\n')
    } else await sendBytes(socket, HUGE)
    const [answer] = await once(socket, 'data')
    socket.destroy()
    return String(answer)
  }

  for (const framing of ['Content-Length', 'chunked']) {
    test(`200 MB up at constant memory (${framing})`, async () => {
      let received = 0
      serve = (request, response) => {
        request.on('data', (bytes: Buffer) => {
          received += bytes.length
        })
        request.once('end', () => response.end('ok'))
      }
      assert.match(await upload(framing === 'chunked'), /^HTTP\/1\.1 200 /)
      const second = upload(framing === 'chunked')
      const growth = await growthDuring(second)
      assert.match(await second, /^HTTP\/1\.1 200 /)
      assert.equal(received, 2 * HUGE)
      assert.ok(growth < GROWTH_AT_MOST, `grew by ${growth}`)
    })
  }

  test('a client that does not read holds the upstream back, and gets everything when it reads', async () => {
    let sent = 0
    serve = (_request, response) => {
      response.writeHead(200, { 'content-length': HUGE })
      const count = (bytes: number) => {
        sent += bytes
      }
      void sendBytes(response, HUGE, count).then(() => response.end())
    }
    const socket = connect({ port: gateway.proxyPort, host: '127.0.0.1' })
    socket.pause()
    socket.write('GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    await until(() => sent > 0, 'the upstream sends nothing')
    const held = await standstill(() => sent)
    assert.ok(held < HELD_AT_MOST, `the gateway took ${held} bytes`)
    let received = 0
    socket.on('data', (bytes) => {
      received += bytes.length
    })
    socket.resume()
    await once(socket, 'end')
    assert.ok(received > HUGE)
  })

  test('an upstream that does not read holds the client back, and gets everything when it reads', async () => {
    const reading = Promise.withResolvers<void>()
    let received = 0
    serve = (request, response) => {
      void reading.promise.then(() => {
        request.on('data', (bytes: Buffer) => {
          received += bytes.length
        })
        request.once('end', () => response.end('ok'))
      })
    }
    const socket = connect({ port: gateway.proxyPort, host: '127.0.0.1' })
    socket.write(`POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${HUGE}\r\n\r\n`)
    const sending = sendBytes(socket, HUGE)
    const held = await standstill(() => socket.bytesWritten - socket.writableLength)
    assert.ok(held < HELD_AT_MOST, `the gateway took ${held} bytes`)
    reading.resolve()
    await sending
    const [answer] = await once(socket, 'data')
    assert.match(String(answer), /^HTTP\/1\.1 200 /)
    socket.destroy()
    assert.equal(received, HUGE)
  })
})
