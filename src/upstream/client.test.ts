import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { startRawUpstream } from '../../test/support/raw-upstream.ts'
import { until } from '../../test/support/until.ts'
import type { UpstreamFailure, UpstreamRequest } from '../http/exchange.ts'
import { UnsafeHeadError } from '../http/h1/serialise.ts'
import { HeaderList } from '../http/headers.ts'
import { createUpstreamClient } from './client.ts'
import { createResolver } from './resolver.ts'

/** A request without a body. */
function requestTo(port: number, value: string, connectTimeoutMs = 10_000): UpstreamRequest {
  return {
    origin: {
      protocol: 'http',
      host: '127.0.0.1',
      port,
      serverName: null,
      checkedName: '127.0.0.1',
      tls: null,
      connectTimeoutMs,
      key: 'x',
    },
    method: 'GET',
    path: '/',
    headers: HeaderList.fromRaw(['Host', 'a', 'X-A', value]),
    body: null,
    bodyLength: 0,
    webSocketKey: null,
    readTimeoutMs: 10_000,
    writeTimeoutMs: 10_000,
  }
}

test('a head that must not be written fails where it is sent, and takes neither a new nor a kept connection', async () => {
  let connections = 0
  const server = createServer((_, response) => response.end('x')).on('connection', () => connections++)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const client = createUpstreamClient({ resolver: createResolver(), poolSize: 1, keepaliveIdleMs: 0, keepaliveMaxRequests: 0 })
  const request = (value: string): UpstreamRequest => requestTo(port, value)
  const never = () => assert.fail('was told of an exchange that did not begin')
  const refused = { onEarlyHints: never, onHead: never, onSwitch: never, onData: never, onPause: never, onEnd: never, onFailure: never }
  const answered = () =>
    new Promise<void>((resolve, reject) => {
      client.send(request('good'), {
        onEarlyHints: never,
        onHead() {},
        onSwitch: never,
        onData: () => true,
        onPause() {},
        onEnd: resolve,
        onFailure: (failure) => reject(failure),
      })
    })
  try {
    assert.throws(() => client.send(request('a\r\nb: c'), refused), UnsafeHeadError)
    await answered()
    assert.throws(() => client.send(request('\u20ac'), refused), UnsafeHeadError)
    await answered()
    assert.equal(connections, 1)
  } finally {
    await client.close()
    server.close()
  }
})

/** Sends `count` requests at once; `outcomes` fills as they end. */
function sendMany(port: number, count: number, connectTimeoutMs = 10_000) {
  const client = createUpstreamClient({ resolver: createResolver(), poolSize: 512, keepaliveIdleMs: 0, keepaliveMaxRequests: 0 })
  const outcomes: ('answered' | UpstreamFailure)[] = []
  const calls = Array.from({ length: count }, () =>
    client.send(requestTo(port, 'x', connectTimeoutMs), {
      onEarlyHints() {},
      onHead() {},
      onSwitch: () => assert.fail('switched'),
      onData: () => true,
      onPause() {},
      onEnd: () => outcomes.push('answered'),
      onFailure: (failure) => outcomes.push(failure),
    }),
  )
  return { client, outcomes, calls }
}

test('requests of a herd go over connections that others have opened', async () => {
  let connections = 0
  const server = createServer((_, response) => response.end('x')).on('connection', () => connections++)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { client, outcomes } = sendMany((server.address() as AddressInfo).port, 2000)
  await until(() => outcomes.length === 2000, 'the answers')
  await client.close()
  server.close()
  assert.deepEqual(new Set(outcomes), new Set(['answered']))
  assert.ok(connections < 1800, `${connections} connections`)
})

test('each request of a herd gets a connection of its own where none becomes free', async () => {
  await using server = await startRawUpstream(() => {})
  const { client, calls } = sendMany(server.port, 300)
  await server.connected(300)
  for (const call of calls) call.abort()
  await client.close()
})

test('a request that waits for its turn is given up like any other, and has the time to connect of any other', async () => {
  await using server = await startRawUpstream(() => {})
  const { client, calls, outcomes } = sendMany(server.port, 200, 1)
  calls.at(-1)?.abort()
  await until(() => outcomes.filter((outcome) => outcome === 'connect-timeout').length >= 100, 'the time of those that wait')
  assert.ok(outcomes.length < 200)
  for (const call of calls) call.abort()
  await client.close()
})
