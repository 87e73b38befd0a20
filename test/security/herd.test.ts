import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { type EchoUpstream, startEchoUpstream } from '../../demo/echo-upstream.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { headerOf, RawConnection, type RawResponse } from '../support/raw-client.ts'
import { type StubIntrospection, startStubIntrospection } from '../support/stub-introspection.ts'
import { until } from '../support/until.ts'

const CLIENTS = 500
const TTL_S = 1

describe('a herd of clients with one token costs the authorization server one call', () => {
  let gateway: Gateway
  let upstream: EchoUpstream
  let server: StubIntrospection

  before(async () => {
    upstream = await startEchoUpstream()
    server = await startStubIntrospection({ body: { active: true, sub: 's' } })
    const plugins = [
      { name: 'oauth2-introspection', config: { introspection_url: server.url, authorization_value: 'Basic eDp5', ttl: TTL_S } },
    ]
    const routes = [{ name: 'all', paths: ['/'], plugins }]
    const services = [{ name: 'upstream', url: `${upstream.origin}/anything`, routes }]
    gateway = await startGateway({ database: 'off', declarative: { _format_version: '3.0', services }, logLevel: 'warn' })
  })
  after(async () => {
    await upstream.stop()
    await server.stop()
    await gateway.stop()
  })

  const totalRequests = async () => Number((await gateway.admin('GET', '/status')).json?.server?.total_requests)

  /** Sends one request on each of many connections; resolves when the gateway has begun to serve all of them. */
  async function sendAll(count: number, token: string): Promise<RawConnection[]> {
    const served = await totalRequests()
    const connections = await Promise.all(Array.from({ length: count }, () => RawConnection.open(gateway.proxyPort, { timeoutMs: 20_000 })))
    for (const connection of connections) {
      connection.send(`GET /x HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer ${token}\r\n\r\n`)
    }
    await until(async () => (await totalRequests()) >= served + count, 'the requests did not arrive', 15_000)
    return connections
  }

  async function finishAll(connections: readonly RawConnection[]): Promise<RawResponse[]> {
    const responses = await Promise.all(connections.map((connection) => connection.readFinalResponse()))
    for (const connection of connections) connection.destroy()
    return responses
  }

  test(`${CLIENTS} concurrent requests with a cold token make one call, and one more after its answer has expired`, async () => {
    server.reset()
    for (const round of [1, 2]) {
      server.hold()
      const connections = await sendAll(CLIENTS, 'cold')
      await server.received(round)
      server.release()
      const responses = await finishAll(connections)
      assert.ok(responses.every(({ status }) => status === 200))
      assert.equal(server.calls, round)
      // The answer came before now, so that this is beyond its end.
      await delay(TTL_S * 1000 + 10)
    }
  })

  test('an answer that comes while it is asked for by others again is used until it expires', async () => {
    server.reset()
    const [first] = await finishAll(await sendAll(1, 'warm'))
    assert.equal(first?.status, 200)
    assert.ok((await finishAll(await sendAll(100, 'warm'))).every(({ status }) => status === 200))
    assert.ok(server.calls <= 2, String(server.calls))
  })

  test('clients that leave, the first of all among them, take nobody with them and cause no further call', async () => {
    server.reset()
    server.hold()
    const connections = await sendAll(100, 'leaving')
    await server.received(1)
    for (const connection of connections.slice(0, 50)) connection.reset()
    server.release()
    const responses = await finishAll(connections.slice(50))
    assert.ok(responses.every(({ status }) => status === 200))
    assert.equal(server.calls, 1)
  })

  test('a failure is told to all who wait, with one call, and is not remembered', async () => {
    server.reset()
    server.hold()
    server.answer({ status: 500, body: 'broken' })
    const connections = await sendAll(100, 'failing')
    await server.received(1)
    server.release()
    const responses = await finishAll(connections)
    assert.ok(responses.every(({ status }) => status === 503))
    assert.ok(responses.every((response) => headerOf(response, 'www-authenticate') === undefined))
    assert.equal(server.calls, 1)
    server.answer({ body: { active: true } })
    const [next] = await finishAll(await sendAll(1, 'failing'))
    assert.equal(next?.status, 200)
    assert.equal(server.calls, 2)
  })

  test('"not active" is told to all who wait, with one call', async () => {
    server.reset()
    server.hold()
    server.answer({ body: { active: false } })
    const connections = await sendAll(100, 'inactive')
    await server.received(1)
    server.release()
    assert.ok((await finishAll(connections)).every(({ status }) => status === 401))
    assert.equal(server.calls, 1)
  })

  test('tokens do not wait for one another', async () => {
    server.reset()
    server.answer(async ({ form }) => {
      if (form.get('token') === 'slow') await slow.promise
      return { body: { active: true } }
    })
    const slow = Promise.withResolvers<void>()
    const waiting = await sendAll(1, 'slow')
    const [quick] = await finishAll(await sendAll(1, 'quick'))
    assert.equal(quick?.status, 200)
    slow.resolve()
    assert.equal((await finishAll(waiting))[0]?.status, 200)
  })
})
