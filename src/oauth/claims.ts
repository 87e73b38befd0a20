/** Registered claims of tokens (RFC 7519 section 4.1, OpenID Connect Core sections 2 and 3.1.3.7), as values: a failed check is a reason, not an exception. */
import { createHash } from 'node:crypto'
import type { JsonObject, JsonValue } from './json.ts'

/** A number as JSON writes it. */
const NUMERIC_TEXT = /^-?\d{1,32}(?:\.\d{1,32})?(?:[eE][+-]?\d{1,3})?$/

/**
 * Reads a NumericDate (seconds, fractions allowed). Text that holds a number counts as that number: some servers quote it.
 *
 * @returns undefined when the claim is absent, null when it is there but no finite number
 */
export function numericDate(value: JsonValue | undefined): number | null | undefined {
  if (value === undefined) return undefined
  const number = typeof value === 'string' && NUMERIC_TEXT.test(value) ? Number(value) : value
  return typeof number === 'number' && Number.isFinite(number) ? number : null
}

/** Why a time claim refuses a token. */
export type TimeFailure =
  | 'exp_unreadable'
  | 'nbf_unreadable'
  | 'iat_unreadable'
  | 'auth_time_unreadable'
  | 'expired'
  | 'not_yet_valid'
  | 'issued_in_future'

/**
 * Checks `exp` (at that second the token has expired) and `nbf`, where present.
 *
 * @param nowS    seconds since the epoch
 * @param leewayS seconds by which clocks may differ
 */
export function checkValidity(claims: JsonObject, nowS: number, leewayS = 0): TimeFailure | null {
  const exp = numericDate(claims['exp'])
  if (exp === null) return 'exp_unreadable'
  const nbf = numericDate(claims['nbf'])
  if (nbf === null) return 'nbf_unreadable'
  if (exp !== undefined && exp <= nowS - leewayS) return 'expired'
  if (nbf !== undefined && nbf > nowS + leewayS) return 'not_yet_valid'
  return null
}

/** checkValidity, and `iat` and `auth_time` not in the future, where present. */
export function checkTimes(claims: JsonObject, nowS: number, leewayS = 0): TimeFailure | null {
  const failure = checkValidity(claims, nowS, leewayS)
  if (failure !== null) return failure
  const iat = numericDate(claims['iat'])
  if (iat === null) return 'iat_unreadable'
  const authTime = numericDate(claims['auth_time'])
  if (authTime === null) return 'auth_time_unreadable'
  if ((iat ?? 0) > nowS + leewayS || (authTime ?? 0) > nowS + leewayS) return 'issued_in_future'
  return null
}

/** True when two issuer identifiers are equal, code point by code point, apart from one slash at the end. */
export function sameIssuer(a: string, b: string): boolean {
  return withoutSlash(a) === withoutSlash(b)
}

/** The values of `aud`: one text or an array of them (RFC 7519 section 4.1.3). */
export function audiencesOf(claims: JsonObject): readonly string[] {
  const aud = claims['aud']
  if (typeof aud === 'string') return [aud]
  return Array.isArray(aud) ? aud.filter((item) => typeof item === 'string') : []
}

/** What an access token's claims are checked against. */
export interface ClaimRules {
  readonly nowS: number
  readonly leewayS?: number | undefined
  /** issuers of which one must be named; null: not compared */
  readonly issuers: readonly string[] | null
  /** claims that must be there; the rest is checked where present */
  readonly required?: readonly string[] | undefined
  /** audiences of which one must be named; null or absent: not compared */
  readonly audiences?: readonly string[] | null | undefined
  /** hosted domains of which one must be claim `hd` */
  readonly domains?: readonly string[] | null | undefined
  /** seconds since `auth_time` at most */
  readonly maxAgeS?: number | null | undefined
}

/** Why claims refuse a token. */
export type ClaimFailure =
  | TimeFailure
  | 'claim_missing'
  | 'wrong_issuer'
  | 'wrong_audience'
  | 'wrong_domain'
  | 'authentication_too_old'
  | 'wrong_azp'
  | 'wrong_nonce'
  | 'wrong_at_hash'
  | 'wrong_c_hash'

/** Checks `iss`, if present; null when it is allowed or absent. */
export function checkIssuer(claims: JsonObject, issuers: readonly string[]): 'wrong_issuer' | null {
  const iss = claims['iss']
  if (iss === undefined) return null
  return typeof iss === 'string' && issuers.some((issuer) => sameIssuer(issuer, iss)) ? null : 'wrong_issuer'
}

/** Checks the claims of an access token, or those that every JWT shares. Null when nothing speaks against it. */
export function checkClaims(claims: JsonObject, rules: ClaimRules): ClaimFailure | null {
  const { nowS, leewayS = 0 } = rules
  if (rules.required?.some((claim) => claims[claim] === undefined) === true) return 'claim_missing'
  if (rules.issuers !== null && checkIssuer(claims, rules.issuers) !== null) return 'wrong_issuer'
  const time = checkTimes(claims, nowS, leewayS)
  if (time !== null) return time
  if (rules.audiences != null && !audiencesOf(claims).some((audience) => rules.audiences?.includes(audience))) return 'wrong_audience'
  if (rules.domains != null && !rules.domains.some((domain) => domain === claims['hd'])) return 'wrong_domain'
  if (rules.maxAgeS != null) {
    const authTime = numericDate(claims['auth_time'])
    if (typeof authTime !== 'number' || authTime + rules.maxAgeS < nowS - leewayS) return 'authentication_too_old'
  }
  return null
}

/** What an ID token is checked against, beyond the rules of every token. */
export interface IdTokenRules extends ClaimRules {
  readonly issuers: readonly string[]
  readonly clientId: string
  /** the nonce that was sent; null: none was, or it is not compared */
  readonly nonce?: string | null | undefined
  /** what came beside the ID token: compared with `at_hash` and `c_hash` where these are present */
  readonly accessToken?: string | undefined
  readonly code?: string | undefined
}

/**
 * Checks an ID token's claims (OpenID Connect Core section 3.1.3.7): `iss`, `exp` and `aud` are required, `aud` contains the client, `azp` is the
 * client when there are several audiences or `azp` is present, `nonce`, and the hashes.
 *
 * @param alg algorithm of the ID token's signature, which names the hash
 * @param crv curve of its key, for EdDSA
 */
export function checkIdToken(claims: JsonObject, rules: IdTokenRules, alg: string, crv?: string): ClaimFailure | null {
  const required = ['iss', 'exp', ...(rules.required ?? [])]
  const failure = checkClaims(claims, { ...rules, required, audiences: [rules.clientId] })
  if (failure !== null) return failure
  if ((audiencesOf(claims).length > 1 || claims['azp'] !== undefined) && claims['azp'] !== rules.clientId) return 'wrong_azp'
  if (rules.nonce != null && claims['nonce'] !== rules.nonce) return 'wrong_nonce'
  if (rules.accessToken !== undefined && !hashFits(claims['at_hash'], rules.accessToken, alg, crv)) return 'wrong_at_hash'
  if (rules.code !== undefined && !hashFits(claims['c_hash'], rules.code, alg, crv)) return 'wrong_c_hash'
  return null
}

/**
 * The left half of the hash of an ASCII value, base64url: `at_hash` and `c_hash` (OpenID Connect Core section 3.1.3.6). Undefined for an unknown
 * algorithm.
 */
export function halfHash(value: string, alg: string, crv?: string): string | undefined {
  const hash = createHashOf(alg, crv)
  if (hash === undefined) return undefined
  const digest = hash.update(value, 'utf8').digest()
  return digest.subarray(0, digest.length / 2).toString('base64url')
}

function createHashOf(alg: string, crv: string | undefined): ReturnType<typeof createHash> | undefined {
  if (alg === 'Ed448' || (alg === 'EdDSA' && crv === 'Ed448')) return createHash('shake256', { outputLength: 114 })
  if (alg === 'Ed25519' || alg === 'EdDSA') return createHash('sha512')
  const bits = /^(?:RS|PS|ES|HS)(256|384|512)$/.exec(alg)?.[1]
  return bits === undefined ? undefined : createHash(`sha${bits}`)
}

function hashFits(claim: JsonValue | undefined, value: string, alg: string, crv: string | undefined): boolean {
  return claim === undefined || (typeof claim === 'string' && claim === halfHash(value, alg, crv))
}

/** An issuer identifier without one slash at the end. */
export function withoutSlash(issuer: string): string {
  return issuer.endsWith('/') ? issuer.slice(0, -1) : issuer
}
