import assert from 'node:assert/strict'
import { createServer as createTlsServer } from 'node:https'
import { after, before, describe, test } from 'node:test'
import { type EchoUpstream, startEchoUpstream } from '../../demo/echo-upstream.ts'
import { close, listen } from '../../demo/listening.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { createHttpClient, type HttpClient, type HttpResponse } from '../support/http-client.ts'
import { type OtlpSink, type SinkSpan, startOtlpSink } from '../support/otlp-sink.ts'
import { unusedPort } from '../support/ports.ts'
import { RawConnection } from '../support/raw-client.ts'
import { type RawUpstream, startRawUpstream } from '../support/raw-upstream.ts'
import { SELF_SIGNED_CERTIFICATE, SELF_SIGNED_KEY } from '../support/self-signed.ts'
import { type StubIntrospection, startStubIntrospection } from '../support/stub-introspection.ts'
import { WEB_SOCKET_KEY, webSocketAnswer, webSocketOffer } from '../support/web-socket.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const PARENT = 'b7ad6b7169203331'
const QUEUE = { max_coalescing_delay: 0.01 }

const requestIdOf = (response: HttpResponse): string => String(response.headers['x-kong-request-id'])

function spanOf(spans: readonly SinkSpan[], name: string): SinkSpan {
  const found = spans.filter((span) => span.name === name)
  assert.equal(found.length, 1, `${found.length} spans ${name} among ${spans.map((span) => span.name)}`)
  return found[0] as SinkSpan
}

async function addRoute(gateway: Gateway, name: string, service: object, plugins: readonly object[]): Promise<void> {
  const add = async (path: string, body: object): Promise<void> => {
    const { status, text } = await gateway.admin('POST', path, body)
    assert.ok(status < 300, `${path}: ${status} ${text}`)
  }
  await add('/services', { name, ...service })
  await add(`/services/${name}/routes`, { name, paths: [`/${name}/`] })
  for (const plugin of plugins) await add(`/services/${name}/plugins`, plugin)
}

describe('all parts of a request are traced', () => {
  let gateway: Gateway
  let upstream: EchoUpstream
  let broken: RawUpstream
  let switching: RawUpstream
  let sink: OtlpSink
  let as: StubIntrospection
  let client: HttpClient
  let port: number

  before(async () => {
    sink = await startOtlpSink()
    upstream = await startEchoUpstream()
    broken = await startRawUpstream(async (connection) => {
      await connection.readRequest()
      connection.reset()
    })
    switching = await startRawUpstream(async (connection) => {
      await connection.readRequest()
      await connection.respond(webSocketAnswer(WEB_SOCKET_KEY))
      connection.close()
    })
    as = await startStubIntrospection({ body: { active: true, sub: 'the-subject', username: 'the-user' } })
    port = await unusedPort()
    gateway = await startGateway({ env: { SALLYPORT_TRACING_INSTRUMENTATIONS: 'all', SALLYPORT_TRACING_SAMPLING_RATE: '1' } })
    client = createHttpClient(gateway.proxyOrigin)
    const { status, text } = await gateway.admin('POST', '/plugins', {
      name: 'opentelemetry',
      config: {
        traces_endpoint: sink.url,
        headers: { 'X-Key': 'collector-key' },
        resource_attributes: { 'service.name': 'edge', team: 'a' },
        queue: QUEUE,
        http_response_header_for_traceid: 'X-Trace-Id',
      },
    })
    assert.equal(status, 201, text)
    const introspection = {
      name: 'oauth2-introspection',
      config: { introspection_url: `${as.url}?tenant=secret-tenant`, authorization_value: 'Basic c2VjcmV0LWNyZWRlbnRpYWw=' },
    }
    await addRoute(gateway, 'guarded', { url: upstream.origin }, [introspection])
    await addRoute(gateway, 'refused', { url: `http://127.0.0.1:${port}`, retries: 2 }, [])
    await addRoute(gateway, 'broken', { url: broken.origin, retries: 1 }, [])
    await addRoute(gateway, 'switching', { url: switching.origin }, [])
    await addRoute(gateway, 'named', { url: upstream.origin.replace('127.0.0.1', 'localhost') }, [])
  })

  after(async () => {
    await client?.close()
    await gateway?.stop()
    await Promise.all([upstream?.stop(), broken?.stop(), switching?.stop(), sink?.stop(), as?.stop()])
  })

  const bearer = (token: string, headers: Record<string, string> = {}, path = '/guarded/anything?x=1') =>
    client.get(path, { authorization: `Bearer ${token}`, ...headers })

  test('a switch to WebSocket ends the attempt, which tells where it led', async () => {
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send(webSocketOffer('/switching/x'))
    const head = (await connection.readUntilClose()).toString('latin1')
    const attempt = spanOf(await sink.traceOf(/x-kong-request-id: (\w+)/i.exec(head)?.[1] ?? ''), 'kong.balancer')
    assert.equal(attempt.attributes['http.status_code'], 101)
    assert.equal(attempt.attributes['net.peer.port'], switching.port)
  })

  test('a request whose token is introspected: the call is part of the plugin, the attempt of the request', async () => {
    const response = await bearer('secret-token-1')
    assert.equal(response.status, 200)
    const spans = await sink.traceOf(requestIdOf(response))
    const root = spanOf(spans, 'kong')
    assert.equal(response.headers['x-trace-id'], root.traceId)
    assert.equal(root.kind, 2)
    assert.equal(root.parentId, '')
    assert.equal(root.status, 0)
    assert.deepEqual(root.attributes, {
      'http.method': 'GET',
      'http.url': `${gateway.proxyOrigin}/guarded/anything?x=1`,
      'http.host': '127.0.0.1',
      'http.scheme': 'http',
      'http.flavor': '1.1',
      'http.client_ip': '127.0.0.1',
      'net.peer.ip': '127.0.0.1',
      'kong.request.id': requestIdOf(response),
      'http.status_code': 200,
      'http.route': '/guarded/',
    })
    const plugin = spanOf(spans, 'kong.access.plugin.oauth2-introspection')
    assert.equal(plugin.kind, 1)
    assert.equal(plugin.parentId, root.id)
    assert.deepEqual(plugin.attributes, { 'sallyport.introspection.result': 'miss' })
    const call = spanOf(spans, 'kong.internal.request')
    assert.equal(call.kind, 3)
    assert.equal(call.parentId, plugin.id)
    assert.deepEqual(call.attributes, {
      'http.url': as.url,
      'http.method': 'POST',
      'http.flavor': '1.1',
      'http.user_agent': 'Sallyport',
      'http.status_code': 200,
    })
    const attempt = spanOf(spans, 'kong.balancer')
    assert.equal(attempt.kind, 3)
    assert.equal(attempt.parentId, root.id)
    assert.deepEqual(attempt.attributes, {
      try_count: 1,
      'net.peer.name': '127.0.0.1',
      'http.status_code': 200,
      'net.peer.ip': '127.0.0.1',
      'net.peer.port': Number(new URL(upstream.origin).port),
    })
    assert.equal(spanOf(spans, 'kong.router').parentId, root.id)
    assert.equal(spanOf(spans, 'kong.router').status, 0)
    assert.equal(spanOf(spans, 'kong.access.plugin.opentelemetry').parentId, root.id)
    assert.equal(spanOf(spans, 'kong.header_filter.plugin.opentelemetry').parentId, root.id)
    for (const span of spans) {
      assert.equal(span.scope, 'kong-internal@0.1.0')
      assert.ok(span.startNs >= root.startNs && span.endNs >= span.startNs && span.endNs <= root.endNs + 1_000_000n, span.name)
      assert.equal(span.resource['service.name'], 'edge')
      assert.equal(span.resource['team'], 'a')
      assert.match(String(span.resource['service.version']), /^\d/)
      assert.match(String(span.resource['service.instance.id']), /^[0-9a-f-]{36}$/)
    }
    const seen = upstream.requests.at(-1)
    assert.equal(new Map(seen?.rawHeaders).get('traceparent'), `00-${root.traceId}-${attempt.id}-01`)
    assert.equal(sink.headers.at(-1)?.['x-key'], 'collector-key')
    assert.equal(sink.headers.at(-1)?.['content-type'], 'application/x-protobuf')
  })

  test('a stored answer is a hit without a call', async () => {
    await bearer('secret-token-2')
    const spans = await sink.traceOf(requestIdOf(await bearer('secret-token-2')))
    assert.deepEqual(spanOf(spans, 'kong.access.plugin.oauth2-introspection').attributes, { 'sallyport.introspection.result': 'hit' })
    assert.deepEqual(
      spans.filter(({ name }) => name === 'kong.internal.request'),
      [],
    )
  })

  test('requests that wait for the same call: one has it, the others say so', async () => {
    as.hold()
    const before = as.calls
    const pending = [bearer('secret-token-3'), bearer('secret-token-3'), bearer('secret-token-3')]
    await as.received(before + 1)
    as.release()
    const traces = await Promise.all((await Promise.all(pending)).map((response) => sink.traceOf(requestIdOf(response))))
    const results = traces.map(
      (spans) => spanOf(spans, 'kong.access.plugin.oauth2-introspection').attributes['sallyport.introspection.result'],
    )
    assert.equal(results.filter((result) => result === 'miss').length, 1)
    // One that came after the answer found it stored.
    assert.equal(results.filter((result) => result === 'coalesced' || result === 'hit').length, 2)
    assert.equal(traces.flat().filter(({ name }) => name === 'kong.internal.request').length, 1)
  })

  test('a refused token and a failing server are told as such', async () => {
    as.answer({ body: { active: false } })
    const refused = await bearer('secret-token-4')
    assert.equal(refused.status, 401)
    const spans = await sink.traceOf(requestIdOf(refused))
    assert.equal(spanOf(spans, 'kong').attributes['http.status_code'], 401)
    assert.equal(spanOf(spans, 'kong.access.plugin.oauth2-introspection').status, 0)
    assert.equal(
      spans.some(({ name }) => name === 'kong.balancer'),
      false,
    )

    as.answer('reset')
    const failed = await bearer('secret-token-5')
    assert.equal(failed.status, 503)
    const traced = await sink.traceOf(requestIdOf(failed))
    assert.equal(spanOf(traced, 'kong.access.plugin.oauth2-introspection').attributes['sallyport.introspection.result'], 'failed')
    const call = spanOf(traced, 'kong.internal.request')
    assert.equal(call.status, 2)
    assert.deepEqual(
      call.events.map(({ name, attributes }) => [name, attributes['exception.type']]),
      [['exception', 'GW_SERVER_UNREACHABLE']],
    )
    as.answer({ body: { active: true, sub: 'the-subject' } })
  })

  test('each attempt at an upstream is a span, the failed ones marked', async () => {
    const response = await client.get('/refused/x')
    assert.equal(response.status, 502)
    const spans = await sink.traceOf(requestIdOf(response))
    const tries = spans.filter(({ name }) => name === 'kong.balancer')
    assert.deepEqual(
      tries.map(({ attributes, status }) => [attributes['try_count'], attributes['http.status_code'], status]),
      [1, 2, 3].map((number) => [number, undefined, 2]),
    )
    assert.equal(spanOf(spans, 'kong').attributes['http.status_code'], 502)

    const reset = await client.get('/broken/x')
    assert.equal(reset.status, 502)
    const attempts = (await sink.traceOf(requestIdOf(reset))).filter(({ name }) => name === 'kong.balancer')
    assert.deepEqual(
      attempts.map(({ attributes, status }) => [attributes['net.peer.port'], status]),
      [1, 2].map(() => [Number(new URL(broken.origin).port), 2]),
    )
  })

  test('a name that is looked up is part of the attempt', async () => {
    const spans = await sink.traceOf(requestIdOf(await client.get('/named/anything')))
    const dns = spanOf(spans, 'kong.dns')
    assert.equal(dns.parentId, spanOf(spans, 'kong.balancer').id)
    assert.equal(dns.attributes['dns.record.domain'], 'localhost')
    assert.match(String(dns.attributes['dns.record.ip']), /^(?:127\.0\.0\.1|::1)$/)
  })

  test('a request without a route is traced, its router marked', async () => {
    const response = await client.get('/nowhere')
    assert.equal(response.status, 404)
    const spans = await sink.traceOf(requestIdOf(response))
    assert.equal(spanOf(spans, 'kong.router').status, 2)
    assert.equal(spanOf(spans, 'kong').attributes['http.route'], '')
  })

  test('a client that is sampled is followed, one that is not is left alone', async () => {
    const state = 'vendor=value'
    const response = await bearer('secret-token-6', { traceparent: `00-${TRACE}-${PARENT}-01`, tracestate: state })
    const spans = await sink.traceOf(requestIdOf(response))
    assert.equal(spanOf(spans, 'kong').traceId, TRACE)
    assert.equal(spanOf(spans, 'kong').parentId, PARENT)
    const told = new Map(upstream.requests.at(-1)?.rawHeaders)
    assert.equal(told.get('traceparent'), `00-${TRACE}-${spanOf(spans, 'kong.balancer').id}-01`)
    assert.equal(told.get('tracestate'), state)

    const other = TRACE.replace('0a', '0b')
    const silent = await bearer('secret-token-6', { traceparent: `00-${other}-${PARENT}-00` })
    assert.equal(silent.headers['x-trace-id'], other)
    assert.match(
      String(new Map(upstream.requests.at(-1)?.rawHeaders).get('traceparent')),
      new RegExp(`^00-${other}-(?!${PARENT})[0-9a-f]{16}-00$`),
    )
    await sink.traceOf(requestIdOf(await bearer('secret-token-6')))
    assert.equal(
      sink.spans.some(({ traceId }) => traceId === other),
      false,
    )
  })

  test('no token, credential or subject is in any byte that is sent', async () => {
    const response = await client.get('/guarded/anything?access_token=secret-token-7&b=2')
    assert.equal(response.status, 200)
    await sink.traceOf(requestIdOf(response))
    const bytes = Buffer.concat(sink.bodies).toString('latin1')
    for (const secret of ['secret-token', 'c2VjcmV0', 'secret-tenant', 'the-subject', 'the-user', 'collector-key']) {
      assert.equal(bytes.includes(secret), false, secret)
    }
  })

  test('a collector that fails is asked again, and requests do not notice', async () => {
    sink.answer(503, 503)
    const response = await bearer('secret-token-8')
    assert.equal(response.status, 200)
    await sink.traceOf(requestIdOf(response))
  })
})

describe('what is sampled', () => {
  let gateway: Gateway
  let upstream: EchoUpstream
  let sink: OtlpSink
  let client: HttpClient

  before(async () => {
    sink = await startOtlpSink()
    upstream = await startEchoUpstream()
    gateway = await startGateway({ env: { SALLYPORT_TRACING_INSTRUMENTATIONS: 'request', SALLYPORT_TRACING_SAMPLING_RATE: '0' } })
    client = createHttpClient(gateway.proxyOrigin)
    const tracing = (config: object) => ({ name: 'opentelemetry', config: { traces_endpoint: sink.url, queue: QUEUE, ...config } })
    await addRoute(gateway, 'never', { url: upstream.origin }, [tracing({})])
    await addRoute(gateway, 'always', { url: upstream.origin }, [tracing({ sampling_rate: 1 })])
    await addRoute(gateway, 'untraced', { url: upstream.origin }, [])
  })

  after(async () => {
    await client?.close()
    await gateway?.stop()
    await Promise.all([upstream?.stop(), sink?.stop()])
  })

  test('the rate of the plugin wins over that of the gateway; `request` alone has one span', async () => {
    await client.get('/never/anything')
    const spans = await sink.traceOf(requestIdOf(await client.get('/always/anything')))
    assert.deepEqual(
      spans.map(({ name }) => name),
      ['kong'],
    )
    assert.equal(sink.spans.length, 1)
    const told = new Map(upstream.requests.at(-1)?.rawHeaders).get('traceparent')
    assert.equal(told, `00-${spans[0]?.traceId}-${spans[0]?.id}-01`)
  })

  test('a route without the plugin passes on what it got', async () => {
    await client.get('/untraced/anything', { traceparent: 'as it came' })
    assert.equal(new Map(upstream.requests.at(-1)?.rawHeaders).get('traceparent'), 'as it came')
  })

  test('what waits is sent before the gateway ends', async () => {
    await using own = await startOtlpSink()
    await using other = await startGateway({ env: { SALLYPORT_TRACING_INSTRUMENTATIONS: 'request', SALLYPORT_TRACING_SAMPLING_RATE: '1' } })
    const plugin = { name: 'opentelemetry', config: { traces_endpoint: own.url, queue: { max_coalescing_delay: 3600 } } }
    await addRoute(other, 'slow', { url: upstream.origin }, [plugin])
    await using direct = createHttpClient(other.proxyOrigin)
    assert.equal((await direct.get('/slow/anything')).status, 200)
    await other.quit()
    assert.equal(own.spans.length, 1)
  })

  test('a collector whose certificate nobody vouches for gets nothing, and the request its answer', async () => {
    let posts = 0
    const impostor = createTlsServer({ key: SELF_SIGNED_KEY, cert: SELF_SIGNED_CERTIFICATE }, (_request, response) => {
      posts++
      response.end()
    })
    await using stack = new AsyncDisposableStack()
    stack.defer(() => close(impostor))
    const port = await listen(impostor)
    const from = gateway.output.length
    const plugin = {
      name: 'opentelemetry',
      config: { traces_endpoint: `https://127.0.0.1:${port}/v1/traces`, sampling_rate: 1, queue: { ...QUEUE, max_retry_time: 0 } },
    }
    await addRoute(gateway, 'impostor', { url: upstream.origin }, [plugin])
    assert.equal((await client.get('/impostor/anything')).status, 200)
    await gateway.waitForOutput(/spans are lost/, from)
    assert.equal(posts, 0)
  })

  test('without instrumentations headers are passed on and nothing is sent', async () => {
    await using own = await startOtlpSink()
    await using other = await startGateway()
    const plugin = { name: 'opentelemetry', config: { traces_endpoint: own.url, sampling_rate: 1, queue: { max_coalescing_delay: 0 } } }
    await addRoute(other, 'off', { url: upstream.origin }, [plugin])
    await using direct = createHttpClient(other.proxyOrigin)
    await direct.get('/off/anything', { b3: `${TRACE}-${PARENT}-1` })
    assert.match(
      String(new Map(upstream.requests.at(-1)?.rawHeaders).get('b3')),
      new RegExp(`^${TRACE}-(?!${PARENT})[0-9a-f]{16}-1-${PARENT}$`),
    )
    await direct.get('/off/anything')
    assert.match(String(new Map(upstream.requests.at(-1)?.rawHeaders).get('traceparent')), /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/)
    await other.quit()
    assert.equal(own.bodies.length, 0)
  })
})
