/**
 * JSON Web Keys and sets of them (RFC 7517, RFC 7518 section 6, RFC 8037). A key of a peer's set is used for verification only; a set with broken
 * keys serves with the good ones (RFC 7517 section 5). Keys are imported at their first use and kept.
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { decodeBase64url } from '../util/base64url.ts'
import { JwkError, JwksError } from './errors.ts'
import type { HttpClient, HttpResponse } from './http.ts'
import { isJsonObject, type JsonObject, type JsonValue, parseJsonObject, textOf, textsOf } from './json.ts'
import { ASYMMETRIC_ALGORITHMS, defaultAlgorithm, fitsAlgorithm, type KeyKind } from './jwa.ts'

/** Bounds of an RSA modulus in bits: below it is forgeable (RFC 7518 section 3.3), above it costs a core (RFC 8725 leaves the bound to us). */
const RSA_BITS = { least: 2048, most: 8192 }
/** Bytes of an RSA public exponent: verification costs grow with it, and nobody uses more. */
const RSA_EXPONENT_OCTETS = 8
/** Keys that are kept of one document; a set of thousands is an attack or a mistake. */
const MAX_KEYS = 512
/** Keys that are tried for one token: each costs a verification. */
const MAX_CANDIDATES = 16

/** The members of a public key that may leave this process; everything else of a JWK is dropped. */
const PUBLIC_MEMBERS = ['kty', 'use', 'alg', 'kid', 'n', 'e', 'crv', 'x', 'y', 'x5c', 'x5t', 'x5t#S256'] as const
/** What defines a key, in the order of RFC 7638 section 3.2. */
const DEFINING_MEMBERS: Readonly<Record<string, readonly string[]>> = {
  RSA: ['e', 'kty', 'n'],
  EC: ['crv', 'kty', 'x', 'y'],
  OKP: ['crv', 'kty', 'x'],
}
const PRIVATE_MEMBERS: Readonly<Record<string, readonly string[]>> = { RSA: ['d', 'p', 'q', 'dp', 'dq', 'qi'], EC: ['d'], OKP: ['d'] }
const CURVES: Readonly<Record<string, readonly string[]>> = {
  EC: ['P-256', 'P-384', 'P-521'],
  OKP: ['Ed25519', 'Ed448', 'X25519', 'X448'],
}

/** A public JWK: only members that everybody may see. */
export type PublicJwk = JsonObject & { readonly kty: string }

/** The header of a JWS as far as it chooses a key. */
export interface KeyChoice {
  readonly alg: string
  readonly kid?: string | undefined
}

/** A key of a set, ready to verify with. */
export interface VerificationKey {
  readonly jwk: PublicJwk
  readonly key: KeyObject
}

/** The keys of one issuer, in the order in which they were published. */
export class JwkSet {
  /** every public key of a known kind, also those that never verify (`use: enc`) */
  readonly keys: readonly PublicJwk[]
  readonly #byKid = new Map<string, PublicJwk[]>()
  /** null: the key cannot be imported */
  readonly #imported = new Map<PublicJwk, KeyObject | null>()

  constructor(keys: readonly PublicJwk[]) {
    this.keys = keys
    for (const jwk of keys) {
      const kid = textOf(jwk['kid'])
      if (kid === undefined) continue
      const sameKid = this.#byKid.get(kid)
      if (sameKid === undefined) this.#byKid.set(kid, [jwk])
      else sameKid.push(jwk)
    }
  }

  /**
   * The keys that may have made a signature: of the header's `kid` if it has one, and fit for its `alg`. `use`, where present, must be `sig`, and
   * `key_ops` contain `verify` (RFC 7517 sections 4.2 to 4.5). Without `kid` every fitting key, at most 16.
   */
  find(header: KeyChoice): readonly VerificationKey[] {
    const candidates = header.kid === undefined ? this.keys : (this.#byKid.get(header.kid) ?? [])
    const found: VerificationKey[] = []
    for (const jwk of candidates) {
      if (!mayVerify(jwk) || !fitsAlgorithm(kindOf(jwk), header.alg)) continue
      const key = this.#import(jwk)
      if (key !== null && found.push({ jwk, key }) === MAX_CANDIDATES) break
    }
    return found
  }

  #import(jwk: PublicJwk): KeyObject | null {
    const known = this.#imported.get(jwk)
    if (known !== undefined) return known
    let key: KeyObject | null = null
    try {
      key = importPublicJwk(jwk)
    } catch {
      // a broken key is as good as none: the others of the set still serve (RFC 7517 section 5)
    }
    this.#imported.set(jwk, key)
    return key
  }
}

/**
 * Makes a set from JWKs as they were received. What is not an object with a known asymmetric `kty` is left out, private members are dropped.
 * At most 512 keys are kept.
 */
export function createJwkSet(jwks: readonly JsonValue[]): JwkSet {
  const keys: PublicJwk[] = []
  for (const jwk of jwks) {
    if (keys.length === MAX_KEYS) break
    const key = isJsonObject(jwk) ? publicJwk(jwk, ['key_ops']) : null
    if (key !== null) keys.push(key)
  }
  return new JwkSet(keys)
}

/** One set of several, in this order: the primary key set first, then the extra ones. */
export function concatenateJwkSets(sets: readonly JwkSet[]): JwkSet {
  return new JwkSet(sets.flatMap((set) => set.keys))
}

/**
 * Fetches a JWK set (RFC 7517 section 5).
 *
 * @param headers added to the request, for servers that want an API key there
 * @throws {JwksError} no connection, not status 200, or not a JSON object with an array `keys`
 */
export async function fetchJwks(http: HttpClient, url: string, headers: readonly (readonly [string, string])[] = []): Promise<JwkSet> {
  let response: HttpResponse
  try {
    response = await http({ method: 'GET', url, headers: [['Accept', 'application/jwk-set+json, application/json'], ...headers] })
  } catch (cause) {
    throw new JwksError('the JWK set could not be fetched', { cause })
  }
  if (response.status !== 200) throw new JwksError(`the JWK set was answered with status ${response.status}`)
  const keys = parseJsonObject(response.body)?.['keys']
  if (!Array.isArray(keys)) throw new JwksError('the JWK set is not a JSON object with an array of keys')
  return createJwkSet(keys)
}

/**
 * The public part of a JWK, member by member from a fixed list, so that a private member of any kind of key, also of one unknown today, cannot pass.
 *
 * @param more further members to keep, for use inside this process
 * @returns null for symmetric and unknown kinds: they have no public part
 */
export function publicJwk(jwk: JsonObject, more: readonly string[] = []): PublicJwk | null {
  const kty = textOf(jwk['kty'])
  if (kty === undefined || !Object.hasOwn(DEFINING_MEMBERS, kty)) return null
  const copy: Record<string, JsonValue> & { kty: string } = Object.assign(Object.create(null), { kty })
  for (const member of [...PUBLIC_MEMBERS, ...more]) {
    const value = jwk[member]
    if (value !== undefined) copy[member] = value
  }
  return copy
}

/** The document to publish for a set of signing keys: public members only. */
export function publicJwks(keys: readonly { readonly jwk: JsonObject }[]): { readonly keys: readonly PublicJwk[] } {
  return { keys: keys.map(({ jwk }) => publicJwk(jwk)).filter((jwk) => jwk !== null) }
}

/** SHA-256 thumbprint of a key, base64url (RFC 7638). Undefined when a defining member is missing or the kind has no public part. */
export function jwkThumbprint(jwk: JsonObject): string | undefined {
  const members = Object.entries(DEFINING_MEMBERS).find(([kty]) => kty === jwk['kty'])?.[1]
  if (members === undefined || members.some((member) => typeof jwk[member] !== 'string')) return undefined
  const canonical = `{${members.map((member) => `${JSON.stringify(member)}:${JSON.stringify(jwk[member])}`).join(',')}}`
  return createHash('sha256').update(canonical).digest('base64url')
}

/**
 * Imports the public part of a JWK.
 *
 * @throws {JwkError} unknown kind or curve, a member missing or not base64url, an RSA key outside 2048 to 8192 bits, a point off the curve
 */
export function importPublicJwk(jwk: JsonObject): KeyObject {
  try {
    return createPublicKey({ key: keyMembers(jwk, []), format: 'jwk' })
  } catch (cause) {
    throw cause instanceof JwkError ? cause : new JwkError('the public key cannot be imported', { cause })
  }
}

/**
 * Imports a private JWK.
 *
 * @throws {JwkError} as importPublicJwk, or private members missing
 */
export function importPrivateJwk(jwk: JsonObject): KeyObject {
  try {
    return createPrivateKey({ key: keyMembers(jwk, PRIVATE_MEMBERS[textOf(jwk['kty']) ?? ''] ?? []), format: 'jwk' })
  } catch (cause) {
    // OpenSSL's own errors are kept off: they have no use for the reader and lie near key material
    throw cause instanceof JwkError ? cause : new JwkError('the private key cannot be imported')
  }
}

/** A private key to sign with, and how. */
export interface SigningKey {
  readonly alg: string
  readonly kid: string | undefined
  /** the whole JWK, private members included: for storage, never for output */
  readonly jwk: JsonObject
  readonly key: KeyObject
}

/**
 * Makes a signing key of a private JWK. The algorithm is `alg`, else the JWK's own, else by its kind: RS256, ES* by curve, EdDSA.
 *
 * @throws {JwkError} the key cannot be imported, or no signature algorithm fits it
 */
export function importSigningKey(jwk: JsonObject, alg?: string): SigningKey {
  const kind = kindOf(jwk)
  const chosen = alg ?? defaultAlgorithm(kind)
  if (chosen === undefined || !ASYMMETRIC_ALGORITHMS.has(chosen)) throw new JwkError('no signature algorithm fits the key')
  if (!fitsAlgorithm(kind, chosen)) throw new JwkError(`the key does not fit the algorithm ${chosen}`)
  return { alg: chosen, kid: textOf(jwk['kid']), jwk, key: importPrivateJwk(jwk) }
}

/** One key for each: what a set of our own holds, so that any algorithm that a server asks for can be had. */
export const GENERATED_ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'] as const

/** Generates private JWKs, one for each algorithm, with `alg`, `use: sig` and the thumbprint as `kid`. EdDSA keys are Ed25519. */
export function generateSigningJwks(
  algorithms: readonly (typeof GENERATED_ALGORITHMS)[number][] = GENERATED_ALGORITHMS,
): Promise<JsonObject[]> {
  return Promise.all(algorithms.map(generateSigningJwk))
}

const generate = promisify(generateKeyPair)

async function generateSigningJwk(alg: (typeof GENERATED_ALGORITHMS)[number]): Promise<JsonObject> {
  const { privateKey } = await generatePair(alg)
  const jwk: Record<string, JsonValue> = Object.create(null)
  for (const [member, value] of Object.entries(privateKey.export({ format: 'jwk' }))) {
    if (typeof value === 'string') jwk[member] = value
  }
  const kid = jwkThumbprint(jwk)
  if (kid === undefined) throw new JwkError('the generated key has no thumbprint')
  return Object.assign(jwk, { kid, alg, use: 'sig' })
}

function generatePair(alg: (typeof GENERATED_ALGORITHMS)[number]): Promise<{ privateKey: KeyObject }> {
  switch (alg) {
    case 'EdDSA':
      return generate('ed25519')
    case 'ES256':
      return generate('ec', { namedCurve: 'P-256' })
    case 'ES384':
      return generate('ec', { namedCurve: 'P-384' })
    case 'ES512':
      return generate('ec', { namedCurve: 'P-521' })
    default:
      return generate('rsa', { modulusLength: 2048 })
  }
}

function kindOf(jwk: JsonObject): KeyKind {
  return { kty: textOf(jwk['kty']) ?? '', crv: textOf(jwk['crv']), alg: textOf(jwk['alg']) }
}

function mayVerify(jwk: JsonObject): boolean {
  if (jwk['use'] !== undefined && jwk['use'] !== 'sig') return false
  return jwk['key_ops'] === undefined || (textsOf(jwk['key_ops']) ?? []).includes('verify')
}

/** The members that make the key, each checked to be base64url text, so that nothing else of a JWK reaches the import. */
function keyMembers(jwk: JsonObject, privateMembers: readonly string[]): Record<string, string> {
  const kty = textOf(jwk['kty']) ?? ''
  const defining = Object.hasOwn(DEFINING_MEMBERS, kty) ? DEFINING_MEMBERS[kty] : undefined
  if (defining === undefined) throw new JwkError('the key type is unknown')
  const members: Record<string, string> = {}
  for (const member of [...defining, ...privateMembers]) {
    const value = textOf(jwk[member])
    if (value === undefined) throw new JwkError(`the key has no member ${member}`)
    if (member !== 'kty' && member !== 'crv' && decodeBase64url(value) === null)
      throw new JwkError(`the key's member ${member} is malformed`)
    members[member] = value
  }
  if (kty === 'RSA') checkRsaSize(members['n'] ?? '', members['e'] ?? '')
  else if (CURVES[kty]?.includes(members['crv'] ?? '') !== true) throw new JwkError('the curve is unknown')
  return members
}

function checkRsaSize(n: string, e: string): void {
  const modulus = decodeBase64url(n) ?? new Uint8Array()
  const first = modulus.findIndex((octet) => octet !== 0)
  const bits = first === -1 ? 0 : (modulus.length - first) * 8 - (Math.clz32(modulus[first] ?? 0) - 24)
  if (bits < RSA_BITS.least || bits > RSA_BITS.most) throw new JwkError(`the RSA key is not of ${RSA_BITS.least} to ${RSA_BITS.most} bits`)
  const exponent = decodeBase64url(e) ?? new Uint8Array()
  const last = exponent.at(-1) ?? 0
  if (exponent.length > RSA_EXPONENT_OCTETS || last % 2 === 0 || (last === 1 && exponent.subarray(0, -1).every((octet) => octet === 0))) {
    throw new JwkError('the RSA exponent is out of range')
  }
}
