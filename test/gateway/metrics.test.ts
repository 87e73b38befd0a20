/** `/metrics` of a running gateway. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { startEchoUpstream } from '../../demo/echo-upstream.ts'
import { type Exposition, parseExposition } from '../support/exposition.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { createHttpClient, type HttpClient } from '../support/http-client.ts'
import { unusedPort } from '../support/ports.ts'
import { RawConnection } from '../support/raw-client.ts'
import { type StubIntrospection, startStubIntrospection } from '../support/stub-introspection.ts'
import { until } from '../support/until.ts'

const ALL = { status_code_metrics: true, latency_metrics: true, bandwidth_metrics: true, per_consumer: true }
const PROMETHEUS = { name: 'prometheus', config: ALL }
/** A username with all that could end a label or its line. */
const ODD = 'o"d\\d\nkong_fake 1'

/** The metrics, read strictly. */
async function scrape(client: HttpClient, gateway: Gateway): Promise<Exposition> {
  const { status, text, headers } = await client.get(`${gateway.statusOrigin}/metrics`)
  assert.equal(status, 200, text)
  assert.equal(headers['content-type'], 'text/plain; version=0.0.4; charset=UTF-8')
  return parseExposition(text)
}

/** The metrics once they say so: an answer may arrive a moment before its request is counted. */
async function scrapeUntil(client: HttpClient, gateway: Gateway, says: (metrics: Exposition) => boolean): Promise<Exposition> {
  let metrics = await scrape(client, gateway)
  await until(async () => {
    if (says(metrics)) return true
    metrics = await scrape(client, gateway)
    return false
  }, 'the metrics do not say so')
  return metrics
}

function introspection(as: StubIntrospection, config: object = {}): object {
  return { name: 'oauth2-introspection', config: { introspection_url: as.url, authorization_value: 'Basic c2VjcmV0', ...config } }
}

describe('requests', () => {
  test('are counted with names, labels and values of Kong: proxied, refused, failed; those without a route are not', async () => {
    await using upstream = await startEchoUpstream()
    await using as = await startStubIntrospection({ body: { active: true, username: ODD } })
    const dead = await unusedPort()
    await using gateway = await startGateway({
      database: 'off',
      declarative: {
        _format_version: '3.0',
        plugins: [PROMETHEUS],
        consumers: [{ username: ODD }],
        services: [
          {
            name: 'echo',
            url: `${upstream.origin}/anything`,
            routes: [
              { name: 'open', paths: ['/open'] },
              { name: 'shut', paths: ['/shut'], plugins: [introspection(as)] },
            ],
          },
          { url: `http://127.0.0.1:${dead}`, retries: 0, routes: [{ name: 'dead', paths: ['/dead'] }] },
        ],
        routes: [{ id: '8b1a1c8e-5f0e-4c3a-9d59-0d3b6f6f0a01', paths: ['/none'] }],
      },
    })
    await using client = createHttpClient()
    const get = (path: string, headers = {}) => client.get(gateway.proxyOrigin + path, headers)
    assert.equal((await get('/open')).status, 200)
    assert.equal((await get('/open')).status, 200)
    assert.equal((await get('/shut')).status, 401)
    assert.equal((await get('/shut', { authorization: 'Bearer T' })).status, 200)
    assert.equal((await get('/dead')).status, 502)
    assert.equal((await get('/none')).status, 503)
    assert.equal((await get('/elsewhere')).status, 404)

    const requests = 'kong_http_requests_total'
    const metrics = await scrapeUntil(client, gateway, (seen) => seen.sum(requests) >= 6)
    const counted = metrics.samples.filter(({ name }) => name === requests).map(({ labels, value }) => [labels, value])
    const one = (service: string, route: string, code: string, source: string, consumer = '') => ({
      ...{ service, route, code, source, workspace: 'default', consumer },
    })
    assert.deepEqual(counted, [
      [one('echo', 'open', '200', 'service'), 2],
      [one('echo', 'shut', '401', 'kong'), 1],
      [one('echo', 'shut', '200', 'service', ODD), 1],
      [one('127.0.0.1', 'dead', '502', 'kong'), 1],
      [one('', '8b1a1c8e-5f0e-4c3a-9d59-0d3b6f6f0a01', '503', 'kong'), 1],
    ])
    assert.equal(metrics.types.get(requests), 'counter')

    const open = { service: 'echo', route: 'open', workspace: 'default' }
    const bounds = (name: string) =>
      metrics.samples
        .filter((sample) => sample.name === `${name}_bucket` && sample.labels['route'] === 'open')
        .map(({ labels }) => labels['le'])
    const long = ['25', '50', '80', '100', '250', '400', '700', '1000', '2000', '5000', '10000', '30000', '60000', '+Inf']
    const short = ['1', '2', '5', '7', '10', '15', '20', '30', '50', '75', '100', '200', '500', '750', '1000', '3000', '6000', '+Inf']
    assert.deepEqual(bounds('kong_request_latency_ms'), long)
    assert.deepEqual(bounds('kong_upstream_latency_ms'), long)
    assert.deepEqual(bounds('kong_kong_latency_ms'), short)
    for (const name of ['kong_request_latency_ms', 'kong_upstream_latency_ms', 'kong_kong_latency_ms'])
      assert.equal(metrics.value(`${name}_count`, open), 2)
    // What was not answered by an upstream has no latency of one.
    const dead502 = { route: 'dead' }
    assert.equal(metrics.value('kong_upstream_latency_ms_count', dead502), undefined)
    assert.equal(metrics.value('kong_request_latency_ms_count', dead502), 1)

    assert.ok((metrics.value('kong_bandwidth_bytes', { ...open, direction: 'ingress', consumer: '' }) ?? 0) > 100)
    assert.ok((metrics.value('kong_bandwidth_bytes', { ...open, direction: 'egress', consumer: '' }) ?? 0) > 300)
    assert.ok((metrics.value('kong_bandwidth_bytes', { route: 'shut', direction: 'egress', consumer: ODD }) ?? 0) > 300)
    assert.equal(metrics.value('kong_nginx_requests_total', { subsystem: 'http' }), 7)
  })

  test('are counted once where several configurations apply, and only as the most specific one says', async () => {
    await using upstream = await startEchoUpstream()
    await using gateway = await startGateway({
      database: 'off',
      declarative: {
        _format_version: '3.0',
        plugins: [PROMETHEUS],
        services: [
          {
            name: 'echo',
            url: upstream.origin,
            plugins: [PROMETHEUS],
            routes: [
              { name: 'counted', paths: ['/counted'] },
              { name: 'uncounted', paths: ['/uncounted'], plugins: [{ name: 'prometheus', config: {} }] },
            ],
          },
        ],
      },
    })
    await using client = createHttpClient()
    await client.get(`${gateway.proxyOrigin}/uncounted`)
    await client.get(`${gateway.proxyOrigin}/counted`)
    const metrics = await scrapeUntil(client, gateway, (seen) => seen.sum('kong_http_requests_total') > 0)
    assert.equal(metrics.sum('kong_http_requests_total'), 1)
    assert.equal(metrics.sum('kong_request_latency_ms_count'), 1)
  })
})

describe('the node', () => {
  test('shows itself, on the Admin and the Status API alike', async () => {
    await using gateway = await startGateway({ workers: 2 })
    await using client = createHttpClient()
    await gateway.admin('POST', '/plugins', PROMETHEUS)
    const metrics = await scrape(client, gateway)
    const node_id = (await gateway.admin('GET', '/')).json?.['node_id'] as unknown as string
    assert.equal(metrics.value('kong_node_info', { node_id, version: '3.9.1' }), 1)
    assert.equal(metrics.value('kong_datastore_reachable'), 1)
    assert.equal(metrics.value('kong_nginx_metric_errors_total'), 0)
    for (const state of ['accepted', 'handled', 'total', 'active', 'reading', 'writing', 'waiting'])
      assert.equal(typeof metrics.value('kong_nginx_connections_total', { node_id, subsystem: 'http', state }), 'number', state)
    for (const state of ['running', 'pending']) assert.equal(typeof metrics.value('kong_nginx_timers', { state }), 'number')
    const processes = metrics.samples.filter(({ name }) => name === 'kong_memory_workers_lua_vms_bytes')
    assert.equal(processes.length, 3)
    assert.ok(processes.every(({ labels, value }) => labels['kong_subsystem'] === 'http' && value > 1_000_000))
    const { status, text, headers } = await gateway.admin('GET', '/metrics')
    assert.equal(status, 200)
    assert.match(headers['content-type'] ?? '', /^text\/plain; version=0\.0\.4/)
    assert.deepEqual(parseExposition(text).types, metrics.types)
  })

  test('has nothing at /metrics while no configuration of the plugin is enabled', async () => {
    await using gateway = await startGateway()
    await using client = createHttpClient()
    const status = async () => (await client.get(`${gateway.statusOrigin}/metrics`)).status
    assert.deepEqual((await gateway.admin('GET', '/metrics')).json, { message: 'Not found' })
    assert.equal(await status(), 404)
    const { json } = await gateway.admin('POST', '/plugins', PROMETHEUS)
    assert.equal(await status(), 200)
    await gateway.admin('PATCH', `/plugins/${json?.['id']}`, { enabled: false })
    assert.equal(await status(), 404)
  })

  test('tells connections that wait, that are read and that are answered apart', async () => {
    await using upstream = await startEchoUpstream()
    await using gateway = await startGateway({
      database: 'off',
      declarative: {
        _format_version: '3.0',
        plugins: [PROMETHEUS],
        services: [{ url: upstream.origin, routes: [{ name: 'r', paths: ['/'] }] }],
      },
    })
    await using client = createHttpClient()
    await using idle = await RawConnection.open(gateway.proxyPort)
    idle.send('GET /anything HTTP/1.1\r\nHost: a\r\n\r\n')
    await idle.readFinalResponse()
    await using reading = await RawConnection.open(gateway.proxyPort)
    reading.send('GET / HTTP/1.1\r\nHos')
    await using writing = await RawConnection.open(gateway.proxyPort)
    writing.send('POST /anything HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab')
    const of = (metrics: Exposition, state: string) => metrics.value('kong_nginx_connections_total', { state })
    const states = ['active', 'waiting', 'reading', 'writing']
    await scrapeUntil(client, gateway, (seen) => states.map((state) => of(seen, state)).join() === '3,1,1,1')
    const { json } = await client.get(`${gateway.statusOrigin}/status`)
    const server = json?.['server']
    assert.deepEqual(
      ['active', 'waiting', 'reading', 'writing'].map((state) => server?.[`connections_${state}`]),
      [3, 1, 1, 1],
    )
  })
})

describe('several workers', () => {
  test('are added up, and no count goes down at a reload or when a worker dies', async () => {
    await using upstream = await startEchoUpstream()
    await using gateway = await startGateway({
      workers: 2,
      database: 'off',
      declarative: {
        _format_version: '3.0',
        plugins: [PROMETHEUS],
        services: [{ name: 'echo', url: upstream.origin, routes: [{ name: 'r', paths: ['/'] }] }],
      },
    })
    await using client = createHttpClient()
    const workers = async () => Object.values((await gateway.admin('GET', '/')).json?.['pids']?.['workers'] ?? {}).map(Number)
    let sent = 0
    /** Ten requests over connections of their own, so that both workers get some. */
    const send = async () => {
      for (let i = 0; i < 10; i++) {
        await using connection = await RawConnection.open(gateway.proxyPort)
        connection.send('GET /anything HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
        assert.equal((await connection.readFinalResponse()).status, 200)
        sent++
      }
    }
    const assertCounted = async () => {
      const metrics = await scrapeUntil(client, gateway, (seen) => seen.sum('kong_http_requests_total') >= sent)
      assert.equal(metrics.sum('kong_http_requests_total'), sent)
      assert.equal(metrics.value('kong_request_latency_ms_count', { route: 'r' }), sent)
      assert.equal(metrics.value('kong_nginx_requests_total'), sent)
      assert.equal(metrics.value('kong_nginx_connections_total', { state: 'accepted' }), sent)
    }
    await send()
    await assertCounted()
    await send()
    // Not scraped since: the old workers have to hand in what they counted.
    const old = await workers()
    assert.equal((await gateway.command('reload')).exitCode, 0)
    await until(async () => (await workers()).every((pid) => !old.includes(pid)), 'old workers are still there')
    await assertCounted()
    await send()
    await assertCounted()
    const [first = 0] = await workers()
    process.kill(first, 'SIGKILL')
    await until(async () => {
      const now = await workers()
      return now.length === 2 && !now.includes(first)
    }, 'the worker was not replaced')
    await assertCounted()
    await send()
    await assertCounted()
  })

  test('that do not answer are shown as they were last seen', async () => {
    await using gateway = await startGateway({ database: 'off', declarative: { _format_version: '3.0', plugins: [PROMETHEUS] } })
    await using client = createHttpClient()
    await client.get(`${gateway.proxyOrigin}/anywhere`)
    await scrapeUntil(client, gateway, (seen) => seen.value('kong_nginx_requests_total') === 1)
    const [pid = 0] = Object.values((await gateway.admin('GET', '/')).json?.['pids']?.['workers'] ?? {}).map(Number)
    process.kill(pid, 'SIGSTOP')
    try {
      const metrics = await scrape(client, gateway)
      assert.equal(metrics.value('kong_nginx_requests_total'), 1)
    } finally {
      process.kill(pid, 'SIGCONT')
    }
  })
})

describe('introspection', () => {
  for (const plugin of ['oauth2-introspection', 'openid-connect'] as const) {
    test(`of ${plugin} shows hits, misses, joined calls, stale answers and failures, and neither token nor secret`, async () => {
      await using upstream = await startEchoUpstream()
      await using as = await startStubIntrospection({ body: { active: true } })
      const endpoint = `${as.url}?secret-query=1`
      const config =
        plugin === 'oauth2-introspection'
          ? { introspection_url: endpoint, authorization_value: 'Basic c2VjcmV0', ttl: 300 }
          : {
              issuer: as.origin,
              using_pseudo_issuer: true,
              auth_methods: ['introspection'],
              client_id: ['gateway'],
              client_secret: ['secret-of-the-client'],
              introspection_endpoint: endpoint,
              cache_ttl: 1,
              cache_ttl_resurrect: 60,
            }
      await using gateway = await startGateway({ env: { SALLYPORT_LOG_LEVEL: 'warn' } })
      await using client = createHttpClient()
      await gateway.admin('POST', '/plugins', PROMETHEUS)
      await gateway.admin('PUT', '/services/echo', { url: `${upstream.origin}/anything` })
      await gateway.admin('PUT', '/services/echo/routes/r', { paths: ['/r'] })
      const created = await gateway.admin('POST', '/services/echo/plugins', { name: plugin, config })
      assert.equal(created.status, 201, created.text)
      const plugin_id = String(created.json?.['id'])
      const labels = { plugin, plugin_id, endpoint: as.url }
      const ask = async (token: string) => (await client.get(`${gateway.proxyOrigin}/r`, { authorization: `Bearer ${token}` })).status
      const lookups = (metrics: Exposition) =>
        ['hit', 'negative_hit', 'miss', 'coalesced'].map((result) =>
          metrics.value('kong_introspection_lookups_total', { ...labels, result }),
        )

      assert.equal(await ask('token-one'), 200)
      assert.equal(await ask('token-one'), 200)
      as.answer({ body: { active: false } })
      assert.equal(await ask('token-bad'), 401)
      assert.equal(await ask('token-bad'), 401)
      as.answer({ body: { active: true } })
      as.hold()
      const joined = Promise.all([ask('token-two'), ask('token-two'), ask('token-two')])
      await as.received(3)
      await scrapeUntil(client, gateway, (seen) => lookups(seen)[3] === 2)
      assert.equal((await scrape(client, gateway)).value('kong_idp_calls_running', { endpoint: as.url }), 1)
      as.release()
      await joined

      let metrics = await scrape(client, gateway)
      assert.deepEqual(lookups(metrics), [1, 1, 3, 2])
      assert.equal(metrics.value('kong_introspection_calls_total', labels), 3)
      assert.equal(metrics.value('kong_introspection_call_duration_ms_count', labels), 3)
      assert.equal(metrics.value('kong_introspection_cache_entries', { kind: 'positive' }), 2)
      assert.equal(metrics.value('kong_introspection_cache_entries', { kind: 'negative' }), 1)
      assert.ok((metrics.value('kong_introspection_cache_bytes') ?? 0) > 1000)
      assert.equal(metrics.value('kong_idp_breaker_state', { endpoint: as.url }), 0)

      as.answer({ status: 500, body: 'token-echoed' })
      assert.equal(await ask('token-three'), 503)
      assert.equal((await scrape(client, gateway)).value('kong_introspection_failures_total', { ...labels, kind: 'status' }), 1)
      await as.pause()
      if (plugin === 'openid-connect') {
        await until(async () => {
          assert.equal(await ask('token-one'), 200)
          return (await scrape(client, gateway)).value('kong_introspection_stale_answers_total', labels) === 1
        }, 'no stale answer was used')
      }
      for (let i = 0; i < 10; i++) assert.equal(await ask(`token-${i}`), 503)
      metrics = await scrape(client, gateway)
      assert.equal(metrics.value('kong_idp_breaker_state', { endpoint: as.url }), 1)
      assert.ok((metrics.value('kong_introspection_failures_total', { ...labels, kind: 'transport' }) ?? 0) >= 10)
      const { text } = await client.get(`${gateway.statusOrigin}/metrics`)
      assert.doesNotMatch(text, /token-|secret|c2VjcmV0/)

      // Counters belong to the configuration and the endpoint: making it anew empties memory and sets nothing back.
      const before = metrics.value('kong_introspection_calls_total', labels)
      const changed = await gateway.admin('PATCH', `/plugins/${plugin_id}`, {
        tags: ['a'],
        config: plugin === 'openid-connect' ? { leeway: 1 } : { ttl: 301 },
      })
      assert.equal(changed.status, 200, changed.text)
      assert.equal((await scrape(client, gateway)).value('kong_introspection_calls_total', labels), before)
    })
  }
})

test('every metric that the dashboard shows is exported', async () => {
  const file = join(import.meta.dirname, '../../examples/grafana/sallyport.json')
  const dashboard = readFileSync(file, 'utf8')
  assert.ok(Array.isArray((JSON.parse(dashboard) as { panels: unknown }).panels))
  const shown = new Set(dashboard.match(/\bkong_\w+/g))
  assert.ok(shown.size > 15)
  await using upstream = await startEchoUpstream()
  await using as = await startStubIntrospection({ body: { active: true } })
  await using gateway = await startGateway({
    database: 'off',
    declarative: {
      _format_version: '3.0',
      plugins: [PROMETHEUS],
      services: [{ name: 'echo', url: `${upstream.origin}/anything`, plugins: [introspection(as)], routes: [{ name: 'r', paths: ['/'] }] }],
    },
  })
  await using client = createHttpClient()
  assert.equal((await client.get(`${gateway.proxyOrigin}/`, { authorization: 'Bearer T' })).status, 200)
  const metrics = await scrapeUntil(client, gateway, (seen) => seen.sum('kong_http_requests_total') === 1)
  const exported = new Set(metrics.samples.map(({ name }) => name))
  assert.deepEqual(
    [...shown].filter((name) => !exported.has(name)),
    [],
  )
  // And the other way round: nothing of ours is left out.
  const own = [...metrics.types.keys()].filter((name) => /introspection|idp/.test(name))
  assert.deepEqual(
    own.filter((name) => !shown.has(name) && !shown.has(`${name}_bucket`)),
    [],
  )
})
