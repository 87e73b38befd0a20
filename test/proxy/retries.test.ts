import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { unusedPort } from '../support/ports.ts'
import { exchange, parseResponse, RawConnection, type RawResponse } from '../support/raw-client.ts'
import { type RawUpstream, type RawUpstreamConnection, startRawUpstream } from '../support/raw-upstream.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/temp.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** One attempt that reached the upstream. */
type Attempt = { readonly method: string; readonly body: string; readonly connection: number }

describe('attempts', () => {
  let gateway: Gateway
  let upstream: RawUpstream
  let folder: TemporaryFolder
  let attempts: Attempt[] = []
  /** What the upstream does with the n-th attempt; the last entry holds for all that follow. */
  let behaviour: ((connection: RawUpstreamConnection) => Promise<void> | void)[] = []

  const answer = (connection: RawUpstreamConnection) => connection.respond(OK)
  const reset = (connection: RawUpstreamConnection) => connection.reset()
  const close = (connection: RawUpstreamConnection) => connection.close()
  const hang = () => {}

  before(async () => {
    folder = await temporaryFolder()
    upstream = await startRawUpstream(async (connection, index) => {
      for (;;) {
        const request = await connection.readRequest().catch(() => undefined)
        if (request === undefined) return connection.close()
        const act = behaviour[Math.min(attempts.length, behaviour.length - 1)]
        attempts.push({ method: request.line.split(' ')[0] ?? '', body: request.body.toString(), connection: index })
        await act?.(connection)
      }
    })
    const hosts = join(folder.path, 'hosts')
    await writeFile(hosts, '127.0.0.2 partly-there\n127.0.0.1 partly-there\n')
    const nowhere = await unusedPort()
    const service = (name: string, url: string, more: object = {}) => ({ name, url, ...more, routes: [{ name, paths: [`/${name}`] }] })
    const services = [
      service('five', upstream.origin),
      service('two', upstream.origin, { retries: 2 }),
      service('none', upstream.origin, { retries: 0 }),
      service('impatient', upstream.origin, { retries: 1, read_timeout: 200 }),
      service('refused', `http://127.0.0.1:${nowhere}`, { retries: 2 }),
      service('partly', `http://partly-there:${upstream.port}`, { retries: 2 }),
      { ...service('unbuffered', upstream.origin), routes: [{ name: 'unbuffered', paths: ['/unbuffered'], request_buffering: false }] },
    ]
    gateway = await startGateway({
      database: 'off',
      declarative: { _format_version: '3.0', services },
      env: { SALLYPORT_DNS_HOSTSFILE: hosts },
    })
  })
  after(async () => {
    await upstream.stop()
    await gateway.stop()
    await folder.remove()
  })

  async function send(method: string, path: string, body = ''): Promise<RawResponse> {
    const length = body === '' ? [] : [`Content-Length: ${body.length}`]
    return await exchange(gateway.proxyPort, [`${method} ${path} HTTP/1.1`, 'Host: a', ...length], body)
  }

  /** Sets the scene on fresh upstream connections. */
  async function given(...acts: typeof behaviour): Promise<void> {
    // What earlier tests left open must not be taken again.
    await upstream.disconnect()
    attempts = []
    behaviour = acts
  }

  for (const [method, body] of [
    ['GET', ''],
    ['HEAD', ''],
    ['PUT', 'payload'],
    ['DELETE', ''],
    ['OPTIONS', ''],
  ] as const) {
    test(`${method} is repeated, body and all, when the connection is reset before an answer`, async () => {
      await given(reset, close, answer)
      assert.equal((await send(method, '/five', body)).status, 200)
      assert.deepEqual(
        attempts.map((attempt) => [attempt.method, attempt.body]),
        Array(3).fill([method, body]),
      )
    })
  }

  for (const method of ['POST', 'PATCH', 'LOCK']) {
    test(`${method} is not repeated once it was sent: 502`, async () => {
      await given(reset, answer)
      assert.equal((await send(method, '/five', 'payload')).status, 502)
      assert.equal(attempts.length, 1)
    })
  }

  test('a time-out is repeated for GET and not for POST: 504', async () => {
    await given(hang, answer)
    assert.equal((await send('GET', '/impatient')).status, 200)
    await given(hang)
    assert.equal((await send('GET', '/impatient')).status, 504)
    assert.equal(attempts.length, 2)
    await given(hang, answer)
    assert.equal((await send('POST', '/impatient', 'x')).status, 504)
    assert.equal(attempts.length, 1)
  })

  test('the number of attempts is retries + 1', async () => {
    await given(close)
    assert.equal((await send('GET', '/two')).status, 502)
    assert.equal(attempts.length, 3)
    await given(close)
    assert.equal((await send('GET', '/none')).status, 502)
    assert.equal(attempts.length, 1)
  })

  test('a refused connection is tried again, for POST too, with another address of the name', async () => {
    await given(answer)
    for (let i = 0; i < 4; i++) assert.equal((await send('POST', '/partly', 'payload')).status, 200)
    assert.ok(attempts.every(({ body }) => body === 'payload'))
    assert.equal(attempts.length, 4)
  })

  test('a refused connection is 502 when attempts are used up', async () => {
    assert.equal((await send('POST', '/refused', 'payload')).status, 502)
    assert.match(gateway.output, /trying again/)
  })

  test('a status is never a reason to repeat', async () => {
    for (const status of [500, 502, 503, 504, 429]) {
      await given((connection) => connection.respond(`HTTP/1.1 ${status} Odd\r\nContent-Length: 0\r\n\r\n`))
      assert.equal((await send('GET', '/five')).status, status)
      assert.equal(attempts.length, 1)
    }
  })

  test('a body that began to flow is not repeated', async () => {
    await given(hang)
    await using connection = await RawConnection.open(gateway.proxyPort)
    const known = upstream.connections.length
    connection.send('PUT /unbuffered HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n')
    await upstream.connected(known + 1)
    const peer = upstream.connections[known] as RawUpstreamConnection
    await peer.waitFor('half')
    peer.reset()
    assert.equal((await connection.readFinalResponse()).status, 502)
    assert.equal(upstream.connections.length, known + 1)
  })

  test('a kept connection that the upstream closes when it is used again costs the client nothing, even without retries', async () => {
    for (const end of [reset, close]) {
      await given(answer, end, answer)
      assert.equal((await send('GET', '/none')).status, 200)
      assert.equal((await send('GET', '/none')).status, 200)
      assert.equal(attempts.length, 3)
      assert.equal(attempts[0]?.connection, attempts[1]?.connection)
      assert.notEqual(attempts[1]?.connection, attempts[2]?.connection)
    }
  })

  test('that free attempt is one only', async () => {
    await given(answer, close, close, answer)
    assert.equal((await send('GET', '/none')).status, 200)
    assert.equal((await send('GET', '/none')).status, 502)
    assert.equal(attempts.length, 3)
  })

  test('POST on a kept connection is not sent twice', async () => {
    await given(answer, reset, answer)
    assert.equal((await send('POST', '/five', 'one')).status, 200)
    assert.equal((await send('POST', '/five', 'two')).status, 502)
    assert.deepEqual(
      attempts.map(({ body }) => body),
      ['one', 'two'],
    )
  })

  test('nothing is repeated once the answer has begun; what is cut short never looks complete', async () => {
    const truncated = async (connection: RawUpstreamConnection) => {
      await connection.respond('HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\npart')
      connection.close()
    }
    await given(truncated, answer)
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send('GET /five HTTP/1.1\r\nHost: a\r\n\r\n')
    await connection.closed
    assert.equal(parseResponse(connection.unread), undefined)
    assert.match(connection.unread.toString(), /part$/)
    assert.equal(attempts.length, 1)
  })

  test('a client that has left is no reason to try again', async () => {
    const asked = Promise.withResolvers<RawUpstreamConnection>()
    await given((connection) => asked.resolve(connection), answer)
    const connection = await RawConnection.open(gateway.proxyPort)
    connection.send('GET /five HTTP/1.1\r\nHost: a\r\n\r\n')
    const peer = await asked.promise
    connection.destroy()
    await peer.closed
    assert.equal((await send('GET', '/none')).status, 200)
    assert.equal(attempts.length, 2)
  })
})
