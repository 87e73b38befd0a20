import assert from 'node:assert/strict'
import { createSecretKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { CompactEncrypt, type CompactJWEHeaderParameters } from 'jose'
import { decryptNestedJwt } from './jwe.ts'

const jws = 'eyJhbGciOiJSUzI1NiJ9.e30.AAAA'
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const good = { alg: 'RSA-OAEP-256', enc: 'A256GCM', cty: 'JWT' }
const encrypt = (header: CompactJWEHeaderParameters, key: KeyObject | Uint8Array = rsa.publicKey): Promise<string> =>
  new CompactEncrypt(Buffer.from(jws)).setProtectedHeader(header).encrypt(key)

test('an encrypted JWS comes out as it went in', async () => {
  assert.equal(await decryptNestedJwt(await encrypt(good), [{ key: rsa.privateKey }]), jws)
  const agreed = await encrypt({ alg: 'ECDH-ES', enc: 'A128CBC-HS256', cty: 'application/jwt' }, ec.publicKey)
  assert.equal(await decryptNestedJwt(agreed, [{ key: rsa.privateKey }, { key: ec.privateKey }]), jws)
})

test('the key is that of the kid', async () => {
  const jwe = await encrypt({ ...good, kid: 'a' })
  assert.equal(await decryptNestedJwt(jwe, [{ kid: 'a', key: rsa.privateKey }]), jws)
  assert.equal(await decryptNestedJwt(jwe, [{ kid: 'b', key: rsa.privateKey }]), null)
})

test('without cty JWT, and with compressed content, it is refused', async () => {
  assert.equal(await decryptNestedJwt(await encrypt({ alg: 'RSA-OAEP-256', enc: 'A256GCM' }), [{ key: rsa.privateKey }]), null)
  assert.equal(await decryptNestedJwt(await encrypt({ ...good, zip: 'DEF' }), [{ key: rsa.privateKey }]), null)
})

test('symmetric key management is refused, also when the secret fits', async () => {
  const secret = randomBytes(32)
  const jwe = await encrypt({ ...good, alg: 'dir' }, secret)
  assert.equal(await decryptNestedJwt(jwe, [{ key: createSecretKey(secret) }]), null)
})

test('a changed tag, another key, no key and a plain JWS give nothing', async () => {
  const jwe = await encrypt(good)
  const other = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const start = jwe.lastIndexOf('.') + 1
  assert.equal(await decryptNestedJwt(`${jwe.slice(0, start)}${'A'.repeat(22)}`, [{ key: rsa.privateKey }]), null)
  assert.equal(await decryptNestedJwt(jwe, [{ key: other }]), null)
  assert.equal(await decryptNestedJwt(jwe, []), null)
  assert.equal(await decryptNestedJwt(jws, [{ key: rsa.privateKey }]), null)
})
