import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { connect, createServer } from 'node:tls'
import { authority, selfSigned, type TestCertificate } from '../../test/support/certificates.ts'
import type { UpstreamTls } from '../http/exchange.ts'
import { SecureContexts } from './secure-context.ts'

function trusting(authorities: readonly TestCertificate[] | null, clientCertificate: UpstreamTls['clientCertificate'] = null): UpstreamTls {
  const contextKey = JSON.stringify([authorities, clientCertificate])
  return {
    verify: true,
    verifyDepth: 1,
    authorities: authorities?.map(({ cert }) => cert) ?? null,
    clientCertificate,
    contextKey,
    key: 'k',
  }
}

/** The leaf with what its server presents, as a handshake gives it. */
async function presented(leaf: TestCertificate, ...others: TestCertificate[]): Promise<X509Certificate> {
  const server = createServer({ key: leaf.key, cert: [leaf, ...others].map(({ cert }) => cert).join('') }, (socket) => socket.end())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const socket = connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, rejectUnauthorized: false })
  await once(socket, 'secureConnect')
  const certificate = socket.getPeerX509Certificate()
  socket.destroy()
  server.close()
  assert.ok(certificate)
  return certificate
}

const root = authority('Root')
const first = root.issue({ name: 'first', ca: true })
const second = first.issue({ name: 'second', ca: true })

test('intermediates are counted from the leaf to the authority, neither included', async () => {
  const contexts = new SecureContexts([root.cert])
  const count = async (leaf: TestCertificate, ...others: TestCertificate[]) =>
    contexts.intermediates(trusting(null), await presented(leaf, ...others))
  assert.equal(await count(root.issue({ name: 'leaf' })), 0)
  assert.equal(await count(first.issue({ name: 'leaf' }), first), 1)
  assert.equal(await count(second.issue({ name: 'leaf' }), second, first), 2)
  assert.equal(await count(second.issue({ name: 'leaf' }), second, first, root), 2)
  assert.equal(await count(second.issue({ name: 'leaf' })), Number.POSITIVE_INFINITY)
  const alone = selfSigned({ name: 'alone' })
  assert.equal(contexts.intermediates(trusting([alone]), new X509Certificate(alone.cert)), 0)
})

test('what is trusted comes before what is presented: a longer way to another authority does not count', async () => {
  const leaf = second.issue({ name: 'leaf' })
  const chain = await presented(leaf, second, first, root)
  // "second" itself is an authority here, beside the root that its own issuers lead to.
  const contexts = new SecureContexts(undefined)
  assert.equal(contexts.intermediates(trusting([root, second, first]), chain), 2)
  const crossSigned = authority('Old').issue({ name: 'Root', ca: true, keyOf: root })
  assert.equal(contexts.intermediates(trusting([root]), await presented(first.issue({ name: 'x' }), first, crossSigned)), 1)
})

test('a context is made once for each set of authorities and client certificate, and never without a certificate that was asked for', () => {
  const contexts = new SecureContexts(undefined)
  const { cert, key } = selfSigned({ name: 'client' })
  const tls = trusting([root], { cert, key })
  assert.equal(contexts.get(tls), contexts.get({ ...tls }))
  assert.notEqual(contexts.get(tls), contexts.get(trusting([root])))
  assert.throws(() => contexts.get(trusting([root], { cert: '', key: '' })), { code: 'ERR_TLS_CLIENT_CERTIFICATE' })
  assert.throws(() => contexts.get(trusting([root], { cert, key: selfSigned({ name: 'b' }).key })))
})
