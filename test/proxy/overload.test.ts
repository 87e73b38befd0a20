/** What happens to those for whom there is no place: `nginx_events_worker_connections`. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { createSelfSigned } from '../../src/util/self-signed.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { H2Frames, requestLines } from '../support/h2-frames.ts'
import { headerOf, RawConnection, type RawResponse } from '../support/raw-client.ts'
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

  async function exchange(client: RawConnection): Promise<void> {
    client.send(REQUEST)
    await until(() => held.length === 1, 'the request')
    held.pop()?.()
    assert.equal((await client.readResponse()).status, 200)
  }

  /** How often {@link knock} came. */
  let knocks = 0

  /** Sends a request on a new connection. @returns the connection where it is served, the answer of 503, or null where it is closed: not all are told */
  async function knock(): Promise<RawConnection | RawResponse | null> {
    knocks++
    const client = await open()
    client.send(REQUEST)
    await until(() => held.length === 1 || client.unread.length > 0 || client.ended, 'a place, an answer or the end')
    if (held.length === 1) {
      held.pop()?.()
      assert.equal((await client.readResponse()).status, 200)
      return client
    }
    const refusal = client.unread.length > 0 ? await client.readResponse() : null
    await client.readUntilClose()
    client.destroy()
    return refusal
  }

  /** Comes again until one is told why it is turned away. */
  async function refusal(): Promise<RawResponse> {
    for (;;) {
      const outcome = await knock()
      assert.ok(!(outcome instanceof RawConnection), 'nobody is turned away')
      if (outcome !== null) return outcome
    }
  }

  test('cuts a connection that has been idle for a second for one that comes, the longest idle first', async () => {
    const clients: RawConnection[] = []
    try {
      for (let i = 0; i < LIMIT; i++) clients.push(await open())
      // The first to come is the last to be used.
      for (const client of clients.toReversed()) await exchange(client)
      const [unused, ...used] = clients.toReversed() as [RawConnection, ...RawConnection[]]
      for (;;) {
        for (const client of used) await exchange(client)
        const late = await knock()
        if (late instanceof RawConnection) {
          clients.push(late)
          break
        }
        assert.equal(unused.ended, false)
      }
      await unused.readUntilClose()
      for (const client of used) await exchange(client)
    } finally {
      for (const client of clients) client.destroy()
    }
    await until(async () => (await connections()).active === 0, 'the connections to end')
  })

  test('tells 503 to one that comes while those that are idle were in use a moment ago', async () => {
    const clients: RawConnection[] = []
    try {
      for (let i = 0; i < LIMIT; i++) clients.push(await open())
      for (const client of clients) await exchange(client)
      for (;;) {
        const outcome = await knock()
        for (const client of clients) await exchange(client)
        assert.ok(!(outcome instanceof RawConnection), 'one was cut that had been in use')
        if (outcome === null) continue
        assert.equal(outcome.status, 503)
        break
      }
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
      let served: RawConnection | RawResponse | null = null
      while (!(served instanceof RawConnection)) served = await knock()
      served.destroy()
      assert.equal(slow.filter(({ ended }) => ended).length, 1)
    } finally {
      for (const client of slow) client.destroy()
    }
    await until(async () => (await connections()).active === 0, 'the connections to end')
  })

  test('answers 503 and closes where all are busy, and serves those on as before', async () => {
    const before = await connections()
    const knocksBefore = knocks
    {
      await using full = await fill()
      const response = await refusal()
      assert.equal(response.status, 503)
      assert.equal(headerOf(response, 'connection'), 'close')
      assert.match(response.body.toString(), /Too many connections/)
      for (const answer of held.splice(0)) answer()
      for (const client of full.clients) assert.equal((await client.readResponse()).body.toString(), 'ok')
    }
    const { accepted, handled } = await connections()
    assert.equal(accepted - before.accepted, LIMIT + knocks - knocksBefore)
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
