/** What happens to those for whom there is no place: `nginx_events_worker_connections`. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { createSelfSigned } from '../../src/util/self-signed.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { H2Frames, requestLines } from '../support/h2-frames.ts'
import { headerOf, RawConnection } from '../support/raw-client.ts'
import { type RawUpstream, startRawUpstream } from '../support/raw-upstream.ts'
import { until } from '../support/until.ts'

const LIMIT = 4
/** Connections beyond the limit that may be told so. */
const RESERVE = 8
const REQUEST = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

describe('a worker at its limit', () => {
  let gateway: Gateway
  let upstream: RawUpstream
  /** Requests that the upstream has not answered yet. */
  const held: (() => void)[] = []

  before(async () => {
    upstream = await startRawUpstream(async (connection) => {
      for (;;) {
        await connection.readRequest()
        await new Promise<void>((resolve) => held.push(resolve))
        await connection.respond(ANSWER)
      }
    })
    const { cert, key } = await createSelfSigned({ kind: 'ecdsa', commonName: 'localhost', days: 1 })
    gateway = await startGateway({
      database: 'off',
      declarative: { _format_version: '3.0', services: [{ name: 'a', url: upstream.origin, routes: [{ name: 'a', paths: ['/'] }] }] },
      env: {
        SALLYPORT_PROXY_LISTEN: '127.0.0.1:0 http2, 127.0.0.1:0 ssl',
        SALLYPORT_SSL_CERT: cert,
        SALLYPORT_SSL_CERT_KEY: key,
        SALLYPORT_NGINX_EVENTS_WORKER_CONNECTIONS: String(LIMIT),
      },
    })
  })
  after(async () => {
    await gateway.stop()
    await upstream.stop()
  })

  const open = () => RawConnection.open(gateway.proxyPort)

  /** As many connections as there are places, each with a request that the upstream has and does not answer. */
  async function fill() {
    const clients = await Promise.all(Array.from({ length: LIMIT }, open))
    for (const client of clients) client.send(REQUEST)
    await until(() => held.length === LIMIT, 'the upstream to have the requests')
    return {
      clients,
      async [Symbol.asyncDispose]() {
        for (const answer of held.splice(0)) answer()
        for (const client of clients) client.destroy()
        await until(async () => (await connections()).active === 0, 'the connections to end')
      },
    }
  }

  async function connections(): Promise<{ active: number; accepted: number; handled: number; reading: number }> {
    const { json } = await gateway.admin('GET', '/status')
    const server = (json as { server?: Record<string, number> } | null)?.server ?? {}
    const {
      connections_active: active = 0,
      connections_accepted: accepted = 0,
      connections_handled: handled = 0,
      connections_reading: reading = 0,
    } = server
    return { active, accepted, handled, reading }
  }

  test('cuts idle connections, oldest first, for those that come', async () => {
    const clients: RawConnection[] = []
    try {
      for (let i = 0; i < 2 * LIMIT; i++) {
        const client = await open()
        clients.push(client)
        client.send(REQUEST)
        await until(() => held.length === 1, 'the request')
        held.pop()?.()
        assert.equal((await client.readResponse()).status, 200)
      }
      await (clients[0] as RawConnection).readUntilClose()
    } finally {
      for (const client of clients) client.destroy()
    }
    await until(async () => (await connections()).active === 0, 'the connections to end')
  })

  test('cuts connections whose head does not come on, where none is idle', async () => {
    const slow = await Promise.all(Array.from({ length: LIMIT }, open))
    try {
      for (const client of slow) client.send('GET / HTTP/1.1\r\nX: ')
      await until(async () => (await connections()).reading === LIMIT, 'the beginnings of the heads')
      await using client = await open()
      client.send(REQUEST)
      await until(() => held.length === 1, 'the request')
      held.pop()?.()
      assert.equal((await client.readResponse()).status, 200)
      assert.equal(slow.filter(({ ended }) => ended).length, 1)
    } finally {
      for (const client of slow) client.destroy()
    }
    await until(async () => (await connections()).active === 0, 'the connections to end')
  })

  test('answers 503 and closes where all are busy, and serves those on as before', async () => {
    const before = await connections()
    {
      await using full = await fill()
      const late = await open()
      const response = await late.readResponse()
      assert.equal(response.status, 503)
      assert.equal(headerOf(response, 'connection'), 'close')
      assert.match(response.body.toString(), /Too many connections/)
      await late.readUntilClose()
      late.destroy()
      for (const answer of held.splice(0)) answer()
      for (const client of full.clients) assert.equal((await client.readResponse()).body.toString(), 'ok')
    }
    const { accepted, handled } = await connections()
    assert.equal(accepted - before.accepted, LIMIT + 1)
    assert.equal(handled - before.handled, LIMIT)
    assert.match(await gateway.logText(), /turned away: nginx_events_worker_connections is reached/)
  })

  test('closes without a word what comes beyond the reserve, and serves again when there is room', async () => {
    {
      await using _full = await fill()
      // Those that are told stay as long as their clients do.
      const told = await Promise.all(Array.from({ length: RESERVE }, open))
      for (const client of told) await until(() => client.unread.length > 0 || client.ended, 'an answer or the end')
      const late = await open()
      assert.equal((await late.readUntilClose()).length, 0)
      for (const client of [...told, late]) client.destroy()
    }
    await using client = await open()
    client.send(REQUEST)
    await until(() => held.length === 1, 'the request')
    held.pop()?.()
    assert.equal((await client.readResponse()).status, 200)
  })

  test('closes a connection that would begin with a handshake', async () => {
    await using _full = await fill()
    const port = Number(/https:\/\/127\.0\.0\.1:(\d+)/.exec(gateway.output)?.[1])
    await using late = await RawConnection.open(port)
    assert.equal((await late.readUntilClose()).length, 0)
  })

  test('answers 503 to a stream of HTTP/2 beyond it, and goes on with the others', async () => {
    await using client = await H2Frames.open(gateway.proxyPort)
    for (let i = 0; i < LIMIT; i++) client.request(1 + 2 * i, requestLines('GET', '/'))
    await until(() => held.length === LIMIT, 'the upstream to have the requests')
    const late = 1 + 2 * LIMIT
    client.request(late, requestLines('GET', '/'))
    assert.equal(await client.outcome(late), 'status 503')
    for (const answer of held.splice(0)) answer()
    for (let i = 0; i < LIMIT; i++) assert.equal(await client.outcome(1 + 2 * i), 'status 200')
    client.request(late + 2, requestLines('GET', '/'))
    await until(() => held.length === 1, 'the request')
    held.pop()?.()
    assert.equal(await client.outcome(late + 2), 'status 200')
  })
})
