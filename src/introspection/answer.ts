import type { HeaderLines } from '../http/headers.ts'
import type { InactiveReason } from '../oauth/introspection.ts'
import type { JsonObject } from '../oauth/json.ts'
import type { IntrospectionFailureKind } from '../telemetry/counters.ts'

/** The server says that the token is active. Never changed once made, apart from `prepared`: many requests share it. */
export interface ActiveAnswer {
  readonly kind: 'active'
  readonly claims: JsonObject
  /** The signed answer as received. */
  readonly jwt: string | null
  /** Lower-case hexadecimal SHA-256 of the token: names the credential without being one. */
  readonly tokenDigest: string
  /** `exp` in epoch milliseconds; infinite without one. */
  readonly expMs: number
  /** `nbf` in epoch milliseconds; minus infinity without one. */
  readonly nbfMs: number
  /** What the owner of the profile derives from the claims alone, once: header lines and the credential. */
  prepared: Prepared | null
}

/** Derived from an answer's claims by header-projection.ts and engine.ts. */
export interface Prepared {
  readonly claimHeaders: HeaderLines
  readonly credential: { readonly id: string | null; readonly [member: string]: unknown }
}

/** The server says that the token is not active, or what it says comes to that. */
export interface InactiveAnswer {
  readonly kind: 'inactive'
  readonly reason: InactiveReason
}

/** There is no answer. Never stored. */
export interface FailedAnswer {
  readonly kind: 'failed'
  readonly failure: IntrospectionFailureKind
  /** For the log: a static text or an error code, never text of a peer. */
  readonly detail: string
  /** Status of the endpoint's answer, where there was one. */
  readonly endpointStatus: number | null
  /** Seconds after which a client may try again. */
  readonly retryAfterS: number
}

/** An answer past its end, used because the server fails. */
export interface StaleAnswer {
  readonly kind: 'stale'
  readonly answer: ActiveAnswer
  readonly because: FailedAnswer
}

/** What a call to the endpoint comes to. */
export type Answer = ActiveAnswer | InactiveAnswer | FailedAnswer

/** Makes the value for "no answer". */
export function failed(
  failure: IntrospectionFailureKind,
  detail: string,
  { endpointStatus = null, retryAfterS = 1 }: { endpointStatus?: number | null; retryAfterS?: number } = {},
): FailedAnswer {
  return { kind: 'failed', failure, detail, endpointStatus, retryAfterS }
}
