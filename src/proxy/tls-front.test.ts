import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { connect } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { listen } from '../../demo/listening.ts'
import { frontOptions } from '../../test/support/front-options.ts'
import { RawConnection } from '../../test/support/raw-client.ts'
import { until } from '../../test/support/until.ts'
import { HeaderList } from '../http/headers.ts'
import { createSelfSigned } from '../util/self-signed.ts'
import { type CertificatePair, type CertificateStore, createCertificateStore, createIdentity } from './certificates.ts'
import { helloOf } from './client-hello.fixture.ts'
import { createFront, type Front } from './server.ts'

const HEAD_MS = 1000
const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'

let front: Front
let port: number
let store: CertificateStore
const failures: string[] = []
const pairs: Record<string, CertificatePair> = {}
const TICKET_KEYS = Buffer.alloc(48, 1)

function useCertificates(certificates: Readonly<Record<string, readonly [first: string, second?: string]>>): void {
  const own = createIdentity([pairs['own-rsa']!, pairs['own-ecdsa']!], {})
  store = createCertificateStore({
    certificates: Object.entries(certificates).map(([name, [first, second]]) => ({
      id: name,
      ...pairs[first]!,
      cert_alt: second === undefined ? null : pairs[second]!.cert,
      key_alt: second === undefined ? null : pairs[second]!.key,
    })),
    snis: Object.keys(certificates).map((name) => ({ id: name, name, certificate: { id: name } })),
    fallback: store?.choose(null) ?? own,
    shared: {},
    onUnusable: () => {},
    previous: store ?? null,
  })
}

before(async () => {
  for (const kind of ['rsa', 'ecdsa'] as const) {
    for (const name of ['own', 'first', 'second'])
      pairs[`${name}-${kind}`] = await createSelfSigned({ kind, commonName: `${name}-${kind}`, days: 1 })
  }
  useCertificates({})
  front = createFront(
    frontOptions(
      (downstream) => {
        const facts = JSON.stringify(downstream.tls)
        downstream.respond(200, undefined, HeaderList.fromRaw(['Content-Length', String(facts.length)]), Buffer.from(facts))
      },
      { deadlines: { headMs: HEAD_MS, lingeringMs: 1000 }, onHandshakeFailed: (reason) => void failures.push(reason) },
    ),
    { choose: (serverName) => store.choose(serverName), alpn: ['http/1.1'], ticketKeys: TICKET_KEYS },
  )
  port = await listen(front.server)
})
after(() => {
  front.destroy()
  front.server.close()
})

const open = (tls: Parameters<typeof RawConnection.open>[1] = {}) => RawConnection.open(port, { tls: {}, ...tls })
const nameOf = (connection: RawConnection): string =>
  new X509Certificate(connection.tls.getPeerCertificate().raw).subject.replace('CN=', '')

/** Common name of the certificate that a client with these signature algorithms is shown. */
async function shown(servername: string, sigalgs?: string): Promise<string> {
  const tls = { servername, maxVersion: 'TLSv1.3' as const, ...(sigalgs === undefined ? {} : { sigalgs }) }
  await using connection = await open({ tls })
  return nameOf(connection)
}

const RSA_ONLY = 'rsa_pss_rsae_sha256'
const ECDSA_ONLY = 'ecdsa_secp256r1_sha256'

describe('the certificate', () => {
  test('two kinds of keys stand beside each other, with and without a server name', async () => {
    useCertificates({ 'a.test': ['first-rsa', 'first-ecdsa'] })
    assert.deepEqual([await shown('a.test', RSA_ONLY), await shown('a.test', ECDSA_ONLY)], ['first-rsa', 'first-ecdsa'])
    assert.deepEqual([await shown('', RSA_ONLY), await shown('', ECDSA_ONLY)], ['own-rsa', 'own-ecdsa'])
  })

  test("a name with a certificate of one kind never gets the node's own of the other", async () => {
    useCertificates({ 'a.test': ['first-rsa'], 'b.test': ['first-ecdsa'] })
    assert.equal(await shown('a.test'), 'first-rsa')
    assert.equal(await shown('b.test'), 'first-ecdsa')
    await assert.rejects(shown('a.test', ECDSA_ONLY), { code: /HANDSHAKE_FAILURE|ALERT/ })
    await assert.rejects(shown('b.test', RSA_ONLY), { code: /HANDSHAKE_FAILURE|ALERT/ })
  })

  test('a changed certificate serves new handshakes, and a live connection goes on', async () => {
    useCertificates({ 'a.test': ['first-rsa'] })
    await using live = await open({ tls: { servername: 'a.test' } })
    live.send(GET)
    assert.equal((await live.readResponse()).status, 200)
    useCertificates({ 'a.test': ['second-rsa'] })
    assert.equal(await shown('a.test'), 'second-rsa')
    live.send(GET)
    assert.equal((await live.readResponse()).status, 200)
    assert.equal(nameOf(live), 'first-rsa')
  })

  test('a session is not resumed under another certificate', async () => {
    useCertificates({ 'a.test': ['first-rsa'], 'b.test': ['second-rsa'] })
    const options = { servername: 'a.test', maxVersion: 'TLSv1.2' as const }
    await using first = await open({ tls: options })
    const session = first.tls.getSession()!
    await using again = await open({ tls: { ...options, session } })
    assert.equal(again.tls.isSessionReused(), true)
    await using other = await open({ tls: { ...options, session, servername: 'b.test' } })
    assert.deepEqual([other.tls.isSessionReused(), nameOf(other)], [false, 'second-rsa'])
    useCertificates({ 'a.test': ['second-ecdsa'] })
    await using rotated = await open({ tls: { ...options, session } })
    assert.equal(rotated.tls.isSessionReused(), false)
  })

  test('new ticket keys end what was begun under the old ones', async () => {
    const options = { servername: 'x.test', maxVersion: 'TLSv1.2' as const }
    await using first = await open({ tls: options })
    const session = first.tls.getSession()!
    front.setTicketKeys(Buffer.alloc(48, 2))
    await using refused = await open({ tls: { ...options, session } })
    assert.equal(refused.tls.isSessionReused(), false)
    front.setTicketKeys(TICKET_KEYS)
    await using again = await open({ tls: { ...options, session } })
    assert.equal(again.tls.isSessionReused(), true)
  })
})

test('a request knows the server name, the version and the cipher', async () => {
  await using connection = await open({ tls: { servername: 'A.Test', ALPNProtocols: ['h2', 'http/1.1'] } })
  connection.send(GET)
  const { body } = await connection.readResponse()
  assert.deepEqual(JSON.parse(body.toString()), { serverName: 'a.test', version: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384' })
  assert.equal(connection.tls.alpnProtocol, 'http/1.1')
})

describe('a handshake that comes to nothing', () => {
  const active = () => front.counters.active
  const gone = () => until(() => active() === 0, 'the front still counts connections')

  let hello: Buffer
  before(async () => {
    hello = await helloOf({ servername: 'a.test' })
  })

  /** A connection that has sent a ClientHello, or the beginning of one; the answer to a whole one has come. */
  async function begun(bytes: Buffer): Promise<RawConnection> {
    await gone()
    const connection = await RawConnection.open(port)
    connection.send(bytes)
    if (bytes === hello) await connection.readUntil(100)
    else await until(() => active() === 1, 'the front does not know the connection')
    return connection
  }

  test('is cut by the deadline of a head, whether nothing came, a part, or all of the ClientHello', async () => {
    for (const bytes of [Buffer.alloc(0), hello.subarray(0, 1), hello.subarray(0, 50), hello]) {
      const before = front.counters.handshakesFailed
      await using connection = await begun(bytes)
      await connection.readUntilClose()
      await gone()
      assert.equal(front.counters.handshakesFailed, before + 1)
      assert.equal(failures.at(-1), 'ERR_TLS_HANDSHAKE_TIMEOUT')
    }
  })

  test('ends with the client, by a close or a reset', async () => {
    for (const bytes of [hello.subarray(0, 50), hello]) {
      for (const leave of ['end', 'reset'] as const) {
        const connection = await begun(bytes)
        const startMs = performance.now()
        connection[leave]()
        await gone()
        assert.ok(performance.now() - startMs < HEAD_MS / 2, `only the deadline ended it after ${leave}`)
        connection.destroy()
      }
    }
  })

  test('ends with the front', async () => {
    for (const bytes of [hello.subarray(0, 50), hello]) {
      await using connection = await begun(bytes)
      front.destroy()
      await connection.closed
      await gone()
    }
  })

  test('garbage behind the first byte is answered with an alert and closed', async () => {
    await gone()
    await using connection = await RawConnection.open(port)
    connection.send(Buffer.from([0x16, 0x99, 0x99, 0, 4, 1, 0, 0, 0]))
    const bytes = await connection.readUntilClose()
    assert.ok(bytes.length === 0 || bytes[0] === 0x15)
    await gone()
  })
})

test('a ClientHello that comes byte by byte is as good as another', async () => {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  const { connect: connectTls } = await import('node:tls')
  const { Duplex } = await import('node:stream')
  const slow = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      for (const byte of chunk) socket.write(Buffer.from([byte]))
      socket.write('', () => done())
    },
  })
  socket.on('data', (chunk) => slow.push(chunk))
  const client = connectTls({ socket: slow, rejectUnauthorized: false, servername: 'slow.test' })
  const answer = new Promise<string>((resolve) => client.once('data', (chunk) => resolve(chunk.toString())))
  client.write(GET)
  assert.match(await answer, /"serverName":"slow\.test"/)
  client.destroy()
  socket.destroy()
})
