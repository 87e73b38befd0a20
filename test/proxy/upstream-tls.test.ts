import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { authority, selfSigned, type TestCertificate } from '../support/certificates.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { createHttpClient, type HttpResponse } from '../support/http-client.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/temp.ts'
import { startTlsUpstream, type TlsUpstream } from '../support/tls-upstream.ts'

const NAME = 'upstream.test'

describe('TLS to upstreams', () => {
  let folder: TemporaryFolder
  let gateway: Gateway
  const client = createHttpClient()
  const root = authority('Root')
  const foreign = authority('Foreign')
  /** Every key that the gateway was ever given. */
  const keys: string[] = []
  let count = 0

  before(async () => {
    folder = await temporaryFolder()
    const hosts = join(folder.path, 'hosts')
    await writeFile(hosts, `127.0.0.1 ${NAME} other.test\n`)
    const fromVault = foreign.issue({ name: 'from the vault' })
    keys.push(fromVault.key)
    gateway = await startGateway({
      env: { SALLYPORT_DNS_HOSTSFILE: hosts, CLIENT_CERT: fromVault.cert, CLIENT_KEY: fromVault.key },
    })
  })
  after(async () => {
    await client.close()
    await gateway.stop()
    await folder.remove()
  })

  async function made(method: string, path: string, body: unknown): Promise<string> {
    const { status, json, text } = await gateway.admin(method, path, body)
    assert.ok(status === 200 || status === 201, text)
    return String(json?.['id'])
  }
  const trust = ({ cert }: TestCertificate) => made('POST', '/ca_certificates', { cert })
  const present = ({ cert, key }: TestCertificate) => {
    keys.push(key)
    return made('POST', '/certificates', { cert, key })
  }

  /** A service with a route of its own; gives the way to send requests to it. */
  async function serve(upstream: TlsUpstream, fields: object = {}): Promise<((query?: string) => Promise<HttpResponse>) & { id: string }> {
    const name = `s${count++}`
    const id = await made('PUT', `/services/${name}`, { protocol: 'https', host: NAME, port: upstream.port, retries: 0, ...fields })
    await made('PUT', `/routes/${name}`, { paths: [`/${name}`], service: { id } })
    return Object.assign((query = '') => client.get(`${gateway.proxyOrigin}/${name}${query}`), { id })
  }

  /** Asserts 502, and that the log says why without saying more. */
  async function refused(send: () => Promise<HttpResponse>, reason: RegExp): Promise<void> {
    const from = gateway.output.length
    assert.equal((await send()).status, 502)
    const [line] = await gateway.waitForOutput(/[^\n]*upstream gave no answer[^\n]*\n/, from)
    assert.match(line, /"failure":"tls"/)
    assert.match(line, reason)
    assert.doesNotMatch(line, /BEGIN/)
  }

  let rootId = ''
  const trusting = async () => {
    if (rootId === '') rootId = await trust(root)
    return { tls_verify: true, ca_certificates: [rootId] }
  }

  test('a certificate is not verified unless the service or the setting asks for it', async () => {
    await using upstream = await startTlsUpstream(selfSigned({ name: 'anybody' }))
    assert.equal((await (await serve(upstream))()).status, 200)
    assert.equal((await (await serve(upstream, { tls_verify: false }))()).status, 200)
    await refused(await serve(upstream, { tls_verify: true }), /self-signed certificate/)
  })

  test('only the authorities of the service are trusted, for its host name alone', async () => {
    const leaf = root.issue({ name: 'leaf', altNames: [NAME] })
    await using upstream = await startTlsUpstream(leaf)
    assert.equal((await (await serve(upstream, await trusting()))()).status, 200)
    assert.equal(upstream.handshakes[0]?.serverName, NAME)
    await refused(await serve(upstream, { tls_verify: true }), /unable to verify|unable to get/)
    await refused(await serve(upstream, { tls_verify: true, ca_certificates: [await trust(foreign)] }), /unable to verify|unable to get/)
    await refused(await serve(upstream, { ...(await trusting()), host: 'other.test' }), /altnames/)
    const nobody = { tls_verify: true, ca_certificates: ['b32379d9-3d28-5683-a79c-72139be6e34f'] }
    await refused(await serve(upstream, nobody), /unable to verify|unable to get/)
  })

  test('an address is sent as no server name and is looked for among the addresses of the certificate (RFC 6066 section 3)', async () => {
    await using upstream = await startTlsUpstream(root.issue({ name: 'leaf', altNames: ['127.0.0.1'] }))
    assert.equal((await (await serve(upstream, { ...(await trusting()), host: '127.0.0.1' }))()).status, 200)
    assert.equal(upstream.handshakes[0]?.serverName, null)
    await using other = await startTlsUpstream(root.issue({ name: '127.0.0.1', altNames: [NAME, '127.0.0.2'] }))
    await refused(await serve(other, { ...(await trusting()), host: '127.0.0.1' }), /127\.0\.0\.1/)
  })

  test('an expired certificate is refused, also after retries', async () => {
    await using upstream = await startTlsUpstream(root.issue({ name: 'leaf', altNames: [NAME], validDays: [-10, -1] }))
    await refused(await serve(upstream, { ...(await trusting()), retries: 2 }), /certificate has expired/)
  })

  test("the depth counts the certificates between the upstream's and the authority, 1 by default", async () => {
    const first = root.issue({ name: 'first', ca: true })
    const second = first.issue({ name: 'second', ca: true })
    const chain = (leaf: TestCertificate, ...others: TestCertificate[]) => ({
      key: leaf.key,
      cert: [leaf, ...others].map(({ cert }) => cert).join(''),
    })
    const options = { name: 'leaf', altNames: [NAME] }
    await using none = await startTlsUpstream(root.issue(options))
    await using one = await startTlsUpstream(chain(first.issue(options), first))
    await using two = await startTlsUpstream(chain(second.issue(options), second, first))
    const at = async (upstream: TlsUpstream, depth?: number) =>
      await serve(upstream, { ...(await trusting()), ...(depth === undefined ? {} : { tls_verify_depth: depth }) })
    assert.equal((await (await at(none, 0))()).status, 200)
    await refused(await at(one, 0), /certificate chain too long/)
    assert.equal((await (await at(one, 1))()).status, 200)
    assert.equal((await (await at(one))()).status, 200)
    await refused(await at(two), /certificate chain too long/)
    assert.equal((await (await at(two, 2))()).status, 200)
  })

  test('an upstream that requires a client certificate gets the one of the service, and connections are shared only with the same one', async () => {
    const clients = authority('Clients')
    const server = root.issue({ name: 'leaf', altNames: [NAME] })
    await using upstream = await startTlsUpstream({ ...server, ca: clients.cert, requestCert: true, rejectUnauthorized: true })
    const alice = await present(clients.issue({ name: 'alice' }))
    const bob = await present(clients.issue({ name: 'bob', keyType: 'rsa' }))
    const asAlice = await serve(upstream, { client_certificate: { id: alice } })
    const asAliceAgain = await serve(upstream, { client_certificate: { id: alice } })
    const asBob = await serve(upstream, { client_certificate: { id: bob } })
    assert.deepEqual((await asAlice()).json, { connection: 0, client: 'alice' })
    assert.deepEqual((await asBob()).json, { connection: 1, client: 'bob' })
    assert.deepEqual((await asAliceAgain()).json, { connection: 0, client: 'alice' })
    assert.deepEqual((await asBob()).json, { connection: 1, client: 'bob' })
    // This upstream breaks the connection off without an alert, so it looks like any other that does.
    assert.equal((await (await serve(upstream))()).status, 502)
    const eve = await present(foreign.issue({ name: 'eve' }))
    assert.equal((await (await serve(upstream, { client_certificate: { id: eve } }))()).status, 502)
  })

  test('a certificate that is changed is shown on the next connection, and an authority that is taken away trusts no longer', async () => {
    const server = root.issue({ name: 'leaf', altNames: [NAME] })
    await using upstream = await startTlsUpstream({ ...server, requestCert: true, rejectUnauthorized: false })
    const id = await present(foreign.issue({ name: 'before' }))
    const send = await serve(upstream, { ...(await trusting()), client_certificate: { id } })
    assert.equal((await send()).json?.['client'], 'before')
    const { cert, key } = foreign.issue({ name: 'after' })
    keys.push(key)
    await made('PATCH', `/certificates/${id}`, { cert, key })
    assert.deepEqual((await send()).json, { connection: 1, client: 'after' })
    const refusedWrite = await gateway.admin('PATCH', `/certificates/${id}`, { key: foreign.issue({ name: 'x' }).key })
    assert.equal(refusedWrite.status, 400)
    assert.deepEqual((await send()).json, { connection: 1, client: 'after' })
    await made('PATCH', `/services/${send.id}`, {
      ca_certificates: [await made('POST', '/ca_certificates', { cert: authority('New').cert })],
    })
    await refused(send, /unable to verify|unable to get/)
  })

  test('a reconnect resumes the session, and one service never resumes the session of another', async () => {
    await using upstream = await startTlsUpstream(root.issue({ name: 'leaf', altNames: [NAME] }))
    const send = await serve(upstream, await trusting())
    for (let turn = 0; turn < 3; turn++) assert.equal((await send('?close')).status, 200)
    assert.deepEqual(
      upstream.handshakes.map(({ resumed }) => resumed),
      [false, true, true],
    )
    await (await serve(upstream, { ...(await trusting()), tls_verify_depth: 3 }))('?close')
    assert.equal(upstream.handshakes[3]?.resumed, false)
  })

  test('certificate and key may come from the environment; without a value nothing is sent', async () => {
    const server = root.issue({ name: 'leaf', altNames: [NAME] })
    await using upstream = await startTlsUpstream({ ...server, requestCert: true, rejectUnauthorized: false })
    const pair = { cert: '{vault://env/client-cert}', key: '{vault://env/client-key}' }
    const id = await made('POST', '/certificates', pair)
    const send = await serve(upstream, { client_certificate: { id } })
    assert.equal((await send()).json?.['client'], 'from the vault')
    assert.equal((await gateway.admin('GET', `/certificates/${id}`)).json?.['key'], pair.key)
    const absent = await made('POST', '/certificates', { ...pair, key: '{vault://env/absent-key}' })
    await refused(await serve(upstream, { client_certificate: { id: absent } }), /the client certificate has no value/)
    assert.equal(upstream.handshakes.length, 1)
  })

  test('a key is in no log', async () => {
    const logs = await gateway.logText()
    assert.ok(keys.length > 5)
    for (const key of keys) for (const line of key.split('\n').slice(1, -2)) assert.ok(!logs.includes(line))
  })
})

test('client_ssl: upstreams are shown the certificate of the settings where their service has none', async () => {
  const clients = authority('Clients')
  const global = clients.issue({ name: 'everybody' })
  await using folder = await temporaryFolder()
  const file = join(folder.path, 'client.key')
  await writeFile(file, global.key)
  await using upstream = await startTlsUpstream({
    ...selfSigned({ name: 'leaf' }),
    ca: clients.cert,
    requestCert: true,
    rejectUnauthorized: true,
  })
  const own = clients.issue({ name: 'own' })
  const id = 'b32379d9-3d28-5683-a79c-72139be6e34f'
  const service = (name: string, fields: object) => ({
    name,
    url: `https://127.0.0.1:${upstream.port}`,
    ...fields,
    routes: [{ name, paths: [`/${name}`] }],
  })
  await using gateway = await startGateway({
    database: 'off',
    declarative: {
      _format_version: '3.0',
      certificates: [{ id, cert: own.cert, key: own.key, snis: ['a.test', { name: 'b.test' }] }],
      services: [service('global', {}), service('own', { client_certificate: id })],
    },
    env: { SALLYPORT_CLIENT_SSL: 'on', SALLYPORT_CLIENT_SSL_CERT: global.cert, SALLYPORT_CLIENT_SSL_CERT_KEY: file },
  })
  await using client = createHttpClient()
  assert.equal((await client.get(`${gateway.proxyOrigin}/global`)).json?.['client'], 'everybody')
  assert.equal((await client.get(`${gateway.proxyOrigin}/own`)).json?.['client'], 'own')
  const shown = JSON.stringify((await gateway.admin('GET', '/')).json)
  assert.ok(!shown.includes('PRIVATE KEY'))
})
