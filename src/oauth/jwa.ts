/**
 * Signature algorithms (RFC 7518 section 3, RFC 8037, RFC 9864) over `node:crypto`. Verification is a plain call, so that a locally verified token
 * costs no promise and no hop to another thread, and Ed448 works, which Web Crypto lacks. Signing goes to the thread pool: RSA takes about a
 * millisecond there.
 */
import { constants, createHmac, type KeyObject, sign as signBytes, timingSafeEqual, verify as verifyBytes } from 'node:crypto'

type Algorithm =
  | { readonly kind: 'RSA'; readonly hash: string; readonly pss: boolean }
  | { readonly kind: 'EC'; readonly hash: string; readonly crv: string; readonly octets: number }
  | { readonly kind: 'OKP'; readonly crvs: readonly string[] }
  | { readonly kind: 'oct'; readonly hash: string; readonly octets: number }

const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map<string, Algorithm>([
  ['RS256', { kind: 'RSA', hash: 'sha256', pss: false }],
  ['RS384', { kind: 'RSA', hash: 'sha384', pss: false }],
  ['RS512', { kind: 'RSA', hash: 'sha512', pss: false }],
  ['PS256', { kind: 'RSA', hash: 'sha256', pss: true }],
  ['PS384', { kind: 'RSA', hash: 'sha384', pss: true }],
  ['PS512', { kind: 'RSA', hash: 'sha512', pss: true }],
  ['ES256', { kind: 'EC', hash: 'sha256', crv: 'P-256', octets: 64 }],
  ['ES384', { kind: 'EC', hash: 'sha384', crv: 'P-384', octets: 96 }],
  ['ES512', { kind: 'EC', hash: 'sha512', crv: 'P-521', octets: 132 }],
  ['EdDSA', { kind: 'OKP', crvs: ['Ed25519', 'Ed448'] }],
  ['Ed25519', { kind: 'OKP', crvs: ['Ed25519'] }],
  ['Ed448', { kind: 'OKP', crvs: ['Ed448'] }],
  ['HS256', { kind: 'oct', hash: 'sha256', octets: 32 }],
  ['HS384', { kind: 'oct', hash: 'sha384', octets: 48 }],
  ['HS512', { kind: 'oct', hash: 'sha512', octets: 64 }],
])

/** Every asymmetric signature algorithm that is accepted; `none` is no algorithm here. */
export const ASYMMETRIC_ALGORITHMS: ReadonlySet<string> = new Set([...ALGORITHMS].filter(([, a]) => a.kind !== 'oct').map(([name]) => name))
/** The symmetric ones: accepted only where a caller asks for them with a secret. */
export const SYMMETRIC_ALGORITHMS: ReadonlySet<string> = new Set(['HS256', 'HS384', 'HS512'])

/** What decides whether a key and an algorithm fit. */
export interface KeyKind {
  readonly kty: string
  readonly crv?: string | undefined
  readonly alg?: string | undefined
}

/** True when a key of this kind may be used with `alg`: key type, curve, and the key's own `alg` (RFC 7518 section 3.1, RFC 8725 section 3.1). */
export function fitsAlgorithm(key: KeyKind, alg: string): boolean {
  const algorithm = ALGORITHMS.get(alg)
  if (algorithm === undefined || key.kty !== algorithm.kind) return false
  if (algorithm.kind === 'EC' && key.crv !== algorithm.crv) return false
  if (algorithm.kind !== 'OKP') return key.alg === undefined || key.alg === alg
  // EdDSA and the fully specified name of its curve are one algorithm (RFC 9864)
  return algorithm.crvs.includes(key.crv ?? '') && (key.alg === undefined || key.alg === 'EdDSA' || key.alg === key.crv)
}

/** The algorithm for a key whose JWK and owner name none: RS256, ES* by curve, EdDSA; undefined when no algorithm fits. */
export function defaultAlgorithm(key: KeyKind): string | undefined {
  if (key.alg !== undefined) return key.alg
  return ['RS256', 'ES256', 'ES384', 'ES512', 'EdDSA'].find((alg) => fitsAlgorithm(key, alg))
}

/** Least length in bytes of a secret for an HS algorithm (RFC 7518 section 3.2); undefined for the others. */
export function leastSecretOctets(alg: string): number | undefined {
  const algorithm = ALGORITHMS.get(alg)
  return algorithm?.kind === 'oct' ? algorithm.octets : undefined
}

/** Verifies an asymmetric signature. False for an unknown or symmetric `alg`, for DER-encoded ECDSA, and for whatever OpenSSL refuses. */
export function verifySignature(alg: string, key: KeyObject, data: Uint8Array, signature: Uint8Array): boolean {
  const algorithm = ALGORITHMS.get(alg)
  if (algorithm === undefined || algorithm.kind === 'oct') return false
  if (algorithm.kind === 'EC' && signature.length !== algorithm.octets) return false
  try {
    return verifyBytes(algorithm.kind === 'OKP' ? null : algorithm.hash, data, { key, ...paddingOf(algorithm) }, signature)
  } catch {
    return false
  }
}

/** Verifies an HMAC in constant time. False for an unknown or asymmetric `alg` and for a secret shorter than its hash. */
export function verifyHmac(alg: string, secret: string | Uint8Array, data: Uint8Array, signature: Uint8Array): boolean {
  const least = leastSecretOctets(alg)
  if (least === undefined || Buffer.byteLength(secret) < least) return false
  const expected = hmac(alg, secret, data)
  return expected.length === signature.length && timingSafeEqual(expected, signature)
}

/**
 * Signs with a private key, off the main thread.
 *
 * @throws {TypeError} `alg` is not an asymmetric algorithm; whatever OpenSSL throws when key and algorithm do not fit
 */
export function sign(alg: string, key: KeyObject, data: Uint8Array): Promise<Uint8Array> {
  const algorithm = ALGORITHMS.get(alg)
  if (algorithm === undefined || algorithm.kind === 'oct') throw new TypeError(`not an asymmetric signature algorithm: ${alg}`)
  return new Promise((resolve, reject) => {
    signBytes(algorithm.kind === 'OKP' ? null : algorithm.hash, data, { key, ...paddingOf(algorithm) }, (error, signature) => {
      if (error === null) resolve(signature)
      else reject(error)
    })
  })
}

/**
 * The HMAC of `data` under a secret; of a text the UTF-8 bytes count.
 *
 * @throws {TypeError} `alg` is not HS256, HS384 or HS512
 */
export function hmac(alg: string, secret: string | Uint8Array, data: Uint8Array): Uint8Array {
  const algorithm = ALGORITHMS.get(alg)
  if (algorithm?.kind !== 'oct') throw new TypeError(`not a symmetric signature algorithm: ${alg}`)
  return createHmac(algorithm.hash, secret).update(data).digest()
}

function paddingOf(algorithm: Algorithm): { padding?: number; saltLength?: number; dsaEncoding?: 'ieee-p1363' } {
  if (algorithm.kind === 'EC') return { dsaEncoding: 'ieee-p1363' }
  if (algorithm.kind !== 'RSA') return {}
  if (!algorithm.pss) return { padding: constants.RSA_PKCS1_PADDING }
  return { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
}
