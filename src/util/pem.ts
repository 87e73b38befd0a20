/** What a PEM text has to be before an entity may hold it. Texts of violations say OpenSSL's reason and never quote what was given: it may be a secret. */
import type { KeyObject } from 'node:crypto'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'

const CERTIFICATE_BLOCK = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[\s\S]*?-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g

/** The certificates of a PEM text, in its order. @throws when one of them cannot be parsed */
export function certificatesIn(pem: string): readonly X509Certificate[] {
  return (pem.match(CERTIFICATE_BLOCK) ?? []).map((block) => new X509Certificate(block))
}

/** One certificate or a chain; all of it has to be readable, since a listener that presents it reads all of it. */
export function certificateViolation(value: string): string | undefined {
  try {
    return certificatesIn(value).length === 0 ? 'invalid certificate: no start line' : undefined
  } catch (error) {
    return `invalid certificate: ${reasonOf(error)}`
  }
}

/** A private key that needs no passphrase. */
export function privateKeyViolation(value: string): string | undefined {
  try {
    createPrivateKey(value)
    return undefined
  } catch (error) {
    return `invalid key: ${reasonOf(error)}`
  }
}

/** Why a certificate and a key, each of them good, cannot be used together; undefined when they can. `mismatch` is the text for keys that differ. */
export function pairViolation(cert: string, key: string, mismatch: string): string | undefined {
  const leaf = leafOf(cert)
  if (leaf === null || !leaf.checkPrivateKey(createPrivateKey(key))) return mismatch
  try {
    createSecureContext({ cert, key })
    return undefined
  } catch (error) {
    return `certificate and key cannot be used for TLS: ${reasonOf(error)}`
  }
}

/** Whether the leaves have keys of one type, so that no client would ever be shown the second. */
export function haveSameKeyType(cert: string, other: string): boolean {
  return keyTypeOf(cert) === keyTypeOf(other)
}

function keyTypeOf(cert: string): KeyObject['asymmetricKeyType'] {
  return leafOf(cert)?.publicKey.asymmetricKeyType
}

function leafOf(cert: string): X509Certificate | null {
  return certificatesIn(cert)[0] ?? null
}

/** OpenSSL's short reason, which is one of a fixed list. */
function reasonOf(error: unknown): string {
  const { reason, code } = error as { readonly reason?: unknown; readonly code?: unknown }
  if (typeof reason === 'string') return reason.toLowerCase()
  return code === 'ERR_MISSING_PASSPHRASE' ? 'it is protected by a passphrase' : 'cannot be parsed'
}
