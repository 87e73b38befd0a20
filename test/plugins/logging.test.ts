import assert from 'node:assert/strict'
import { readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type EchoUpstream, startEchoUpstream } from '../../demo/echo-upstream.ts'
import { type Gateway, type GatewayOptions, startGateway } from '../support/gateway.ts'
import { createHttpClient, type HttpClient, type HttpResponse } from '../support/http-client.ts'
import { unusedPort } from '../support/ports.ts'
import { headerOf, RawConnection } from '../support/raw-client.ts'
import { startRawUpstream } from '../support/raw-upstream.ts'
import { type AnswerFunction, type StubAnswer, type StubIntrospection, startStubIntrospection } from '../support/stub-introspection.ts'
import { until } from '../support/until.ts'
import { webSocketAnswer, webSocketOffer } from '../support/web-socket.ts'

/** What tests look at of an entry. */
type Entry = {
  request: { id: string; uri: string; url: string; method: string; size: number; headers: Record<string, string>; querystring: object }
  response: { status: number; size: number; headers: Record<string, string> }
  latencies: Record<string, number>
  tries?: { ip: string; port: number; state?: string; code?: number; balancer_start: number }[]
  route?: { id: string; name: string }
  service?: { id: string; name: string; host: string }
  upstream_status: string
  upstream_uri: string
  client_ip: string
  started_at: number
  source: string
  correlation_id?: string
}

/** A gateway of its own with a route `/r` to an echo. */
class World implements AsyncDisposable {
  readonly gateway: Gateway
  readonly client: HttpClient
  readonly upstream: EchoUpstream

  private constructor(gateway: Gateway, upstream: EchoUpstream) {
    this.gateway = gateway
    this.upstream = upstream
    this.client = createHttpClient(gateway.proxyOrigin)
  }

  static async open(options: GatewayOptions = {}): Promise<World> {
    const upstream = await startEchoUpstream()
    const world = new World(await startGateway(options), upstream)
    await world.admin('POST', '/services', { name: 'echo', url: `${upstream.origin}/anything` })
    await world.admin('POST', '/services/echo/routes', { name: 'r', paths: ['/r'] })
    return world
  }

  async admin(method: string, path: string, body?: unknown): Promise<HttpResponse> {
    const response = await this.gateway.admin(method, path, body)
    assert.ok(response.status < 300, `${method} ${path}: ${response.status} ${response.text}`)
    return response
  }

  /** A plugin on the route; answers its id. */
  async plugin(name: string, config: object = {}): Promise<string> {
    return String((await this.admin('POST', '/routes/r/plugins', { name, config })).json?.['id'])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close()
    await this.gateway.stop()
    await this.upstream.stop()
  }
}

/** An HTTP server for entries. */
class Sink implements AsyncDisposable {
  readonly server: StubIntrospection

  private constructor(server: StubIntrospection) {
    this.server = server
  }

  static async open(answer: AnswerFunction | StubAnswer = { status: 204 }): Promise<Sink> {
    return new Sink(await startStubIntrospection(answer))
  }

  get url(): string {
    return `${this.server.origin}/in`
  }

  get entries(): Entry[] {
    return this.server.requests.flatMap(({ body }): Entry[] => JSON.parse(body))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.stop()
  }
}

async function linesOf(path: string): Promise<string[]> {
  return (await readFile(path, 'utf8').catch(() => '')).split('\n').slice(0, -1)
}

describe('an entry', () => {
  let world: World
  let sink: Sink
  before(async () => {
    world = await World.open()
    sink = await Sink.open()
    await world.admin('POST', '/plugins', { name: 'http-log', config: { http_endpoint: sink.url } })
    await world.admin('POST', '/plugins', { name: 'correlation-id', config: { generator: 'tracker', echo_downstream: true } })
  })
  after(async () => {
    await world?.[Symbol.asyncDispose]()
    await sink?.[Symbol.asyncDispose]()
  })

  async function entryOf(method: string, path: string, headers: Record<string, string> = {}): Promise<[Entry, HttpResponse]> {
    sink.server.reset()
    const response = await world.client.request(method, path, { headers })
    await sink.server.received(1)
    return [sink.entries[0] as Entry, response]
  }

  test('tells what came in, where it went and what went out', async () => {
    const [entry, response] = await entryOf('GET', '/r/x?a=1&a=2', { host: 'API.example', 'x-twice': 'v' })
    assert.equal(response.status, 200)
    const { request, route, service, tries = [] } = entry
    assert.equal(request.uri, '/r/x?a=1&a=2')
    assert.equal(request.url, `http://api.example:${world.gateway.proxyPort}/r/x?a=1&a=2`)
    assert.deepEqual(request.querystring, { a: ['1', '2'] })
    assert.equal(request.headers['host'], 'API.example')
    assert.equal(request.headers['x-twice'], 'v')
    assert.equal(request.id, response.headers['x-kong-request-id'])
    assert.ok(request.size > 50, String(request.size))
    assert.equal(entry.upstream_uri, '/anything/x?a=1&a=2')
    assert.equal(entry.upstream_status, '200')
    assert.equal(entry.response.status, 200)
    assert.ok(entry.response.size > Buffer.byteLength(response.text), String(entry.response.size))
    assert.equal(entry.response.headers['content-type'], response.headers['content-type'])
    assert.deepEqual([route?.name, service?.name], ['r', 'echo'])
    assert.deepEqual(
      tries.map(({ ip, port, state }) => [ip, port, state]),
      [['127.0.0.1', world.upstream.port, undefined]],
    )
    assert.ok(Math.abs(entry.started_at - Date.now()) < 60_000)
    assert.ok((entry.latencies['request'] ?? -1) >= (entry.latencies['proxy'] ?? 0))
    assert.deepEqual([entry.client_ip, entry.source], ['127.0.0.1', 'upstream'])
  })

  test('is made also where no route matches', async () => {
    const [entry] = await entryOf('GET', '/nowhere')
    assert.deepEqual([entry.response.status, entry.source, entry.upstream_uri, entry.route], [404, 'kong', '', undefined])
  })

  test('is made also of bytes that are no request, without any of them, and so is a line of the access log', async () => {
    sink.server.reset()
    await using client = await RawConnection.open(world.gateway.proxyPort)
    client.send('GET /secret HTTP/1.1\r\nHost: a\r\nAuthorization : Bearer secret\r\n\r\n')
    const response = await client.readResponse()
    await sink.server.received(1)
    const entry = sink.entries[0] as Entry
    const { request } = entry
    assert.deepEqual([entry.response.status, entry.source, entry.route, entry.client_ip], [400, 'kong', undefined, '127.0.0.1'])
    assert.deepEqual([request.method, request.headers, request.id], ['', {}, headerOf(response, 'x-kong-request-id')])
    assert.doesNotMatch(JSON.stringify(entry), /secret/)
    await world.gateway.waitForOutput(new RegExp(`127\\.0\\.0\\.1 - - \\[[^\\]]+\\] "-" 400 \\d+ "-" "-" kong_request_id: "${request.id}"`))
  })

  test('tells each attempt at an upstream that refuses', async () => {
    const port = await unusedPort()
    await world.admin('POST', '/services', { name: 'gone', url: `http://127.0.0.1:${port}`, retries: 1 })
    await world.admin('POST', '/services/gone/routes', { paths: ['/gone'] })
    const [entry] = await entryOf('GET', '/gone')
    assert.deepEqual([entry.response.status, entry.source, entry.upstream_status], [502, 'kong', '502, 502'])
    assert.deepEqual(
      entry.tries?.map(({ ip, port: to, state, code }) => [ip, to, state, code]),
      [
        ['127.0.0.1', port, 'failed', 502],
        ['127.0.0.1', port, 'failed', 502],
      ],
    )
  })

  test('bears the id that the upstream and the client saw, and one tracks connections', async () => {
    const [entry, response] = await entryOf('GET', '/r')
    const id = entry.correlation_id ?? ''
    const pattern = new RegExp(`^127\\.0\\.0\\.1-${world.gateway.proxyPort}-\\d+-(\\d+)-(\\d+)-\\d+\\.\\d{3}$`)
    const [, serial, count] = pattern.exec(id) ?? assert.fail(id)
    assert.equal(response.headers['kong-request-id'], id)
    assert.ok(world.upstream.requests.at(-1)?.rawHeaders.some(([name, value]) => name.toLowerCase() === 'kong-request-id' && value === id))
    const [, nextSerial, nextCount] = pattern.exec((await entryOf('GET', '/r'))[0].correlation_id ?? '') ?? []
    assert.ok(nextSerial !== serial || Number(nextCount) === Number(count) + 1)
    assert.equal((await entryOf('GET', '/r', { 'kong-request-id': 'mine' }))[0].correlation_id, 'mine')
  })
})

describe('http-log', () => {
  test('a server that is down delays nothing, and gets what waited when it is back', async () => {
    await using world = await World.open()
    await using sink = await Sink.open()
    await sink.server.pause()
    await world.plugin('http-log', { http_endpoint: sink.url, queue: { max_retry_delay: 0.05 } })
    for (let i = 0; i < 20; i++) assert.equal((await world.client.request('GET', `/r/${i}`)).status, 200)
    await world.gateway.waitForOutput(/log entries could not be sent, trying again/)
    await sink.server.resume()
    await sink.server.received(20)
    assert.deepEqual(
      sink.entries.map(({ request }) => request.uri),
      Array.from({ length: 20 }, (_, i) => `/r/${i}`),
    )
  })

  test('what more than max_entries wait is lost, oldest first, and said', async () => {
    await using world = await World.open()
    await using sink = await Sink.open('never')
    await world.plugin('http-log', { http_endpoint: sink.url, queue: { max_entries: 5 } })
    for (let i = 0; i < 20; i++) await world.client.request('GET', `/r/${i}`)
    await world.gateway.waitForOutput(/log entries are lost/)
    sink.server.answer({ status: 200 })
    await sink.server.pause()
    await sink.server.resume()
    // The one that was under way, cut and sent again, and the five that waited; a cut connection may cost it one try more.
    await until(() => sink.entries.some(({ request }) => request.uri === '/r/19'), 'the newest entry is sent')
    assert.deepEqual([...new Set(sink.entries.map(({ request }) => request.uri))], ['/r/0', '/r/15', '/r/16', '/r/17', '/r/18', '/r/19'])
  })

  test('entries are gathered up to the batch size', async () => {
    await using world = await World.open()
    await using sink = await Sink.open()
    await world.plugin('http-log', { http_endpoint: sink.url, queue: { max_batch_size: 5, max_coalescing_delay: 3600 } })
    for (let i = 0; i < 10; i++) await world.client.request('GET', '/r')
    await sink.server.received(2)
    assert.deepEqual(
      sink.server.requests.map(({ body }) => (JSON.parse(body) as unknown[]).length),
      [5, 5],
    )
  })

  test('a reload, a change of configuration and an orderly end lose nothing that was queued', async () => {
    const ends: readonly (readonly [string, (world: World, plugin: string) => Promise<unknown>])[] = [
      ['reload', (world) => world.gateway.command('reload')],
      [
        'change',
        (world, plugin) => world.admin('PATCH', `/plugins/${plugin}`, { config: { content_type: 'application/json; charset=utf-8' } }),
      ],
      ['removal', (world, plugin) => world.admin('DELETE', `/plugins/${plugin}`)],
      ['quit', (world) => world.gateway.quit()],
      ['stop', (world) => world.gateway.restart()],
    ]
    for (const [name, end] of ends) {
      await using world = await World.open()
      await using sink = await Sink.open()
      const plugin = await world.plugin('http-log', { http_endpoint: sink.url, queue: { max_batch_size: 100, max_coalescing_delay: 3600 } })
      for (let i = 0; i < 7; i++) await world.client.request('GET', '/r')
      assert.equal(sink.server.calls, 0, name)
      await end(world, plugin)
      await until(() => sink.server.calls > 0, `what waited is sent at ${name}`)
      assert.equal(sink.entries.length, 7, name)
    }
  })

  test('a server that is down does not hold up the end', async () => {
    await using world = await World.open()
    await using sink = await Sink.open()
    await sink.server.pause()
    await world.plugin('http-log', { http_endpoint: sink.url })
    await world.client.request('GET', '/r')
    assert.equal(await world.gateway.quit(), 0)
    await sink.server.resume()
  })
})

describe('file-log', () => {
  test('each request is one line, from all workers to one file', async () => {
    await using world = await World.open({ workers: 2 })
    const path = join(world.gateway.prefix, 'requests.log')
    await world.plugin('file-log', { path, custom_fields_by_lua: { zone: "return 'a'" } })
    // Connections of their own, so that both workers get some.
    const clients = Array.from({ length: 8 }, () => createHttpClient(world.gateway.proxyOrigin))
    await Promise.all(clients.map((client) => Promise.all(Array.from({ length: 25 }, () => client.request('GET', '/r')))))
    await until(async () => (await linesOf(path)).length === 200, '200 lines')
    await Promise.all(clients.map((client) => client.close()))
    for (const line of await linesOf(path)) assert.equal((JSON.parse(line) as { zone: string }).zone, 'a')
  })

  test('a rotated file is followed at once with reopen, and after a reload without', async () => {
    for (const reopen of [true, false]) {
      await using world = await World.open()
      const path = join(world.gateway.prefix, 'requests.log')
      await world.plugin('file-log', { path, reopen })
      await world.client.request('GET', '/r/1')
      await until(async () => (await linesOf(path)).length === 1, 'the first line')
      await rename(path, `${path}.1`)
      await world.client.request('GET', '/r/2')
      if (!reopen) {
        await until(async () => (await linesOf(`${path}.1`)).length === 2, 'the second line in the old file')
        assert.equal((await world.gateway.command('reload')).exitCode, 0)
        await world.client.close()
        const fresh = createHttpClient(world.gateway.proxyOrigin)
        await fresh.request('GET', '/r/3')
        await fresh.close()
      }
      await until(async () => (await linesOf(path)).length === 1, 'a line in the new file')
      const [line = ''] = await linesOf(path)
      assert.equal((JSON.parse(line) as Entry).request.uri, reopen ? '/r/2' : '/r/3')
    }
  })

  test('a stop that cuts requests and tunnels still writes their entries', async () => {
    await using world = await World.open()
    await using upstream = await startRawUpstream(async (connection) => {
      const { headers } = await connection.readRequest()
      const key = headers.find(([name]) => name === 'Sec-WebSocket-Key')?.[1]
      if (key !== undefined) await connection.respond(webSocketAnswer(key))
      await connection.closed
    })
    await world.admin('PATCH', '/services/echo', { url: upstream.origin })
    const path = join(world.gateway.prefix, 'requests.log')
    await world.plugin('file-log', { path })
    await using waiting = await RawConnection.open(world.gateway.proxyPort)
    waiting.send('GET /r/waiting HTTP/1.1\r\nHost: a\r\n\r\n')
    await using tunnel = await RawConnection.open(world.gateway.proxyPort)
    tunnel.send(webSocketOffer('/r/tunnel'))
    assert.equal((await tunnel.readResponse()).status, 101)
    await upstream.connected(2)
    world.gateway.signal('SIGTERM')
    assert.equal(await world.gateway.exited, 0)
    const entries = (await linesOf(path)).map((line) => JSON.parse(line) as Entry)
    assert.deepEqual(
      new Map(entries.map(({ request, response }) => [request.uri, response.status])),
      new Map([
        ['/r/waiting', 499],
        ['/r/tunnel', 101],
      ]),
    )
  })

  test('standard output takes entries too', async () => {
    await using world = await World.open()
    await world.plugin('file-log', { path: '/dev/stdout' })
    await world.client.request('GET', '/r/out')
    await world.gateway.waitForOutput(/^\{"request":\{"id":"[0-9a-f]{32}","uri":"\/r\/out"/m)
  })

  test('a file that cannot be written is said once, and requests go on', async () => {
    await using world = await World.open()
    await world.plugin('file-log', { path: join(world.gateway.prefix, 'no-such-folder', 'requests.log') })
    for (let i = 0; i < 20; i++) assert.equal((await world.client.request('GET', '/r')).status, 200)
    await world.gateway.waitForOutput(/log entries are lost/)
    assert.equal(await world.gateway.quit(), 0)
    assert.equal(world.gateway.output.match(/log entries are lost/g)?.length, 1)
  })

  test('an orderly end writes what was logged last', async () => {
    await using world = await World.open()
    const path = join(world.gateway.prefix, 'requests.log')
    await world.plugin('file-log', { path })
    await Promise.all(Array.from({ length: 50 }, () => world.client.request('GET', '/r')))
    assert.equal(await world.gateway.quit(), 0)
    assert.equal((await linesOf(path)).length, 50)
  })
})
