import assert from 'node:assert/strict'
import { constants } from 'node:crypto'
import { test } from 'node:test'
import { checkTlsProfile, type TlsProfileSettings, tlsProfile } from './tls-profile.ts'

const settings = (changes: Partial<TlsProfileSettings>): TlsProfileSettings => ({
  ssl_cipher_suite: 'intermediate',
  ssl_ciphers: null,
  ssl_protocols: ['TLSv1.2', 'TLSv1.3'],
  ssl_prefer_server_ciphers: true,
  ssl_session_tickets: true,
  ssl_session_timeout: 86_400_000,
  ...changes,
})

test('each suite says which versions there are', () => {
  const versions = (suite: TlsProfileSettings['ssl_cipher_suite']) => {
    const { minVersion, maxVersion } = tlsProfile(settings({ ssl_cipher_suite: suite, ssl_protocols: ['TLSv1.1'] }))
    return [minVersion, maxVersion]
  }
  assert.deepEqual(versions('modern'), ['TLSv1.3', 'TLSv1.3'])
  assert.deepEqual(versions('intermediate'), ['TLSv1.2', 'TLSv1.3'])
  assert.deepEqual(versions('old'), ['TLSv1', 'TLSv1.3'])
  assert.deepEqual(versions('custom'), ['TLSv1.1', 'TLSv1.1'])
})

test('ciphers, versions and preference of their own count with custom only (Kong)', () => {
  const own = { ssl_ciphers: 'ECDHE-RSA-AES128-GCM-SHA256', ssl_prefer_server_ciphers: true }
  assert.equal(tlsProfile(settings({ ...own, ssl_cipher_suite: 'custom' })).ciphers, own.ssl_ciphers)
  assert.equal(tlsProfile(settings({ ...own, ssl_cipher_suite: 'custom' })).honorCipherOrder, true)
  assert.match(tlsProfile(settings(own)).ciphers ?? '', /^ECDHE-ECDSA-AES128-GCM-SHA256:/)
  assert.equal(tlsProfile(settings(own)).honorCipherOrder, false)
})

test('a gap between versions stays a gap', () => {
  const { secureOptions } = tlsProfile(settings({ ssl_cipher_suite: 'custom', ssl_protocols: ['TLSv1.3', 'TLSv1.1'] }))
  assert.notEqual(secureOptions & constants.SSL_OP_NO_TLSv1_2, 0)
  assert.equal(secureOptions & constants.SSL_OP_NO_TLSv1_3, 0)
})

test('a client cannot begin another handshake; tickets can be off', () => {
  assert.notEqual(tlsProfile(settings({})).secureOptions & constants.SSL_OP_NO_RENEGOTIATION, 0)
  assert.equal(tlsProfile(settings({})).secureOptions & constants.SSL_OP_NO_TICKET, 0)
  assert.notEqual(tlsProfile(settings({ ssl_session_tickets: false })).secureOptions & constants.SSL_OP_NO_TICKET, 0)
})

test('what OpenSSL does not know, and what it cannot be, is refused', () => {
  assert.match(checkTlsProfile(settings({ ssl_cipher_suite: 'fips' })).join(), /^ssl_cipher_suite = fips is not available/)
  assert.deepEqual(checkTlsProfile(settings({ ssl_cipher_suite: 'custom', ssl_ciphers: 'NO-SUCH' })), [
    "ssl_ciphers: OpenSSL knows no cipher in 'NO-SUCH'",
  ])
  for (const suite of ['modern', 'intermediate', 'old', 'custom'] as const)
    assert.deepEqual(checkTlsProfile(settings({ ssl_cipher_suite: suite })), [])
})
