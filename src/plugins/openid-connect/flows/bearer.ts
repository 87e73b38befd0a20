/** A bearer token that is a JWT is verified with the provider's keys; no call is made for it, unless the operator wants revocation to be noticed. */
import { numericDate } from '../../../oauth/claims.ts'
import { cookieOf } from '../credentials.ts'
import type { Evidence } from '../evidence.ts'
import { andThen, type Soon } from '../soon.ts'
import { JWT_REASONS, type RefusedJwt, type VerifiedJwt } from '../token-verifier.ts'
import type { IntrospectionFlow } from './introspection.ts'
import { type Flow, type FlowParts, type Outcome, type TokenAttempt, unauthorized, unreachable } from './outcome.ts'

/** Method `bearer`. */
export class BearerFlow implements Flow<TokenAttempt> {
  readonly #parts: FlowParts
  readonly #introspection: IntrospectionFlow
  readonly #evidence = new WeakMap<VerifiedJwt, Evidence>()

  /** @param introspection asked about verified tokens where `introspect_jwt_tokens` is set */
  constructor(parts: FlowParts, introspection: IntrospectionFlow) {
    this.#parts = parts
    this.#introspection = introspection
  }

  authenticate(attempt: TokenAttempt): Soon<Outcome> {
    const { token, client } = attempt
    const verified = this.#parts.verifier.verify(token.token, { client, typ: 'access-token', verifySignature: true })
    return andThen(verified, (result) => {
      if (result === null) return NOT_A_JWT
      return result.ok ? this.#conclude(result, attempt) : this.#refuse(result)
    })
  }

  close(): void {
    // The memory of verified tokens is the process's own.
  }

  #conclude(verified: VerifiedJwt, { request, client, token }: TokenAttempt): Soon<Outcome> {
    const { config } = this.#parts
    const { jwt_session_cookie: cookie, jwt_session_claim: claim } = config
    if (cookie !== null && cookie !== '') {
      const session = verified.claims[claim ?? 'sid']
      if (typeof session !== 'string' || session === '' || cookieOf(request, cookie) !== session)
        return unauthorized(JWT_REASONS.wrong_session)
    }
    if (config.introspect_jwt_tokens !== true) {
      return { kind: 'authenticated', evidence: this.#evidenceOf(verified), accessToken: token.token, stale: null }
    }
    return andThen(this.#introspection.introspect(token.token, client, request, verified), (outcome) =>
      outcome.kind === 'not-applicable' ? unauthorized(outcome.reason) : outcome,
    )
  }

  #evidenceOf(verified: VerifiedJwt): Evidence {
    const known = this.#evidence.get(verified)
    if (known !== undefined) return known
    const made = this.#parts.evidence.make({ accessToken: verified.claims, accessTokenJwk: verified.jwk })
    this.#evidence.set(verified, made)
    return made
  }

  #refuse({ reason, claims }: RefusedJwt): Outcome {
    if (reason === 'keys_unreachable') return unreachable(this.#parts, JWT_REASONS[reason])
    const { verifier, issuer, issuerPolicy } = this.#parts
    const expected = reason === 'wrong_issuer' ? { expected_iss: verifier.issuersFor(issuer.current(issuerPolicy)).join(' ') } : {}
    return unauthorized(JWT_REASONS[reason], { ...membersOf(claims), ...expected })
  }
}

const NOT_A_JWT: Outcome = { kind: 'not-applicable', reason: 'the token is not a JWT' }

/** What helps to see why claims were refused, for the log: who issued the token, and when it ends. Bounded and without control characters. */
function membersOf(claims: RefusedJwt['claims']): { readonly token_iss?: string; readonly token_exp?: number } {
  const { iss, exp } = claims ?? {}
  const seconds = numericDate(exp)
  return {
    ...(typeof iss === 'string' ? { token_iss: iss.slice(0, MAX_LOGGED).replace(/[^\x20-\x7e]/g, '?') } : {}),
    ...(typeof seconds === 'number' ? { token_exp: seconds } : {}),
  }
}

const MAX_LOGGED = 256
