import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { createSelfSigned } from './self-signed.ts'

for (const kind of ['rsa', 'ecdsa'] as const) {
  test(`${kind}: the certificate belongs to its key, signs itself and is good for its names`, async () => {
    const { cert, key } = await createSelfSigned({ kind, commonName: 'localhost', addresses: ['127.0.0.1'], days: 10 })
    const certificate = new X509Certificate(cert)
    assert.ok(certificate.checkPrivateKey(createPrivateKey(key)))
    assert.ok(certificate.verify(certificate.publicKey))
    assert.ok(certificate.checkIssued(certificate))
    assert.equal(certificate.subject, 'CN=localhost')
    assert.equal(certificate.checkHost('localhost'), 'localhost')
    assert.equal(certificate.checkIP('127.0.0.1'), '127.0.0.1')
    assert.equal(certificate.ca, false)
    assert.equal(certificate.publicKey.asymmetricKeyType, kind === 'rsa' ? 'rsa' : 'ec')
  })
}

test('the days count from now, beyond the year 2050 too (RFC 5280 section 4.1.2.5)', async () => {
  const now = new Date('2040-06-01T12:00:00Z')
  const { cert } = await createSelfSigned({ kind: 'ecdsa', commonName: 'a', days: 7300, now })
  const { validFrom, validTo } = new X509Certificate(cert)
  assert.equal(new Date(validFrom).toISOString(), '2040-05-31T12:00:00.000Z')
  assert.equal(new Date(validTo).toISOString(), '2060-05-27T12:00:00.000Z')
})

test('two certificates never share a serial number or a key', async () => {
  const options = { kind: 'ecdsa', commonName: 'a', days: 1 } as const
  const [first, second] = [await createSelfSigned(options), await createSelfSigned(options)]
  assert.notEqual(new X509Certificate(first.cert).serialNumber, new X509Certificate(second.cert).serialNumber)
  assert.notEqual(first.key, second.key)
})
