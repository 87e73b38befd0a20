/** What a plugin or a door may vary of introspection, made once for each configuration. The engine never sees a plugin's configuration. */
import { hash } from 'node:crypto'
import type { HttpRequest, HttpResponse } from '../oauth/http.ts'
import type { IntrospectionOutcome } from '../oauth/introspection.ts'
import type { JsonObject } from '../oauth/json.ts'
import type { AuthorizationRules } from './authorization.ts'
import type { ConsumerMapping } from './consumer-mapping.ts'
import type { Denials } from './decision.ts'
import type { HeaderProjection } from './header-projection.ts'
import type { IntrospectedRequest } from './request.ts'
import type { ExtractionPlan } from './token-extraction.ts'
import type { VerificationRules } from './verification.ts'

/** How long an answer is kept, in seconds. It never lives beyond the token's own `exp`. */
export interface Lifetimes {
  /** Life of an answer without `exp`. */
  readonly withoutExpS: number
  /** A shorter life is raised to this, but not beyond `exp`. */
  readonly minS: number
  /** A longer life is lowered to this; 0: nothing is kept. */
  readonly maxS: number
  /** Life of "not active". */
  readonly negativeS: number
  /** Time beyond its life for which an answer may stand in while the server fails; 0: never. */
  readonly staleS: number
}

/** The call: how it is put together and how its answer is read. */
export interface IntrospectionCall {
  /** Address without query and credentials: for logs, and as the name of the server. */
  readonly server: string
  /** Milliseconds for each step; the whole call may take three times as long. */
  readonly timeoutMs: number
  /** Idle connections are kept for this many milliseconds. */
  readonly keepaliveMs: number
  readonly verifyTls: boolean
  /** @throws (or rejects) when the configuration does not allow it: an inner fault, not one of the server */
  readonly request: (token: string, about: IntrospectedRequest) => HttpRequest | Promise<HttpRequest>
  /** Null: the gateway cannot tell. */
  readonly interpret: (response: HttpResponse, nowS: number) => IntrospectionOutcome | Promise<IntrospectionOutcome>
}

/** What it takes to know what the server says about a token. */
export interface InquiryProfile {
  /** Name for logs. */
  readonly name: string
  /** {@link fingerprintOf} all that an answer depends on besides the token. */
  readonly fingerprint: string
  readonly call: IntrospectionCall
  /** What of the request itself the answer depends on; null: nothing. Must not hold a line feed. */
  readonly variation: ((request: IntrospectedRequest) => string) | null
  readonly lifetimes: Lifetimes
}

/** What it takes to decide about a request. */
export interface Profile extends InquiryProfile {
  readonly extraction: ExtractionPlan
  readonly verification: VerificationRules
  readonly authorization: AuthorizationRules
  readonly consumer: ConsumerMapping
  readonly projection: HeaderProjection
  /** Members of the credential for loggers, from the claims. */
  readonly credential: (claims: JsonObject, tokenDigest: string) => { readonly id: string | null; readonly [member: string]: unknown }
  readonly hideCredentials: boolean
  readonly denials: Denials
}

/** An address without what may be secret in it: for logs, and as the name of a server. '' where it is none. */
export function serverOf(endpoint: string): string {
  const url = URL.parse(endpoint)
  return url === null ? '' : `${url.origin}${url.pathname}`
}

/**
 * One digest over everything that shapes an answer: two calls of equal fingerprint get the same answer for the same token. Secrets may be among the parts.
 *
 * @param parts owner, endpoint, client identity, hint, extra parameters and headers
 */
export function fingerprintOf(...parts: readonly (string | readonly unknown[] | null)[]): string {
  return hash('sha256', JSON.stringify(parts), 'base64url')
}
