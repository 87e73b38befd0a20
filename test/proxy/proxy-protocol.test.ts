import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectH2 } from 'node:http2'
import { connect, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { after, before, describe, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { type EchoUpstream, startEchoUpstream } from '../../demo/echo-upstream.ts'
import { type Gateway, portsOf, startGateway } from '../support/gateway.ts'
import { headersOf, RawConnection } from '../support/raw-client.ts'
import { runProgram } from '../support/run-program.ts'
import { until } from '../support/until.ts'

const V1 = Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.1 40000 443\r\n')
const V1_IPV6 = Buffer.from('PROXY TCP6 2001:DB8:0::1 2001:db8::2 40000 443\r\n')
/** The same with a TLV behind the addresses. */
const V2 = Buffer.from('0d0a0d0a000d0a515549540a21110010c0000201c63364019c4001bb04000100', 'hex')
const V2_LOCAL = Buffer.from('0d0a0d0a000d0a515549540a2011000cc0000201c63364019c4001bb', 'hex')

const get = (path: string, ...lines: string[]): string => [`GET ${path} HTTP/1.1`, 'Host: api.test', ...lines, '', ''].join('\r\n')

/** A connection whose first write gets `head` in front of it, so that both arrive together. */
class Headed extends Duplex {
  readonly #socket: Socket
  #head: Buffer

  constructor(socket: Socket, head: Buffer) {
    super()
    this.#socket = socket
    this.#head = head
    socket.on('data', (chunk) => this.push(chunk))
    socket.on('end', () => this.push(null))
    socket.on('error', (error) => this.destroy(error))
    socket.on('close', () => this.destroy())
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.write(Buffer.concat([this.#head, chunk]), done)
    this.#head = Buffer.alloc(0)
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.destroy()
    done(error)
  }
}

async function headed(port: number, head: Buffer): Promise<Headed> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await once(socket, 'connect')
  return new Headed(socket, head)
}

/** Status of a request in HTTP/2 on `connection`. */
async function sendH2(connection: Duplex): Promise<number> {
  const client = connectH2('http://api.test', { createConnection: () => connection })
  try {
    const stream = client.request({ ':path': '/anything/h2' })
    const [headers] = await once(stream, 'response')
    stream.resume()
    await once(stream, 'end')
    return headers[':status']
  } finally {
    client.destroy()
  }
}

/** Ports of one kind of listener, in the order of the setting. */
function gatewayFor(upstream: EchoUpstream, env: Record<string, string>): Promise<Gateway> {
  const declarative = {
    _format_version: '3.0',
    services: [{ name: 'echo', url: upstream.origin, retries: 0, routes: [{ name: 'all', paths: ['/'], strip_path: false }] }],
  }
  return startGateway({ database: 'off', declarative, env })
}

describe('a listener with the flag proxy_protocol', () => {
  let gateway: Gateway
  let upstream: EchoUpstream
  let [plain, tls, h2, unflagged] = [0, 0, 0, 0]
  before(async () => {
    upstream = await startEchoUpstream()
    gateway = await gatewayFor(upstream, {
      SALLYPORT_PROXY_LISTEN:
        '127.0.0.1:0 proxy_protocol, 127.0.0.1:0 ssl http2 proxy_protocol, 127.0.0.1:0 http2 proxy_protocol, 127.0.0.1:0',
      SALLYPORT_TRUSTED_IPS: '127.0.0.1',
      SALLYPORT_REAL_IP_HEADER: 'proxy_protocol',
      SALLYPORT_CLIENT_HEADER_TIMEOUT: '500ms',
    })
    ;[plain = 0, tls = 0, h2 = 0, unflagged = 0] = await portsOf(gateway)
  })
  after(async () => {
    await gateway.stop()
    await upstream.stop()
  })

  const received = (name: string): string[] => headersOf({ headers: upstream.lastRequest?.rawHeaders ?? [] }, name)

  /** What the upstream hears of a request behind `head`, all in one write. */
  async function heardBehind(head: Buffer, ...lines: string[]): Promise<string[][]> {
    upstream.reset()
    await using connection = await RawConnection.open(plain)
    connection.send(Buffer.concat([head, Buffer.from(get('/anything/x', ...lines))]))
    assert.equal((await connection.readResponse()).status, 200)
    return ['x-real-ip', 'x-forwarded-for', 'x-forwarded-port'].map(received)
  }

  for (const [name, head, address] of [
    ['version 1', V1, '192.0.2.1'],
    ['version 1, IPv6', V1_IPV6, '2001:db8::1'],
    ['version 2', V2, '192.0.2.1'],
  ] as const) {
    test(`takes the client's address from a trusted peer, and the port is the listener's: ${name}`, async () => {
      assert.deepEqual(await heardBehind(head), [[address], [address], [String(plain)]])
    })
  }

  test('believes the header of the connection and none of HTTP', async () => {
    const lines = ['X-Real-IP: 203.0.113.9', 'proxy_protocol: 203.0.113.8', 'X-Forwarded-For: 10.0.0.1']
    assert.deepEqual(await heardBehind(V1, ...lines), [['192.0.2.1'], ['10.0.0.1, 127.0.0.1'], [String(plain)]])
  })

  test('keeps the addresses of the socket where the header tells none', async () => {
    for (const head of [V2_LOCAL, Buffer.from('PROXY UNKNOWN\r\n')]) {
      assert.deepEqual(await heardBehind(head, 'X-Real-IP: 203.0.113.9'), [['127.0.0.1'], ['127.0.0.1'], [String(plain)]])
    }
  })

  test('takes a header in pieces of one byte, and several requests behind it', async () => {
    upstream.reset()
    await using connection = await RawConnection.open(plain)
    for (const byte of Buffer.concat([V2, Buffer.from(get('/anything/1'))])) {
      connection.send(Buffer.from([byte]))
      await nextTurn()
    }
    assert.equal((await connection.readResponse()).status, 200)
    connection.send(get('/anything/2') + get('/anything/3'))
    for (let answers = 0; answers < 2; answers++) assert.equal((await connection.readResponse()).status, 200)
    assert.deepEqual([upstream.requests.length, received('x-real-ip')], [3, ['192.0.2.1']])
  })

  test('a second header on the connection is no request', async () => {
    await using connection = await RawConnection.open(plain)
    connection.send(Buffer.concat([V1, V1, Buffer.from(get('/anything/x'))]))
    assert.equal((await connection.readResponse()).status, 400)
  })

  test('TLS comes behind the header, together with it or after it; the upstream hears https', async () => {
    for (const together of [true, false]) {
      upstream.reset()
      const socket = await headed(tls, together ? V1 : Buffer.alloc(0))
      if (!together) socket.write(V1)
      await using connection = await RawConnection.open(tls, { tls: { socket, servername: 'api.test' } })
      connection.send(get('/anything/x'))
      assert.equal((await connection.readResponse()).status, 200)
      assert.deepEqual([received('x-real-ip'), received('x-forwarded-proto')], [['192.0.2.1'], ['https']])
    }
  })

  test('clear HTTP behind the header of a TLS listener is answered 400', async () => {
    await using connection = await RawConnection.open(tls)
    connection.send(Buffer.concat([V1, Buffer.from(get('/anything/x'))]))
    const { status, body } = await connection.readResponse()
    assert.deepEqual([status, body.includes('plain HTTP request')], [400, true])
  })

  test('HTTP/2 comes behind the header: over TLS, with prior knowledge, and beside HTTP/1.1', async () => {
    upstream.reset()
    const secure = connectTls({ socket: await headed(tls, V2), rejectUnauthorized: false, ALPNProtocols: ['h2'], servername: 'api.test' })
    await once(secure, 'secureConnect')
    assert.equal(await sendH2(secure), 200)
    assert.deepEqual(received('x-real-ip'), ['192.0.2.1'])
    upstream.reset()
    assert.equal(await sendH2(await headed(h2, V2)), 200)
    assert.deepEqual(received('x-real-ip'), ['192.0.2.1'])
    await using connection = await RawConnection.open(h2)
    connection.send(Buffer.concat([V1_IPV6, Buffer.from(get('/anything/x'))]))
    assert.equal((await connection.readResponse()).status, 200)
    assert.deepEqual(received('x-real-ip'), ['2001:db8::1'])
  })

  test('closes without a word what begins otherwise, and nothing of it reaches the upstream or the log', async () => {
    upstream.reset()
    const beginnings = [
      get('/anything/x', 'Authorization: Bearer s3cret'),
      `PROXY TCP4 s3cret 198.51.100.1 1 2\r\n${get('/anything/x')}`,
      `PROXY TCP4 192.0.2.1 198.51.100.1 1 2\n${get('/anything/x')}`,
      `\r\n${V1}${get('/anything/x')}`,
      Buffer.concat([V2.subarray(0, 12), Buffer.from('3111000c'), V2.subarray(16)]),
      Buffer.from('16030100c8010000c40303', 'hex'),
    ]
    for (const port of [plain, tls, h2]) {
      for (const bytes of beginnings) {
        await using connection = await RawConnection.open(port)
        connection.send(bytes)
        assert.equal((await connection.readUntilClose()).length, 0)
      }
    }
    assert.equal(upstream.requests.length, 0)
    const closed = () => gateway.output.split('\n').filter((line) => line.includes('without a valid PROXY protocol header'))
    await until(() => closed().length >= 18, 'the log lines')
    const levels = closed().map((line) => JSON.parse(line).level)
    assert.equal(levels.filter((level) => level === 'warn').length, 1)
    assert.equal(levels[0], 'warn')
    assert.match(closed()[0] as string, /"peer":"127\.0\.0\.1"/)
    assert.doesNotMatch(await gateway.logText(), /s3cret/)
  })

  test('closes a connection whose header does not come, or not whole, within client_header_timeout', async () => {
    for (const bytes of ['', 'PROXY TCP4 192.0.2.1', V2.subarray(0, 20)]) {
      await using connection = await RawConnection.open(plain)
      if (bytes.length > 0) connection.send(bytes)
      assert.equal((await connection.readUntilClose()).length, 0)
    }
  })

  test('counts from the header on: the handshake and the head behind it have a time of their own, which ends too', async () => {
    for (const port of [plain, tls, h2]) {
      await using connection = await RawConnection.open(port)
      connection.send(V1)
      assert.doesNotMatch((await connection.readUntilClose()).toString(), / 200 /)
    }
  })

  test('serves curl --haproxy-protocol, in clear and with TLS', async () => {
    for (const url of [`http://127.0.0.1:${plain}/anything/x`, `https://127.0.0.1:${tls}/anything/x`]) {
      const options = ['-sSk', '--noproxy', '*', '--haproxy-protocol', '-w', '%{http_code}', '-o', '/dev/null']
      const { out, err } = await runProgram('curl', [...options, url])
      assert.equal(out, '200', err)
    }
  })

  test('stands beside one without it, which takes the header for a bad request', async () => {
    await using connection = await RawConnection.open(unflagged)
    connection.send(get('/anything/x', 'X-Real-IP: 203.0.113.9'))
    assert.equal((await connection.readResponse()).status, 200)
    assert.deepEqual(received('x-real-ip'), ['127.0.0.1'])
    await using other = await RawConnection.open(unflagged)
    other.send(Buffer.concat([V1, Buffer.from(get('/anything/x'))]))
    assert.equal((await other.readResponse()).status, 400)
    assert.equal((await gateway.admin('GET', '/')).status, 200)
  })
})

describe('whose word is taken', () => {
  const LISTEN = { SALLYPORT_PROXY_LISTEN: '127.0.0.1:0 proxy_protocol' }
  const heard = async (env: Record<string, string>, ...lines: string[]): Promise<string[]> => {
    await using upstream = await startEchoUpstream()
    await using gateway = await gatewayFor(upstream, { ...LISTEN, ...env })
    await using connection = await RawConnection.open(gateway.proxyPort)
    connection.send(Buffer.concat([V1, Buffer.from(get('/anything/x', ...lines))]))
    assert.equal((await connection.readResponse()).status, 200)
    return headersOf({ headers: upstream.lastRequest?.rawHeaders ?? [] }, 'x-real-ip')
  }

  test('a peer that is not trusted tells nothing, not even by claiming a trusted address', async () => {
    const env = { SALLYPORT_REAL_IP_HEADER: 'proxy_protocol', SALLYPORT_TRUSTED_IPS: '192.0.2.1,10.0.0.0/8' }
    assert.deepEqual(await heard(env, 'X-Real-IP: 203.0.113.9'), ['127.0.0.1'])
  })

  test('a trusted peer that real_ip_header asks for a header of HTTP tells nothing by that of its connection', async () => {
    const env = { SALLYPORT_REAL_IP_HEADER: 'X-Real-IP', SALLYPORT_TRUSTED_IPS: '127.0.0.1' }
    assert.deepEqual(await heard(env), ['127.0.0.1'])
    assert.deepEqual(await heard(env, 'X-Real-IP: 203.0.113.9'), ['203.0.113.9'])
  })
})

describe('the Admin and the Status API with the flag', () => {
  test('want the header, drop what it says, and end while they wait for one', async () => {
    await using upstream = await startEchoUpstream()
    await using gateway = await gatewayFor(upstream, {
      SALLYPORT_PROXY_LISTEN: '127.0.0.1:0 proxy_protocol',
      SALLYPORT_ADMIN_LISTEN: '127.0.0.1:0, 127.0.0.1:0 proxy_protocol, 127.0.0.1:0 ssl proxy_protocol',
      SALLYPORT_STATUS_LISTEN: '127.0.0.1:0 proxy_protocol',
    })
    const [, plain = 0, tls = 0] = await portsOf(gateway, 'admin')
    for (const port of [plain, gateway.statusPort]) {
      await using connection = await RawConnection.open(port)
      connection.send(Buffer.concat([V2, Buffer.from(get('/status'))]))
      assert.equal((await connection.readResponse()).status, 200)
      connection.send(get('/status'))
      assert.equal((await connection.readResponse()).status, 200)
    }
    for (const together of [true, false]) {
      const socket = await headed(tls, together ? V1 : Buffer.alloc(0))
      if (!together) socket.write(V1)
      await using secure = await RawConnection.open(tls, { tls: { socket } })
      secure.send(get('/status'))
      assert.equal((await secure.readResponse()).status, 200)
    }
    for (const port of [plain, tls, gateway.statusPort]) {
      await using connection = await RawConnection.open(port)
      connection.send(get('/status'))
      assert.equal((await connection.readUntilClose()).length, 0)
    }
    assert.equal((await gateway.admin('GET', '/status')).status, 200)
    await using idle = await RawConnection.open(plain)
    await using begun = await RawConnection.open(gateway.proxyPort)
    begun.send('PROXY')
    assert.equal(await gateway.quit(), 0)
    assert.equal((await idle.readUntilClose()).length + (await begun.readUntilClose()).length, 0)
  })
})

test('the commands health and drain reach a listener with the flag, in clear and with TLS', async () => {
  await using upstream = await startEchoUpstream()
  for (const flags of ['proxy_protocol', 'ssl proxy_protocol']) {
    await using gateway = await gatewayFor(upstream, { SALLYPORT_STATUS_LISTEN: `127.0.0.1:0 ${flags}` })
    const health = await gateway.command('health')
    assert.equal(health.exitCode, 0, health.output)
    assert.match((await gateway.command('drain')).output, /changed to 'draining'/)
    assert.doesNotMatch(gateway.output, /without a valid PROXY protocol header/)
  }
})
