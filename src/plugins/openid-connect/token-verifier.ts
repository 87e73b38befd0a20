/**
 * Verifies access tokens and ID tokens that are JWTs, with the provider's keys. What was verified once is kept under the token's digest for as long as the
 * keys stay the same, so that a repeated token costs a digest and not a signature; its claims are judged anew each time, because time goes on.
 */
import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { type ClaimFailure, checkClaims, checkIdToken, checkIssuer } from '../../oauth/claims.ts'
import { type JsonObject, textOf } from '../../oauth/json.ts'
import { createJwkSet, type JwkSet, type PublicJwk } from '../../oauth/jwks.ts'
import { decodeJws, isCompactJws, type JwsVerification, type JwtFailure, type TypRule, verifyJws, verifyJwt } from '../../oauth/jwt.ts'
import type { Client } from './clients.ts'
import type { Issuer, IssuerData, IssuerPolicy } from './issuers.ts'
import { andThen, type Soon } from './soon.ts'

/** A JWT whose signature holds, or was not to be checked. Immutable; one object for all requests with the token as long as it is kept. */
export interface VerifiedJwt {
  readonly ok: true
  readonly claims: JsonObject
  readonly alg: string
  /** The key that made the signature; null after an HMAC or an unchecked signature. */
  readonly jwk: PublicJwk | null
  /** Keys that it was verified with; null: none. */
  readonly keys: JwkSet | null
}

/** Why a JWT is refused. `keys_unreachable`: nobody can tell, the provider's keys could not be had. */
export interface RefusedJwt {
  readonly ok: false
  readonly reason: JwtFailure | 'keys_unreachable' | 'wrong_session'
  /** Where the claims were read and refused. */
  readonly claims?: JsonObject
}

/** What a configuration asks of every JWT. */
export interface VerifierRules {
  /** Digest of the configuration: equal tokens of other configurations are verified on their own. */
  readonly fingerprint: string
  readonly verifySignature: boolean
  readonly verifyClaims: boolean
  readonly allowHmac: boolean
  readonly leewayS: number
  /** In place of the provider's own name. */
  readonly issuersAllowed: readonly string[] | null
  readonly domains: readonly string[] | null
  readonly maxAgeS: number | null
}

/** How one token is looked at. */
export interface JwtUse {
  readonly client: Client
  readonly typ: TypRule
  /** False: by `ignore_signature`. */
  readonly verifySignature: boolean
}

/** What was verified in a process, bounded in number and bytes. */
export type VerifiedJwts = LRUCache<string, VerifiedJwt>

/** Bytes of all verified tokens together. */
const MAX_BYTES = 33_554_432
/** Claims as objects against the characters of a token. */
const BYTES_PER_CHARACTER = 6

/** Makes the memory of a process. */
export function createVerifiedJwts(maxEntries: number): VerifiedJwts {
  return new LRUCache({ max: maxEntries, maxSize: MAX_BYTES })
}

const NO_KEYS = createJwkSet([])

/** Verification by the rules of one configuration; what was verified is the process's. */
export class TokenVerifier {
  readonly #rules: VerifierRules
  readonly #issuer: Issuer
  readonly #policy: IssuerPolicy
  readonly #verified: VerifiedJwts
  readonly #now: () => number

  constructor(rules: VerifierRules, issuer: Issuer, policy: IssuerPolicy, verified: VerifiedJwts, now: () => number) {
    this.#rules = rules
    this.#issuer = issuer
    this.#policy = policy
    this.#verified = verified
    this.#now = now
  }

  /** Verifies an access token. A promise comes back only where metadata or keys have to be fetched. Null: the token is not a JWT. */
  verify(token: string, use: JwtUse): Soon<VerifiedJwt | RefusedJwt | null> {
    const unsigned = !this.#rules.verifySignature || !use.verifySignature
    const key = this.#keyOf(token, use, unsigned)
    const stored = this.#verified.get(key)
    // What was verified before needs no second look at its shape.
    if (stored === undefined && !isCompactJws(token)) return null
    return andThen(this.#issuer.known(this.#policy), (data) => {
      if (stored !== undefined && (stored.keys === null || stored.keys === data?.keys)) return this.#judge(stored, data)
      return andThen(this.#verifyNew(token, use, unsigned, data), (result) => {
        if (!result.ok) return result
        const judged = this.#judge(result, this.#issuer.current(this.#policy))
        if (judged.ok) this.#verified.set(key, judged, { size: token.length * BYTES_PER_CHARACTER })
        return judged
      })
    })
  }

  /** Verifies an ID token that came with an access token from the token endpoint. */
  verifyIdToken(token: string, accessToken: string, use: Omit<JwtUse, 'typ'>): Soon<VerifiedJwt | RefusedJwt> {
    return andThen(this.#issuer.known(this.#policy), (data) => {
      const unsigned = !this.#rules.verifySignature || !use.verifySignature
      return andThen(this.#verifyNew(token, { ...use, typ: 'jwt' }, unsigned, data), (result) => {
        if (!result.ok || use.client.id === null) return result
        const failure = this.#refuseIdToken(result, accessToken, use.client.id)
        return failure === null ? result : { ok: false, reason: failure }
      })
    })
  }

  /** Verifies nothing but the signature, for an introspection answer that is a JWT. */
  verifySignature(jws: string, use: Omit<JwtUse, 'typ'>): Soon<JwsVerification> {
    const maxLength = jws.length
    if (!this.#rules.verifySignature || !use.verifySignature) {
      const read = decodeJws(jws, maxLength)
      return read === null ? { ok: false, reason: 'malformed' } : { ok: true, header: read.header, payload: read.payload, jwk: null }
    }
    const attempt = (data: IssuerData | null): JwsVerification =>
      verifyJws(jws, { keys: data?.keys ?? NO_KEYS, secret: this.#secretOf(use.client), maxLength })
    const data = this.#issuer.current(this.#policy)
    const first = attempt(data)
    if (first.ok || first.reason !== 'no_matching_key') return first
    return andThen(this.#issuer.newerThan(data, this.#policy), (newer) => (newer === null ? first : attempt(newer)))
  }

  /** Issuers whose tokens are accepted. */
  issuersFor(data: IssuerData | null): readonly string[] {
    return this.#rules.issuersAllowed ?? [data?.issuer ?? this.#issuer.label]
  }

  /** A token whose key is not known is worth an attempt to get newer keys; what no key could cure is not. */
  #verifyNew(token: string, use: JwtUse, unsigned: boolean, data: IssuerData | null): Soon<VerifiedJwt | RefusedJwt> {
    const first = this.#attempt(token, use, unsigned, data)
    if (first.ok || first.reason !== 'no_matching_key') return first
    return andThen(this.#issuer.newerThan(data, this.#policy), (newer) => {
      if (newer !== null) return this.#attempt(token, use, unsigned, newer)
      return data?.keys == null && this.#issuer.failed ? { ok: false, reason: 'keys_unreachable' } : first
    })
  }

  #attempt(token: string, { client, typ }: JwtUse, unsigned: boolean, data: IssuerData | null): VerifiedJwt | RefusedJwt {
    const keys = data?.keys ?? NO_KEYS
    const result = verifyJwt(token, { keys, typ, claims: null, verifySignature: !unsigned, secret: this.#secretOf(client) })
    if (!result.ok) return { ok: false, reason: result.reason }
    const { header, payload, jwk } = result
    return { ok: true, claims: payload, alg: header.alg, jwk, keys: jwk === null ? null : keys }
  }

  #secretOf({ secret }: Client): string | undefined {
    return this.#rules.allowHmac && secret !== null ? secret : undefined
  }

  /** Applies the rules for claims at this time. */
  #judge(verified: VerifiedJwt, data: IssuerData | null): VerifiedJwt | RefusedJwt {
    const failure = this.#refuseClaims(verified.claims, data)
    return failure === null ? verified : { ok: false, reason: failure, claims: verified.claims }
  }

  #refuseClaims(claims: JsonObject, data: IssuerData | null): ClaimFailure | null {
    const { verifyClaims, issuersAllowed, leewayS, domains, maxAgeS } = this.#rules
    if (verifyClaims) {
      const required = issuersAllowed === null ? NONE : ISS
      return checkClaims(claims, { nowS: this.#now() / 1000, leewayS, issuers: this.issuersFor(data), required, domains, maxAgeS })
    }
    // The list of issuers is the operator's own and holds even where claims are not looked at.
    if (issuersAllowed === null) return null
    return claims['iss'] === undefined ? 'claim_missing' : checkIssuer(claims, issuersAllowed)
  }

  #refuseIdToken({ claims, alg, jwk }: VerifiedJwt, accessToken: string, clientId: string): ClaimFailure | null {
    const data = this.#issuer.current(this.#policy)
    const { verifyClaims, leewayS, domains, maxAgeS } = this.#rules
    if (!verifyClaims) return this.#refuseClaims(claims, data)
    const rules = { nowS: this.#now() / 1000, leewayS, issuers: this.issuersFor(data), domains, maxAgeS, clientId, accessToken }
    return checkIdToken(claims, rules, alg, textOf(jwk?.['crv']))
  }

  /** No token is a key. The client counts where its secret may have made the signature. */
  #keyOf(token: string, { client, typ }: JwtUse, unsigned: boolean): string {
    const text = `${this.#rules.fingerprint}${client.index}${unsigned ? 'u' : 's'}${typ === 'access-token' ? '' : '*'}\n${token}`
    return hash('sha256', text, 'base64url')
  }
}

const NONE: readonly string[] = []
const ISS: readonly string[] = ['iss']

/** The log's words for why a JWT is refused; all static. */
export const JWT_REASONS: Readonly<Record<RefusedJwt['reason'], string>> = {
  malformed: 'the token is malformed',
  crit_unsupported: 'the token demands an extension that is not supported',
  alg_not_allowed: 'the signature algorithm of the token is not allowed',
  no_matching_key: 'no key of the provider fits the token',
  bad_signature: 'the signature of the token is invalid',
  wrong_typ: 'the token is of another type',
  payload_not_object: 'the payload of the token is not an object',
  claim_missing: 'a claim that must be there is missing in the token',
  exp_unreadable: 'exp of the token is not a number',
  nbf_unreadable: 'nbf of the token is not a number',
  iat_unreadable: 'iat of the token is not a number',
  auth_time_unreadable: 'auth_time of the token is not a number',
  expired: 'the token has expired',
  not_yet_valid: 'the token is not valid yet',
  issued_in_future: 'the token was issued in the future',
  wrong_issuer: 'the token is of another issuer',
  wrong_audience: 'the token is for another audience',
  wrong_domain: 'the token is of another domain',
  authentication_too_old: 'the authentication is too long ago',
  wrong_azp: 'the token was issued to another party',
  wrong_nonce: 'the nonce of the token differs',
  wrong_at_hash: 'the ID token does not belong to the access token',
  wrong_c_hash: 'the ID token does not belong to the code',
  keys_unreachable: 'the keys of the provider could not be fetched',
  wrong_session: 'the session cookie does not fit the token',
}
