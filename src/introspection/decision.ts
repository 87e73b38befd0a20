/** What becomes of a request (RFC 6750 section 3). A denial and a failure are values; every doubt is a denial. */
import type { Consumer } from '../entities/consumer-directory.ts'
import type { JsonObject } from '../oauth/json.ts'
import type { FailedAnswer } from './answer.ts'

export type Decision = Allow | Deny | Unavailable

/** The request may go on. Its identity headers have been written and its credentials hidden by now. */
export interface Allow {
  readonly kind: 'allow'
  readonly consumer: Consumer | null
  readonly credential: { readonly id: string | null; readonly [member: string]: unknown }
  readonly authenticatedGroups: readonly string[] | null
  /** Never logged. */
  readonly token: string
  readonly claims: JsonObject
  /** The answer is past its end and was used because the server fails: this says how. Null otherwise. */
  readonly stale: FailedAnswer | null
}

export type DenialCause =
  /** No token was sent: 401 without an error code (RFC 6750 section 3.1). */
  | 'no_token'
  | 'invalid_token'
  /** The token is good but not for this: scope, audience, role, forbidden claim. */
  | 'forbidden'
  | 'no_consumer'

/** The client's fault. */
export interface Deny {
  readonly kind: 'deny'
  readonly cause: DenialCause
  readonly status: number
  readonly error: string
  readonly description: string
  /** Value of WWW-Authenticate; null for none. */
  readonly challenge: string | null
  /** For the log: a static text. */
  readonly reason: string
  /** `error` where the server has a defect that somebody should see to. */
  readonly level: 'notice' | 'error'
  /** Another identity may take over: not after a valid token that is not allowed to do this. */
  readonly mayBeAnonymous: boolean
}

/** Nobody could tell: the authorization server's fault (503) or ours (500). No challenge: the token may be good. */
export interface Unavailable {
  readonly kind: 'unavailable'
  readonly status: 500 | 503
  readonly retryAfterS: number
  /** For the log: a static text. */
  readonly reason: string
  readonly failure: FailedAnswer
}

/** How a plugin words a denial. */
export interface DenialText {
  readonly status: number
  readonly error: string
  readonly description: string
  readonly challenge: string | null
}

/** The denials of one profile: each is made once, so that refusing a flood of bad tokens allocates nothing. */
export class Denials {
  readonly #texts: Readonly<Record<DenialCause, DenialText>>
  readonly #made = new Map<string, Deny>()

  constructor(texts: Readonly<Record<DenialCause, DenialText>>) {
    this.#texts = texts
  }

  /** @param reason static text: the number of different ones is bounded by the code */
  of(cause: DenialCause, reason: string): Deny {
    const known = this.#made.get(reason)
    if (known?.cause === cause) return known
    const level = reason === DEFECT ? 'error' : 'notice'
    const deny: Deny = { kind: 'deny', cause, ...this.#texts[cause], reason, level, mayBeAnonymous: cause !== 'forbidden' }
    this.#made.set(reason, deny)
    return deny
  }
}

/** Reason text of an answer that is not as RFC 7662 section 2.2 has it. */
export const DEFECT = 'the introspection endpoint answered without a boolean member "active"'

/** The decision where there is no answer. */
export function unavailable(failure: FailedAnswer): Unavailable {
  const { retryAfterS } = failure
  return {
    kind: 'unavailable',
    status: failure.failure === 'configuration' ? 500 : 503,
    retryAfterS,
    reason: REASONS[failure.failure],
    failure,
  }
}

const REASONS: Readonly<Record<FailedAnswer['failure'], string>> = {
  transport: 'the introspection endpoint could not be reached',
  timeout: 'the introspection endpoint did not answer in time',
  status: 'the introspection endpoint answered with a status that is no answer',
  malformed: 'the introspection endpoint sent a malformed answer',
  refused: "the introspection endpoint refuses the gateway's own credentials",
  suspended: 'the introspection endpoint is not asked for a moment after failures',
  saturated: 'too many introspection calls are under way',
  configuration: 'the introspection request cannot be made with this configuration',
}
