import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { UpstreamRequest } from '../http/exchange.ts'
import { UnsafeHeadError } from '../http/h1/serialise.ts'
import { HeaderList } from '../http/headers.ts'
import { createUpstreamClient } from './client.ts'
import { createResolver } from './resolver.ts'

test('a head that must not be written fails where it is sent, and takes neither a new nor a kept connection', async () => {
  let connections = 0
  const server = createServer((_, response) => response.end('x')).on('connection', () => connections++)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const client = createUpstreamClient({ resolver: createResolver(), poolSize: 1, keepaliveIdleMs: 0, keepaliveMaxRequests: 0 })
  const request = (value: string): UpstreamRequest => ({
    origin: {
      protocol: 'http',
      host: '127.0.0.1',
      port,
      serverName: null,
      checkedName: '127.0.0.1',
      tls: null,
      connectTimeoutMs: 10_000,
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
  })
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
