/** Nested JWTs: a compact JWE (RFC 7516) around a JWS, as servers send it when encrypted answers were agreed. */
import type { KeyObject } from 'node:crypto'
import { compactDecrypt } from 'jose'
import { textOf } from './json.ts'
import { headerOf, isCompactJwe, shortType } from './jwt.ts'

/** Key management that is accepted: no RSA1_5 (padding oracle), no PBES2 (the sender chooses the cost), nothing symmetric (RFC 8725 section 3.2). */
const KEY_MANAGEMENT = [
  'RSA-OAEP',
  'RSA-OAEP-256',
  'RSA-OAEP-384',
  'RSA-OAEP-512',
  'ECDH-ES',
  'ECDH-ES+A128KW',
  'ECDH-ES+A192KW',
  'ECDH-ES+A256KW',
]
const CONTENT_ENCRYPTION = ['A128CBC-HS256', 'A192CBC-HS384', 'A256CBC-HS512', 'A128GCM', 'A192GCM', 'A256GCM']

/** A private key to decrypt with. */
export interface DecryptionKey {
  readonly kid?: string | undefined
  readonly key: KeyObject
}

/**
 * Decrypts a nested JWT (RFC 7519 section 5.2). The outer header must say `cty: JWT`; compressed content is refused, because its size is the
 * sender's choice. The key is that of the header's `kid`, or each one when the header names none.
 *
 * @returns the inner compact JWS, not yet verified; null when it cannot be had
 */
export async function decryptNestedJwt(jwe: string, keys: readonly DecryptionKey[], maxLength?: number): Promise<string | null> {
  if (!isCompactJwe(jwe, maxLength)) return null
  const header = headerOf(jwe)
  if (header === null || header['zip'] !== undefined || shortType(textOf(header['cty']) ?? '') !== 'jwt') return null
  const { kid } = header
  for (const { key } of keys.filter((candidate) => kid === undefined || candidate.kid === undefined || candidate.kid === kid)) {
    try {
      const { plaintext } = await compactDecrypt(jwe, key, {
        keyManagementAlgorithms: KEY_MANAGEMENT,
        contentEncryptionAlgorithms: CONTENT_ENCRYPTION,
      })
      return Buffer.from(plaintext).toString('latin1')
    } catch {
      // why it failed would help only whoever sent it; the next key may fit
    }
  }
  return null
}
