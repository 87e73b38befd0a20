import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { createSelfSigned } from '../util/self-signed.ts'
import { type CertificatePair, createCertificateStore, createIdentity, type ServerIdentity } from './certificates.ts'
import { resolveFrame } from './frame-references.ts'
import type { CertificateEntity } from './snapshot.ts'

let rsa: CertificatePair
let ecdsa: CertificatePair
let own: ServerIdentity
before(async () => {
  rsa = await createSelfSigned({ kind: 'rsa', commonName: 'localhost', days: 1 })
  ecdsa = await createSelfSigned({ kind: 'ecdsa', commonName: 'localhost', days: 1 })
  own = createIdentity([await createSelfSigned({ kind: 'ecdsa', commonName: 'own', days: 1 })], {})
})

type Names = Readonly<Record<string, string>>

async function storeFor(names: Names, previous: ReturnType<typeof createCertificateStore> | null = null) {
  const certificates: CertificateEntity[] = []
  for (const id of new Set(Object.values(names))) certificates.push({ id, ...(await pairFor(id)), cert_alt: null, key_alt: null })
  const store = createCertificateStore({ ...defaults(), certificates, snis: snisFor(names), previous })
  const idOf = (serverName: string | null) => {
    const { options } = store.choose(serverName)
    const cert = Array.isArray(options.cert) ? options.cert[0] : options.cert
    return certificates.find((candidate) => candidate.cert === cert)?.id ?? 'own'
  }
  return { store, idOf }
}

const made = new Map<string, CertificatePair>()
async function pairFor(id: string): Promise<CertificatePair> {
  const pair = made.get(id) ?? (await createSelfSigned({ kind: 'ecdsa', commonName: id, days: 1 }))
  made.set(id, pair)
  return pair
}

function snisFor(names: Names) {
  return Object.entries(names).map(([name, id]) => ({ id: `sni of ${name}`, name, certificate: { id } }))
}

function defaults(unusable: string[] = []) {
  return {
    fallback: own,
    shared: {},
    onUnusable: (id: string, reason: string) => void unusable.push(`${id}: ${reason}`),
  }
}

describe('the certificate for a server name', () => {
  const ALL = { 'a.b.test': 'exact', '*.b.test': 'first', 'a.b.*': 'last', '*': 'any' }
  const table: readonly (readonly [names: Names, serverName: string | null, id: string])[] = [
    [ALL, 'a.b.test', 'exact'],
    [ALL, 'A.B.Test', 'exact'],
    [ALL, 'a.b.test.', 'exact'],
    [ALL, 'x.b.test', 'first'],
    [ALL, 'a.b.example', 'last'],
    [ALL, 'other.example', 'any'],
    [ALL, 'localhost', 'any'],
    // Kong: without SNI it is the node's own, whatever `*` says.
    [ALL, null, 'own'],
    [ALL, '', 'own'],
    [{ '*.b.test': 'first', 'a.b.*': 'last' }, 'a.b.test', 'first'],
    [{ '*.b.test': 'first' }, 'x.y.b.test', 'own'],
    [{ '*.b.test': 'first' }, 'b.test', 'own'],
    // One label may stand for `*`, and it is not the last but one.
    [{ '*.test': 'first' }, 'b.test', 'own'],
    [{ 'b.*': 'last' }, 'b.test', 'last'],
    [{ 'b.*': 'last' }, 'b.co.test', 'own'],
    [{ 'B.Test': 'exact' }, 'b.test', 'exact'],
    [{}, 'b.test', 'own'],
    // A client may ask for anything, and gets no other certificate by it.
    [{ '*.b.test': 'first' }, '*.b.test', 'first'],
    [{ 'a.b.test': 'exact' }, '__proto__', 'own'],
  ]
  for (const [names, serverName, id] of table) {
    test(`${serverName} among ${Object.keys(names).join(' ')}: ${id}`, async () => {
      const { idOf } = await storeFor(names)
      assert.equal(idOf(serverName), id)
    })
  }
})

test('a certificate that OpenSSL refuses is named once, and the node serves with its own', () => {
  const unusable: string[] = []
  const broken = { ...rsa, cert: rsa.cert.replace(/[A-Za-z]/g, 'A') }
  const store = createCertificateStore({
    ...defaults(unusable),
    certificates: [
      { id: 'broken', ...broken, cert_alt: null, key_alt: null },
      { id: 'mismatched', cert: rsa.cert, key: ecdsa.key, cert_alt: null, key_alt: null },
    ],
    snis: snisFor({ 'broken.test': 'broken', 'mismatched.test': 'mismatched', 'gone.test': 'no such certificate' }),
  })
  for (const name of ['broken.test', 'mismatched.test', 'gone.test', 'broken.test']) assert.equal(store.choose(name), own)
  assert.deepEqual(
    unusable.map((line) => line.split(':')[0]),
    ['broken', 'mismatched'],
  )
  assert.match(unusable[0] ?? '', /^broken: ERR_[A-Z0-9_]+$/)
  assert.equal(unusable[1], 'mismatched: certificate does not match key')
})

test('a second certificate of the other kind stands beside the first', () => {
  const certificates = [{ id: 'both', ...rsa, cert_alt: ecdsa.cert, key_alt: ecdsa.key }]
  const { options } = createCertificateStore({ ...defaults(), certificates, snis: snisFor({ 'a.test': 'both' }) }).choose('a.test')
  assert.deepEqual(
    [options.cert, options.key],
    [
      [rsa.cert, ecdsa.cert],
      [rsa.key, ecdsa.key],
    ],
  )
})

test('vault references are resolved', () => {
  const texts: Readonly<Record<string, string>> = { '{vault://env/cert}': rsa.cert, '{vault://env/key}': rsa.key }
  const certificates = [{ id: 'a', cert: '{vault://env/cert}', key: '{vault://env/key}', cert_alt: null, key_alt: null }]
  const nothing = { version: 1, services: [], routes: [], consumers: [], plugins: [], ca_certificates: [], objects: [] }
  const frame = resolveFrame({ ...nothing, certificates, snis: snisFor({ 'a.test': 'a' }) }, (reference) => texts[reference] ?? '')
  const store = createCertificateStore({ ...defaults(), ...frame })
  assert.deepEqual(store.choose('a.test').options.cert, [rsa.cert])
})

test('a new configuration keeps what is the same and replaces what has changed', async () => {
  const { store: first } = await storeFor({ 'a.test': 'a', 'b.test': 'b' })
  const [a, b] = [first.choose('a.test'), first.choose('b.test')]
  made.delete('b')
  const { store: second } = await storeFor({ 'a.test': 'a', 'b.test': 'b' }, first)
  assert.equal(second.choose('a.test'), a)
  assert.notEqual(second.choose('b.test').digest, b.digest)
})
