/** What a flow comes to, and what all flows are made from. */
import type { FailedAnswer } from '../../../introspection/answer.ts'
import type { IntrospectedRequest } from '../../../introspection/request.ts'
import type { FoundToken } from '../../../introspection/token-extraction.ts'
import { endpointOf } from '../../../oauth/metadata.ts'
import type { PluginKit } from '../../../plugin/kit.ts'
import type { LogMembers } from '../../../telemetry/log.ts'
import type { ClientAuthenticator } from '../client-authentication.ts'
import type { Client } from '../clients.ts'
import type { FoundPair } from '../credentials.ts'
import type { Evidence, EvidenceMaker } from '../evidence.ts'
import type { Issuer, IssuerData, IssuerPolicy } from '../issuers.ts'
import type { Config } from '../schema.ts'
import { andThen, type Soon } from '../soon.ts'
import type { TokenVerifier } from '../token-verifier.ts'

/** The request is who the evidence says. */
export interface Authenticated {
  readonly kind: 'authenticated'
  readonly evidence: Evidence
  /** What is forwarded; never logged. */
  readonly accessToken: string
  /** An answer past its end stands in because the server fails: this says how. */
  readonly stale: FailedAnswer | null
}

/** The credential counts for nothing. */
export interface Unauthorized {
  readonly kind: 'unauthorized'
  /** For the log and, where the operator asks for it, for the caller: a static text. */
  readonly reason: string
  readonly members?: LogMembers
  /** The provider's own words, cleaned: for the log, and for the caller where the operator shows errors. */
  readonly providerError?: string
}

/** Nobody could tell: the provider's fault (503) or that of our configuration (500). */
export interface Unexpected {
  readonly kind: 'unexpected'
  readonly status: 500 | 503
  readonly retryAfterS: number
  readonly reason: string
  readonly members?: LogMembers
}

/** The flow does not apply to this credential; another one may. */
export interface NotApplicable {
  readonly kind: 'not-applicable'
  readonly reason: string
}

/** Not applicable in every flow means that nothing authenticates the request. */
export type Outcome = Authenticated | Unauthorized | Unexpected | NotApplicable

/** One request with what it presents. */
export interface Attempt {
  readonly request: IntrospectedRequest
  readonly client: Client
}

/** With a well-formed token. */
export interface TokenAttempt extends Attempt {
  readonly token: FoundToken
}

/** With a user's name and password. */
export interface PairAttempt extends Attempt {
  readonly pair: FoundPair
}

/** A way to authenticate a request by one kind of credential. */
export interface Flow<A extends Attempt> {
  /** Rejects only when the client leaves before its body was read. */
  authenticate(attempt: A): Soon<Outcome>
  close(): void
}

/** What flows are made from; one for each configuration. */
export interface FlowParts {
  readonly config: Config
  readonly kit: PluginKit
  readonly issuer: Issuer
  readonly issuerPolicy: IssuerPolicy
  readonly verifier: TokenVerifier
  readonly authenticator: ClientAuthenticator
  readonly evidence: EvidenceMaker
}

/** @param reason static text */
export function unauthorized(reason: string, members?: LogMembers): Unauthorized {
  return members === undefined ? { kind: 'unauthorized', reason } : { kind: 'unauthorized', reason, members }
}

/** The provider as a whole gave no answer, or none that is one. @param endpoint where, without query */
export function unexpected(answer: FailedAnswer, reason: string, endpoint: string): Unexpected {
  const { failure, detail, endpointStatus, retryAfterS } = answer
  const members = { endpoint, failure, detail, endpoint_status: endpointStatus }
  return { kind: 'unexpected', status: failure === 'configuration' ? 500 : 503, retryAfterS, reason, members }
}

/** Keys or metadata could not be had. */
export function unreachable({ issuer, issuerPolicy }: Pick<FlowParts, 'issuer' | 'issuerPolicy'>, reason: string): Unexpected {
  return { kind: 'unexpected', status: 503, retryAfterS: issuer.retryAfterS(issuerPolicy), reason }
}

/** An endpoint of the provider, and what is known of the provider. */
export interface Located {
  /** The configured one, else that of the metadata; undefined: neither. */
  readonly endpoint: string | undefined
  readonly data: IssuerData | null
}

/** Finds an endpoint. Where it is configured, nobody waits for metadata beyond the very first attempt to get it. */
export function locate({ config, issuer, issuerPolicy }: FlowParts, name: 'introspection_endpoint' | 'token_endpoint'): Soon<Located> {
  const configured = config[name]
  return andThen(configured === null ? issuer.known(issuerPolicy) : issuer.atHand(issuerPolicy), (data) => {
    const endpoint = configured ?? (data?.metadata == null ? undefined : endpointOf(data.metadata, name))
    return { endpoint, data }
  })
}

/** What comes of an endpoint that was not found: it is not known because the provider is away, or there is none. @param reason for the latter */
export function unlocated(parts: FlowParts, data: IssuerData | null, reason: string): Unexpected | NotApplicable {
  if (data?.metadata == null && parts.issuer.failed && !parts.config.using_pseudo_issuer) {
    return unreachable(parts, 'the discovery document could not be fetched')
  }
  return { kind: 'not-applicable', reason }
}
