/**
 * Compact JWS and JWT (RFC 7515, RFC 7519, RFC 8725), verified over the bytes that were received. A token that fails is a value with a reason that
 * holds nothing of the token; only a programmer's mistake throws.
 */
import { decodeBase64url } from '../util/base64url.ts'
import { type ClaimFailure, type ClaimRules, checkClaims } from './claims.ts'
import { type JsonObject, parseJsonObject, textOf } from './json.ts'
import { ASYMMETRIC_ALGORITHMS, SYMMETRIC_ALGORITHMS, verifyHmac, verifySignature } from './jwa.ts'
import type { JwkSet, PublicJwk } from './jwks.ts'

/** Characters of a token that is read at all; longer ones are refused before any work (RFC 8725 asks for a bound). */
export const MAX_TOKEN_LENGTH = 16_384

const COMPACT_JWS = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*$/
const COMPACT_JWE = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/

/** The parts of a compact JWS that could be read. Nothing here is verified. */
export interface DecodedJws {
  readonly header: JsonObject & { readonly alg: string }
  readonly payload: Uint8Array<ArrayBuffer>
  readonly signature: Uint8Array<ArrayBuffer>
  /** what was signed: header and payload as received */
  readonly signingInput: string
}

/** True for a text of the shape of a compact JWS whose header is a JSON object with `alg`: what is verified locally. Everything else is opaque. */
export function isCompactJws(token: string, maxLength = MAX_TOKEN_LENGTH): boolean {
  if (token.length > maxLength || !COMPACT_JWS.test(token)) return false
  return headerOf(token) !== null
}

/** True for a text of the shape of a compact JWE (five parts). */
export function isCompactJwe(token: string, maxLength = MAX_TOKEN_LENGTH): boolean {
  return token.length <= maxLength && COMPACT_JWE.test(token)
}

/** Takes a compact JWS apart. Null when it is none, or longer than `maxLength` characters. */
export function decodeJws(token: string, maxLength = MAX_TOKEN_LENGTH): DecodedJws | null {
  if (token.length > maxLength || !COMPACT_JWS.test(token)) return null
  const header = headerOf(token)
  const payloadStart = token.indexOf('.') + 1
  const signatureStart = token.indexOf('.', payloadStart) + 1
  const payload = decodeBase64url(token.slice(payloadStart, signatureStart - 1))
  const signature = decodeBase64url(token.slice(signatureStart))
  if (header === null || payload === null || signature === null) return null
  return { header, payload, signature, signingInput: token.slice(0, signatureStart - 1) }
}

/** Header and claims of a JWT without any verification: for reading what a trusted server returned, never for a decision about a caller. */
export function decodeJwt(
  token: string,
  maxLength = MAX_TOKEN_LENGTH,
): { readonly header: DecodedJws['header']; readonly payload: JsonObject } | null {
  const jws = decodeJws(token, maxLength)
  const payload = jws === null ? null : parseJsonObject(jws.payload)
  return jws === null || payload === null ? null : { header: jws.header, payload }
}

/** What a signature is verified with. */
export interface SignatureRules {
  readonly keys: JwkSet
  /** algorithms that are accepted; default: every asymmetric one. HS algorithms count only with `secret`, `none` never */
  readonly algorithms?: ReadonlySet<string> | undefined
  /** secret for HS256, HS384 and HS512, of a text the UTF-8 bytes: giving one allows these algorithms */
  readonly secret?: string | Uint8Array | undefined
  readonly maxLength?: number | undefined
}

/** Why a JWS is refused before or by its signature. `no_matching_key` is the one that a newer key set may cure. */
export type SignatureFailure = 'malformed' | 'crit_unsupported' | 'alg_not_allowed' | 'no_matching_key' | 'bad_signature'

/** A JWS whose signature holds, or why not. `jwk` is null after an HMAC. */
export type JwsVerification =
  | { readonly ok: true; readonly header: DecodedJws['header']; readonly payload: Uint8Array<ArrayBuffer>; readonly jwk: PublicJwk | null }
  | { readonly ok: false; readonly reason: SignatureFailure }

/**
 * Verifies a compact JWS. In this order: shape; critical extensions (none is supported, nor `b64: false`); the algorithm against the list; keys of the
 * set by `kid` and kind, never from the token's own `jwk`, `jku`, `x5u` or `x5c`; the signature.
 */
export function verifyJws(token: string, rules: SignatureRules): JwsVerification {
  const jws = decodeJws(token, rules.maxLength)
  if (jws === null) return { ok: false, reason: 'malformed' }
  const { header } = jws
  const { alg } = header
  if (hasCriticalExtension(header)) return { ok: false, reason: 'crit_unsupported' }
  const data = Buffer.from(jws.signingInput, 'latin1')
  const accepted = (jwk: PublicJwk | null): JwsVerification => ({ ok: true, header, payload: jws.payload, jwk })

  if (SYMMETRIC_ALGORITHMS.has(alg)) {
    if (rules.secret === undefined || rules.algorithms?.has(alg) === false) return { ok: false, reason: 'alg_not_allowed' }
    return verifyHmac(alg, rules.secret, data, jws.signature) ? accepted(null) : { ok: false, reason: 'bad_signature' }
  }
  if (!ASYMMETRIC_ALGORITHMS.has(alg) || rules.algorithms?.has(alg) === false) return { ok: false, reason: 'alg_not_allowed' }
  const { kid } = header
  if (kid !== undefined && typeof kid !== 'string') return { ok: false, reason: 'malformed' }
  const candidates = rules.keys.find({ alg, kid })
  const signer = candidates.find(({ key }) => verifySignature(alg, key, data, jws.signature))
  if (signer !== undefined) return accepted(signer.jwk)
  // Without `kid` nobody can tell a wrong signature from a key that is not known yet
  return { ok: false, reason: candidates.length === 0 || kid === undefined ? 'no_matching_key' : 'bad_signature' }
}

/** What kind of JWT is expected, by its header `typ`. */
export type TypRule =
  /** an access token: `JWT`, `at+jwt` or none */
  | 'access-token'
  /** `JWT` or none: an ID token */
  | 'jwt'
  /** this type and no other, e.g. `at+jwt` (RFC 9068) or `token-introspection+jwt` (RFC 9701) */
  | { readonly exactly: string }
  | 'any'

/** Compares the header's `typ` with what is expected: without case and without a leading `application/` (RFC 7515 section 4.1.9, RFC 8725 section 3.11). */
export function hasTyp(header: JsonObject, rule: TypRule): boolean {
  if (rule === 'any') return true
  const { typ } = header
  if (typ === undefined) return typeof rule === 'string'
  if (typeof typ !== 'string') return false
  const type = shortType(typ)
  if (rule === 'access-token') return type === 'jwt' || type === 'at+jwt'
  return type === (rule === 'jwt' ? 'jwt' : rule.exactly.toLowerCase())
}

/** What a JWT is verified against. */
export interface JwtRules extends SignatureRules {
  readonly typ: TypRule
  /** null: the claims are not checked */
  readonly claims: ClaimRules | null
  /** false: the signature is not checked, for operators who asked for exactly that; default true */
  readonly verifySignature?: boolean | undefined
}

/** Why a JWT is refused. */
export type JwtFailure = SignatureFailure | 'wrong_typ' | 'payload_not_object' | ClaimFailure

/** A JWT that holds, or why not. `jwk` is null after an HMAC or an unchecked signature. */
export type JwtVerification =
  | { readonly ok: true; readonly header: DecodedJws['header']; readonly payload: JsonObject; readonly jwk: PublicJwk | null }
  | { readonly ok: false; readonly reason: JwtFailure }

/** Verifies a signed JWT: signature, `typ`, claims set, claims. */
export function verifyJwt(token: string, rules: JwtRules): JwtVerification {
  const jws = rules.verifySignature === false ? readUnverified(token, rules.maxLength) : verifyJws(token, rules)
  if (!jws.ok) return jws
  if (!hasTyp(jws.header, rules.typ)) return { ok: false, reason: 'wrong_typ' }
  const payload = parseJsonObject(jws.payload)
  if (payload === null) return { ok: false, reason: 'payload_not_object' }
  const failure = rules.claims === null ? null : checkClaims(payload, rules.claims)
  return failure === null ? { ok: true, header: jws.header, payload, jwk: jws.jwk } : { ok: false, reason: failure }
}

/** A `typ` or `cty` as it is compared: in lower case, without a leading `application/`. */
export function shortType(type: string): string {
  return type.toLowerCase().replace(/^application\//, '')
}

function readUnverified(token: string, maxLength: number | undefined): JwsVerification {
  const jws = decodeJws(token, maxLength)
  if (jws === null) return { ok: false, reason: 'malformed' }
  if (hasCriticalExtension(jws.header)) return { ok: false, reason: 'crit_unsupported' }
  return { ok: true, header: jws.header, payload: jws.payload, jwk: null }
}

/** No extension is understood here, so that any `crit`, also an empty one, is a reason to refuse (RFC 7515 section 4.1.11, RFC 7797 section 6). */
function hasCriticalExtension(header: JsonObject): boolean {
  return header['crit'] !== undefined || (header['b64'] !== undefined && header['b64'] !== true)
}

/** The header of a compact JWS or JWE; null where it is no JSON object with `alg`. */
export function headerOf(token: string): DecodedJws['header'] | null {
  const bytes = decodeBase64url(token.slice(0, token.indexOf('.')))
  const header = bytes === null ? null : parseJsonObject(bytes)
  const alg = textOf(header?.['alg'])
  return header === null || alg === undefined ? null : Object.assign(header, { alg })
}
