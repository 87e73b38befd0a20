import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { startRawUpstream, type UpstreamScript } from '../../test/support/raw-upstream.ts'
import type { HttpClient, HttpRequest, HttpResponse } from '../oauth/http.ts'
import { createHttpClientFactory, type HttpClientSettings, ServerUnreachableError } from './http-client.ts'
import { createResolver } from './resolver.ts'

const SETTINGS: HttpClientSettings = { timeoutMs: 10_000, keepaliveMs: 60_000, verifyTls: true }

/** An answer with its length. */
const answer = (body: string, ...lines: string[]): string =>
  `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n${body}`

async function setUp(script: UpstreamScript, settings: Partial<HttpClientSettings> = {}) {
  const server = await startRawUpstream(script)
  const factory = createHttpClientFactory({ resolver: createResolver(), userAgent: 'Test/1' })
  const client = factory.create({ ...SETTINGS, ...settings })
  return {
    server,
    client,
    send: (request: Partial<HttpRequest> = {}): ReturnType<HttpClient> =>
      client({ method: 'POST', url: `${server.origin}/introspect?a=b`, headers: [], body: 'token=x', ...request }),
    async [Symbol.asyncDispose]() {
      await factory.close()
      await server.stop()
    },
  }
}

const textOf = (response: HttpResponse): string => Buffer.from(response.body).toString()

/** Rejects as every failure does, with this message and code below. */
async function refusal(call: Promise<HttpResponse>): Promise<readonly [message: string, code: unknown]> {
  const error = await call.then(
    () => assert.fail('answered'),
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof ServerUnreachableError)
  assert.equal(error.code, 'GW_SERVER_UNREACHABLE')
  return [error.message, (error.cause as { code?: unknown }).code]
}

describe('a request to an authorization server', () => {
  test('is written with the lines of its caller, its own name, and a length', async () => {
    const heads: string[] = []
    await using it = await setUp(async (connection) => {
      heads.push((await connection.readRequest()).raw.toString('latin1'))
      await connection.respond(answer('ok'))
    })
    assert.equal(textOf(await it.send({ headers: [['Content-Type', 'a/b']] })), 'ok')
    assert.deepEqual(heads, [
      `POST /introspect?a=b HTTP/1.1\r\nHost: 127.0.0.1:${it.server.port}\r\nContent-Type: a/b\r\nUser-Agent: Test/1\r\n` +
        'Accept-Encoding: gzip\r\nContent-Length: 7\r\n\r\ntoken=x',
    ])
  })

  test('without a body tells a length of 0 where its method could have one', async () => {
    const heads: string[] = []
    await using it = await setUp(async (connection) => {
      for (;;) {
        heads.push((await connection.readRequest()).raw.toString('latin1'))
        await connection.respond(answer('ok'))
      }
    })
    for (const method of ['POST', 'GET'] as const) await it.client({ method, url: `${it.server.origin}/`, headers: [] })
    assert.match(heads[0] ?? '', /\r\nContent-Length: 0\r\n/)
    assert.doesNotMatch(heads[1] ?? '', /content-length/i)
  })

  test('has its own lines, whatever the one before had', async () => {
    const heads: string[] = []
    await using it = await setUp(async (connection) => {
      for (;;) {
        heads.push((await connection.readRequest()).raw.toString('latin1'))
        await connection.respond(answer('ok'))
      }
    })
    const { port } = new URL(it.server.origin)
    const lists = [
      [['A', '1']],
      [['A', '1']],
      [['A', '2']],
      [['B', '2']],
      [
        ['B', '2'],
        ['B', '2'],
      ],
      [],
    ] as const
    for (const headers of lists) {
      for (const host of ['127.0.0.1', 'localhost']) {
        await it.client({ method: 'GET', url: `http://${host}:${port}/`, headers })
        const lines = heads.pop()?.split('\r\n') ?? []
        assert.equal(lines[1], `Host: ${host}:${port}`)
        const own = lines.filter((line) => /^[AB]: /.test(line))
        assert.deepEqual(
          own,
          headers.map((pair) => pair.join(': ')),
        )
      }
    }
  })

  test('goes over a kept connection, and over a new one each time where nothing is kept', async () => {
    const script: UpstreamScript = async (connection) => {
      for (;;) {
        await connection.readRequest()
        await connection.respond(answer('ok'))
      }
    }
    for (const [keepaliveMs, connections] of [
      [60_000, 1],
      [0, 3],
    ] as const) {
      await using it = await setUp(script, { keepaliveMs })
      for (let i = 0; i < 3; i++) await it.send()
      assert.equal(it.server.connections.length, connections)
      const closes = it.server.connections[0]?.received.toString('latin1').includes('\r\nConnection: close\r\n')
      assert.equal(closes, keepaliveMs === 0)
    }
  })

  test('is repeated once when a kept connection was closed under it', async () => {
    await using it = await setUp(async (connection, index) => {
      await connection.readRequest()
      await connection.respond(answer(`from ${index}`))
      await connection.readRequest()
      connection.close()
    })
    assert.equal(textOf(await it.send()), 'from 0')
    assert.equal(textOf(await it.send()), 'from 1')
  })

  test('is not repeated when a new connection is closed under it, nor after the head of an answer', async () => {
    await using it = await setUp(async (connection) => {
      await connection.readRequest()
      connection.close()
    })
    assert.deepEqual(await refusal(it.send()), ['ECONNRESET', 'ECONNRESET'])
    assert.equal(it.server.connections.length, 1)
    await using other = await setUp(async (connection) => {
      await connection.readRequest()
      await connection.respond(answer('ok'))
      await connection.readRequest()
      await connection.respond('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nha')
      connection.close()
    })
    await other.send()
    assert.deepEqual(await refusal(other.send()), ['ECONNRESET', 'ECONNRESET'])
    assert.equal(other.server.connections.length, 1)
  })
})

describe('an answer', () => {
  test('is read to its end, freed of gzip, its lines found by name in lower case and joined', async () => {
    const body = gzipSync('{"active":true}').toString('latin1')
    await using it = await setUp(async (connection) => {
      await connection.readRequest()
      const text = answer(body, 'Content-Encoding: gzip', 'X-A: 1', 'x-a: 2')
      for (const byte of text) await connection.respond(byte)
    })
    const response = await it.send()
    assert.equal(textOf(response), '{"active":true}')
    assert.equal(response.headers.get('x-a'), '1, 2')
    assert.equal(response.headers.get('x-b'), null)
  })

  test('may hold as many bytes as its caller allows, also when it is unpacked', async () => {
    const packed = gzipSync('x'.repeat(1001)).toString('latin1')
    const answers = [answer('x'.repeat(1000)), answer('x'.repeat(1001)), answer(packed, 'Content-Encoding: gzip')]
    await using it = await setUp(
      async (connection, index) => {
        await connection.readRequest()
        await connection.respond(answers[index] as string)
        connection.close()
      },
      { maxResponseBytes: 1000, keepaliveMs: 0 },
    )
    assert.equal((await it.send()).body.length, 1000)
    assert.deepEqual(await refusal(it.send()), ['the answer is larger than 1000 bytes', 'ERR_RESPONSE_TOO_LARGE'])
    assert.equal((await refusal(it.send()))[1], 'ERR_BUFFER_TOO_LARGE')
  })

  const BROKEN: readonly (readonly [what: string, bytes: string])[] = [
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc'],
    ['a switch of protocols', 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'],
    ['no HTTP', 'SSH-2.0-x\r\n\r\n'],
    ['a chunk without a size', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n'],
  ]
  for (const [what, bytes] of BROKEN) {
    test(`that breaks the rules is none: ${what}`, async () => {
      await using it = await setUp(async (connection) => {
        await connection.readRequest()
        await connection.respond(bytes)
      })
      assert.deepEqual(await refusal(it.send()), ['the answer breaks the rules of HTTP', 'ERR_BAD_RESPONSE'])
    })
  }

  test('in an encoding that was not asked for is none', async () => {
    await using it = await setUp(async (connection) => {
      await connection.readRequest()
      await connection.respond(answer('x', 'Content-Encoding: br'))
    })
    assert.equal((await refusal(it.send()))[1], 'ERR_CONTENT_ENCODING')
  })

  test('that stops is awaited for the time of one read', async () => {
    await using it = await setUp(
      async (connection) => {
        await connection.readRequest()
        await connection.respond('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nha')
      },
      { timeoutMs: 50, deadlineMs: 60_000 },
    )
    assert.deepEqual(await refusal(it.send()), ['timed out', 'ETIMEDOUT'])
  })

  test('that comes byte by byte is awaited until the deadline', async () => {
    let goesOn = true
    await using it = await setUp(
      async (connection) => {
        await connection.readRequest()
        await connection.respond('HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n')
        while (goesOn) {
          await connection.respond('x')
          await new Promise((resolve) => setImmediate(resolve))
        }
      },
      { deadlineMs: 100 },
    )
    try {
      assert.deepEqual(await refusal(it.send()), ['timed out', 'DEADLINE'])
    } finally {
      goesOn = false
    }
  })
})

test('a server that does not listen is told by the code of the system', async () => {
  const it = await setUp(() => {})
  await it.server.stop()
  assert.deepEqual(await refusal(it.send()), ['ECONNREFUSED', 'ECONNREFUSED'])
})

test('a value that would end its line is not sent', async () => {
  await using it = await setUp(() => {})
  const [message] = await refusal(it.send({ headers: [['X-A', 'secret\r\nX-B: c']] }))
  assert.doesNotMatch(message, /secret/)
  assert.equal(it.server.connections.length, 0)
})
