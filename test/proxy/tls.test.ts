import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { isInstalled } from '../../bench/processes.ts'
import { type EchoUpstream, startEchoUpstream } from '../../demo/echo-upstream.ts'
import { listen } from '../../demo/listening.ts'
import { createSelfSigned, type SelfSigned } from '../../src/util/self-signed.ts'
import { selfSigned } from '../support/certificates.ts'
import { type Gateway, type GatewayOptions, GatewayStartError, portsOf, startGateway } from '../support/gateway.ts'
import { headerOf, RawConnection } from '../support/raw-client.ts'
import { runProgram } from '../support/run-program.ts'
import { temporaryFolder } from '../support/temp.ts'
import { until } from '../support/until.ts'

const TLS_LISTEN = { SALLYPORT_PROXY_LISTEN: '127.0.0.1:0, 127.0.0.1:0 ssl' }
const MEBIBYTE = 1024 * 1024

const declarative = (url: string) => ({
  _format_version: '3.0',
  services: [
    {
      name: 'upstream',
      url,
      retries: 0,
      routes: [
        { name: 'all', paths: ['/'] },
        { name: 'secure', paths: ['/secure'], protocols: ['https'] },
        { name: 'moved', paths: ['/moved'], protocols: ['https'], https_redirect_status_code: 308 },
        { name: 'named', paths: ['/named'], protocols: ['https'], snis: ['named.test'] },
      ],
    },
  ],
})

const get = (path: string, ...lines: string[]): string => [`GET ${path} HTTP/1.1`, 'Host: api.test', ...lines, '', ''].join('\r\n')

describe('HTTPS', () => {
  let gateway: Gateway
  let upstream: EchoUpstream
  let plain: number
  let tls: number
  before(async () => {
    upstream = await startEchoUpstream()
    const env = { ...TLS_LISTEN, SALLYPORT_CLIENT_HEADER_TIMEOUT: '500ms', SALLYPORT_TRUSTED_IPS: '' }
    gateway = await startGateway({ database: 'off', declarative: declarative(upstream.origin), env, workers: 2 })
    ;[plain = 0, tls = 0] = await portsOf(gateway)
  })
  after(async () => {
    await gateway.stop()
    await upstream.stop()
  })

  const open = (options: Parameters<typeof RawConnection.open>[1] = {}) => RawConnection.open(tls, { tls: {}, ...options })

  test('the node makes its own certificates, of both kinds, for its owner only, and curl verifies them', async () => {
    const folder = join(gateway.prefix, 'ssl')
    for (const name of ['kong-default', 'kong-default-ecdsa']) {
      const [cert, key] = [await readFile(join(folder, `${name}.crt`), 'utf8'), await readFile(join(folder, `${name}.key`), 'utf8')]
      assert.ok(new X509Certificate(cert).checkPrivateKey(createPrivateKey(key)))
      assert.equal((await stat(join(folder, `${name}.key`))).mode & 0o777, 0o600)
    }
    const ca = join(folder, 'kong-default-ecdsa.crt')
    const { out, err } = await runProgram('curl', [
      '-sS',
      '--noproxy',
      '*',
      '--cacert',
      ca,
      '-w',
      '%{http_code}',
      '-o',
      '/dev/null',
      `https://localhost:${tls}/anything/x`,
    ])
    assert.equal(out, '200', err)
  })

  test('the upstream hears https and the port', async () => {
    await using connection = await open()
    connection.send(get('/anything/x'))
    assert.equal((await connection.readResponse()).status, 200)
    const sent = new Map(upstream.lastRequest?.rawHeaders.map(([name, value]) => [name.toLowerCase(), value]))
    assert.deepEqual([sent.get('x-forwarded-proto'), sent.get('x-forwarded-port')], ['https', String(tls)])
  })

  test('an https-only route is served over TLS; in clear it is answered 426, or with a redirect', async () => {
    await using secure = await open()
    secure.send(get('/secure'))
    assert.notEqual((await secure.readResponse()).status, 426)
    await using clear = await RawConnection.open(plain)
    clear.send(get('/secure'))
    assert.equal((await clear.readResponse()).status, 426)
    await using moved = await RawConnection.open(plain)
    moved.send(get('/moved?a=1'))
    const response = await moved.readResponse()
    assert.deepEqual([response.status, headerOf(response, 'location')], [308, 'https://api.test/moved?a=1'])
  })

  test('a route with snis matches the name of the handshake, not the Host', async () => {
    const routeFor = async (servername: string) => {
      await using connection = await open({ tls: { servername } })
      connection.send(get('/named/x'))
      await connection.readResponse()
      return upstream.lastRequest?.target
    }
    assert.equal(await routeFor('Named.test'), '/x')
    assert.equal(await routeFor('other.test'), '/named/x')
  })

  test('requests follow each other, also when they are sent at once', async () => {
    await using connection = await open()
    for (const path of ['/anything/1', '/anything/2']) {
      connection.send(get(path))
      assert.match((await connection.readResponse()).body.toString(), new RegExp(`${path}"`))
    }
    connection.send(get('/anything/3') + get('/anything/4') + get('/anything/5'))
    for (const path of ['/anything/3', '/anything/4', '/anything/5']) {
      assert.match((await connection.readResponse()).body.toString(), new RegExp(`${path}"`))
    }
  })

  test('a client that closes its half in good order after the answer is closed towards in good order', async () => {
    await using connection = await open()
    connection.send(get('/anything/x'))
    assert.equal((await connection.readResponse()).status, 200)
    connection.end()
    await connection.closed
    assert.equal(connection.errorCode, undefined)
  })

  test('plain HTTP on the TLS port is answered 400 in clear, in the format that the client accepts', async () => {
    for (const [accept, type] of [
      ['application/json', 'application/json; charset=utf-8'],
      ['text/html', 'text/html; charset=utf-8'],
    ] as const) {
      await using connection = await RawConnection.open(tls)
      connection.send(get('/secret-path', `Accept: ${accept}`) + get('/second'))
      const response = await connection.readResponse()
      assert.deepEqual([response.status, headerOf(response, 'content-type'), headerOf(response, 'connection')], [400, type, 'close'])
      assert.match(response.body.toString(), /The plain HTTP request was sent to HTTPS port/)
      assert.doesNotMatch(response.body.toString(), /secret-path/)
      assert.equal((await connection.readUntilClose()).length, 0)
    }
  })

  test('TLS on the port in clear is answered like any garbage', async () => {
    await assert.rejects(RawConnection.open(plain, { tls: {} }), { code: /SSL|EPROTO|ECONNRESET/ })
  })

  test('a slow handshake is cut', async () => {
    await using connection = await RawConnection.open(tls)
    connection.send(Buffer.from([0x16, 3, 1]))
    assert.equal((await connection.readUntilClose()).length, 0)
    await gateway.waitForOutput(/TLS handshake failed/)
  })

  test('a client that renegotiates is refused, and nothing of it is a request', async () => {
    await using connection = await open({ tls: { maxVersion: 'TLSv1.2' } })
    let done = false
    connection.tls.renegotiate({ rejectUnauthorized: false }, (error) => {
      done = error === null
    })
    await connection.closed
    assert.match(String(connection.errorCode), /NO_RENEGOTIATION/)
    assert.equal(done, false)
    await using other = await open()
    other.send(get('/anything/x'))
    assert.equal((await other.readResponse()).status, 200)
  })

  test('no session allows early data (RFC 8446 section 4.2.10)', {
    skip: isInstalled('openssl') ? false : 'openssl is not installed',
  }, async () => {
    // Ends when client_header_timeout is over; by then the tickets have come.
    const { out } = await runProgram('openssl', ['s_client', '-connect', `127.0.0.1:${tls}`, '-tls1_3', '-ign_eof'])
    const allowed = [...out.matchAll(/Max Early Data: (\d+)/g)].map(([, bytes]) => bytes)
    assert.ok(allowed.length > 0, out)
    assert.deepEqual(new Set(allowed), new Set(['0']))
  })

  test('versions before TLS 1.2 are refused', async () => {
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
    await assert.rejects(open({ tls: old }), { code: /PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|ALERT/ })
  })

  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`a session is resumed at any worker (${maxVersion})`, async () => {
      let session: Buffer | undefined
      await using first = await open({ tls: { maxVersion } })
      first.tls.on('session', (ticket) => {
        session = ticket
      })
      first.send(get('/anything/x'))
      await first.readResponse()
      session ??= first.tls.getSession()
      // Connections go to the workers in turn.
      for (let i = 0; i < 4; i++) {
        await using again = await open({ tls: { maxVersion, session: session! } })
        assert.equal(again.tls.isSessionReused(), true, `connection ${i}`)
        again.send(get('/anything/x'))
        assert.equal((await again.readResponse()).status, 200)
      }
    })
  }

  test('a big body comes back whole', async () => {
    const body = Buffer.alloc(4 * MEBIBYTE, 'sallyport ')
    await using connection = await open()
    connection.send(`POST /anything/big HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`)
    connection.send(body)
    const answer = JSON.parse((await connection.readResponse({ timeoutMs: 60_000 })).body.toString())
    assert.equal(answer.data.length, body.length)
  })

  describe('framing', () => {
    const post = (line: string, body = '') => `POST /anything/x HTTP/1.1\r\nHost: a\r\n${line}\r\n\r\n${body}`
    const rows: readonly (readonly [name: string, bytes: string, status: number])[] = [
      ['two lengths', post('Content-Length: 5\r\nTransfer-Encoding: chunked', '0\r\n\r\n'), 400],
      ['gzip alone', post('Transfer-Encoding: gzip'), 501],
      ['a folded line', 'GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n 2\r\n\r\n', 400],
      ['a bad chunk', post('Transfer-Encoding: chunked', 'x\r\n'), 400],
      ['no Host', 'GET / HTTP/1.1\r\n\r\n', 400],
      ['TRACE', 'TRACE / HTTP/1.1\r\nHost: a\r\n\r\n', 405],
      ['a slow head', 'GET / HTTP/1.1\r\nHost', 408],
    ]
    for (const [name, bytes, status] of rows) {
      test(`${name}: ${status}, and nothing behind it is a request`, async () => {
        await using connection = await open()
        connection.send(status === 408 ? bytes : bytes + get('/anything/smuggled'))
        assert.equal((await connection.readResponse()).status, status)
        assert.equal((await connection.readUntilClose()).length, 0)
        assert.ok(!upstream.requests.some(({ target }) => target.includes('smuggled')))
      })
    }

    test('a request in records of one byte each is one request', async () => {
      await using connection = await open()
      for (const character of get('/anything/slow')) connection.send(character)
      assert.equal((await connection.readResponse()).status, 200)
    })
  })
})

/** Resolves with the value when it stays the same for a moment; rejects when it never gets above 0. */
async function settled(value: () => number): Promise<number> {
  let before = -1
  await until(async () => {
    const same = value() === before && before > 0
    before = value()
    await delay(100)
    return same
  }, 'it never came to rest')
  return before
}

test('what nobody reads stops, in both directions, and a client that leaves ends the exchange', async () => {
  const accepted = Promise.withResolvers<Socket>()
  const server = createServer((socket) => accepted.resolve(socket))
  using _listening = { [Symbol.dispose]: () => server.close() }
  const port = await listen(server)
  await using gateway = await startGateway({
    database: 'off',
    declarative: declarative(`http://127.0.0.1:${port}`),
    env: TLS_LISTEN,
    logLevel: 'error',
  })
  const [, tls = 0] = await portsOf(gateway)
  const total = 64 * MEBIBYTE
  const piece = Buffer.alloc(MEBIBYTE, 'x')
  await using connection = await RawConnection.open(tls, { tls: {} })
  connection.send(`POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: ${total}\r\n\r\n`)
  connection.send(piece)
  const upstream = (await accepted.promise).on('error', () => {})
  using _accepted = { [Symbol.dispose]: () => upstream.destroy() }
  const ended = new Promise((resolve) => upstream.once('close', resolve))
  let received = 0
  upstream.pause().on('data', (chunk: Buffer) => {
    received += chunk.length
  })
  upstream.pause()
  for (let i = 1; i < 64; i++) connection.send(piece)
  const kept = await settled(() => connection.tls.writableLength)
  assert.ok(kept > 16 * MEBIBYTE, `${kept} bytes stay with the client`)
  upstream.resume()
  await until(() => received > total, 'the body did not arrive')

  connection.pause()
  upstream.write(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`)
  for (let i = 0; i < 64; i++) upstream.write(piece)
  const unsent = await settled(() => upstream.writableLength)
  assert.ok(unsent > 16 * MEBIBYTE, `${unsent} bytes stay with the upstream`)
  connection.destroy()
  await ended
})

test('a certificate of the settings is served; a changed file is taken at a reload, a broken one is not', async () => {
  await using folder = await temporaryFolder()
  await using upstream = await startEchoUpstream()
  const file = (name: string) => join(folder.path, name)
  const write = async ({ cert, key }: SelfSigned) => {
    await writeFile(file('node.crt'), cert)
    await writeFile(file('node.key'), key)
  }
  const [first, second] = [await makeCertificate('first.test'), await makeCertificate('second.test')]
  await write(first)
  const env = { ...TLS_LISTEN, SALLYPORT_SSL_CERT: file('node.crt'), SALLYPORT_SSL_CERT_KEY: file('node.key') }
  await using gateway = await startGateway({ database: 'off', declarative: declarative(upstream.origin), env, workers: 2 })
  const [, tls = 0] = await portsOf(gateway)
  const subject = async () => {
    await using connection = await RawConnection.open(tls, { tls: {} })
    return new X509Certificate(connection.tls.getPeerCertificate().raw).subject
  }
  assert.equal(await subject(), 'CN=first.test')

  await write(second)
  assert.equal((await gateway.command('reload')).exitCode, 0)
  for (let i = 0; i < 4; i++) assert.equal(await subject(), 'CN=second.test')

  await writeFile(file('node.key'), first.key)
  const refused = await gateway.command('reload')
  assert.notEqual(refused.exitCode, 0)
  assert.match(refused.output, /ssl_cert_key: .* is not the key of /)
  assert.equal(await subject(), 'CN=second.test')

  const shown = await gateway.admin('GET', '/')
  assert.deepEqual(
    [shown.json?.['configuration']?.['ssl_cert'], shown.json?.['configuration']?.['ssl_cert_key']],
    [[file('node.crt')], '******'],
  )
  const everything = `${await gateway.logText()}${shown.text}${refused.output}`
  for (const { key } of [first, second]) {
    for (const line of key.split('\n').filter((candidate) => candidate.length > 40))
      assert.ok(!everything.includes(line), 'a key was printed')
  }
})

test('keys and certificates may be given as text', async () => {
  const { cert, key } = await makeCertificate('text.test')
  await using gateway = await startGateway({
    env: { ...TLS_LISTEN, SALLYPORT_SSL_CERT: cert, SALLYPORT_SSL_CERT_KEY: Buffer.from(key).toString('base64') },
  })
  const [, tls = 0] = await portsOf(gateway)
  await using connection = await RawConnection.open(tls, { tls: { servername: 'text.test', ca: cert } })
  assert.equal(connection.tls.authorized, true)
})

test('a certificate without its key, or with one that cannot be read, prevents the start and is not echoed', async () => {
  const { cert, key } = await makeCertificate('a.test')
  const broken = Buffer.from(key.replace('BEGIN PRIVATE', 'BEGUN PRIVATE')).toString('base64')
  const cases: readonly (readonly [env: Record<string, string>, pattern: RegExp])[] = [
    [{ SALLYPORT_SSL_CERT: cert }, /ssl_cert_key must be specified/],
    [{ SALLYPORT_SSL_CERT_KEY: key }, /ssl_cert must be specified/],
    [
      { SALLYPORT_SSL_CERT: `${cert},${cert}`, SALLYPORT_SSL_CERT_KEY: key },
      /ssl_cert was specified 2 times while ssl_cert_key was specified 1 times/,
    ],
    [{ SALLYPORT_SSL_CERT: '/no/such.crt', SALLYPORT_SSL_CERT_KEY: key }, /ssl_cert: failed loading certificate from \/no\/such\.crt/],
    [{ SALLYPORT_SSL_CERT: cert, SALLYPORT_SSL_CERT_KEY: broken }, /ssl_cert_key: failed loading key from the given text/],
  ]
  for (const [env, pattern] of cases) {
    await assert.rejects(startAndStop({ env: { ...TLS_LISTEN, ...env } }), (error: unknown) => {
      assert.ok(error instanceof GatewayStartError)
      assert.match(error.output, pattern)
      assert.doesNotMatch(error.output, /BEGIN PRIVATE KEY/)
      assert.ok(!error.output.includes(broken.slice(0, 60)))
      return true
    })
  }
})

test("a cipher suite of TLS 1.3 alone refuses TLS 1.2; ciphers of one's own are the only ones", async () => {
  await using modern = await startGateway({ env: { ...TLS_LISTEN, SALLYPORT_SSL_CIPHER_SUITE: 'modern' } })
  const [, modernPort = 0] = await portsOf(modern)
  await assert.rejects(RawConnection.open(modernPort, { tls: { maxVersion: 'TLSv1.2' } }), { code: /PROTOCOL_VERSION|ALERT/ })
  const env = {
    SALLYPORT_SSL_CIPHER_SUITE: 'custom',
    SALLYPORT_SSL_PROTOCOLS: 'TLSv1.2',
    SALLYPORT_SSL_CIPHERS: 'ECDHE-RSA-AES128-GCM-SHA256',
    SALLYPORT_SSL_SESSION_TICKETS: 'off',
  }
  await using custom = await startGateway({ env: { ...TLS_LISTEN, ...env } })
  const [, port = 0] = await portsOf(custom)
  await assert.rejects(RawConnection.open(port, { tls: { minVersion: 'TLSv1.3' } }), { code: /PROTOCOL_VERSION|ALERT/ })
  await assert.rejects(RawConnection.open(port, { tls: { ciphers: 'ECDHE-RSA-AES256-GCM-SHA384' } }), { code: /HANDSHAKE_FAILURE|ALERT/ })
  await using connection = await RawConnection.open(port, { tls: {} })
  assert.equal(connection.tls.getCipher().name, 'ECDHE-RSA-AES128-GCM-SHA256')
  await using again = await RawConnection.open(port, { tls: { session: connection.tls.getSession()! } })
  assert.equal(again.tls.isSessionReused(), false)
})

test('Admin and Status API speak HTTPS, with certificates of their own that a reload reads again, and the commands reach them', async () => {
  await using gateway = await startGateway({
    env: { SALLYPORT_ADMIN_LISTEN: '127.0.0.1:0 http2 ssl', SALLYPORT_STATUS_LISTEN: '127.0.0.1:0 ssl' },
  })
  const folder = join(gateway.prefix, 'ssl')
  const statusOf = (port: number, ca: string, path: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      request({ port, host: '127.0.0.1', ca, path, servername: 'localhost', agent: false }, (response) => {
        response.resume().on('end', () => resolve(response.statusCode))
      })
        .on('error', reject)
        .end()
    })
  const read = (name: string) => readFile(join(folder, name), 'utf8')
  assert.equal(await statusOf(gateway.adminPort, await read('admin-kong-default-ecdsa.crt'), '/services'), 200)
  assert.equal(await statusOf(gateway.statusPort, await read('status-kong-default-ecdsa.crt'), '/status/ready'), 200)
  assert.equal((await gateway.command('health')).exitCode, 0)

  const own = await makeCertificate('localhost')
  await writeFile(join(folder, 'admin-kong-default-ecdsa.crt'), own.cert)
  await writeFile(join(folder, 'admin-kong-default-ecdsa.key'), own.key)
  assert.equal((await gateway.command('reload')).exitCode, 0)
  assert.equal(await statusOf(gateway.adminPort, own.cert, '/services'), 200)

  assert.equal((await gateway.command('drain')).exitCode, 0)
  assert.equal(await statusOf(gateway.statusPort, await read('status-kong-default-ecdsa.crt'), '/status/ready'), 503)
})

async function makeCertificate(commonName: string): Promise<SelfSigned> {
  return await createSelfSigned({ kind: 'ecdsa', commonName, addresses: ['127.0.0.1'], days: 1 })
}

async function startAndStop(options: GatewayOptions): Promise<void> {
  await (await startGateway(options)).stop()
}

test('certificates and SNIs of the Admin API are shown at once, a rotation too; an invalid one is refused and changes nothing', async () => {
  await using gateway = await startGateway({ env: TLS_LISTEN, workers: 2 })
  const [, tls = 0] = await portsOf(gateway)
  const [one, two] = [selfSigned({ name: 'one.test' }), selfSigned({ name: 'two.test' })]
  const shown = async (servername: string): Promise<string> => {
    await using connection = await RawConnection.open(tls, { tls: { servername } })
    return connection.tls.getPeerX509Certificate()?.fingerprint256 ?? ''
  }
  const printOf = (pem: string): string => new X509Certificate(pem).fingerprint256
  const node = await shown('one.test')
  const created = await gateway.admin('POST', '/certificates', { cert: one.cert, key: one.key, snis: ['one.test', '*.one.test'] })
  assert.equal(created.status, 201)
  for (const name of ['one.test', 'a.one.test']) assert.equal(await shown(name), printOf(one.cert))
  assert.equal(await shown('other.test'), node)
  const faulty = await gateway.admin('PATCH', '/certificates/one.test', { cert: two.cert })
  assert.equal(faulty.status, 400)
  assert.match(JSON.stringify(faulty.json), /certificate does not match key/)
  assert.equal(await shown('one.test'), printOf(one.cert))
  assert.equal((await gateway.admin('PATCH', '/certificates/one.test', { cert: two.cert, key: two.key })).status, 200)
  for (let i = 0; i < 4; i++) assert.equal(await shown('one.test'), printOf(two.cert))
  assert.equal((await gateway.admin('DELETE', '/certificates/one.test')).status, 204)
  assert.equal(await shown('one.test'), node)
})
