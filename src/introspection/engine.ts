/**
 * Decides about a request by asking the authorization server about its token (RFC 7662).
 *
 * The server's answer is stored, never a decision: time, policy, Consumer and headers are looked at for each request. What has nothing to wait for is a plain
 * call, so that a request with a stored answer costs neither a promise nor a closure.
 */
import type { ConsumerDirectory } from '../entities/consumer-directory.ts'
import { HeaderLines } from '../http/headers.ts'
import type { JsonObject } from '../oauth/json.ts'
import type { Log } from '../telemetry/log.ts'
import type { ActiveAnswer, Answer, Prepared, StaleAnswer } from './answer.ts'
import { AUTHORIZATION_TEXTS, refuseByRules } from './authorization.ts'
import { mapConsumer, NO_CONSUMER } from './consumer-mapping.ts'
import { hideToken } from './credential-hiding.ts'
import { type Allow, type Decision, unavailable } from './decision.ts'
import { Introspector, type IntrospectorKit } from './introspector.ts'
import type { Profile } from './profile.ts'
import type { IntrospectedRequest } from './request.ts'
import { type Extraction, extractToken, type FoundToken } from './token-extraction.ts'
import { INACTIVE_TEXTS, refuseByClock } from './verification.ts'

/** Makes an engine for a profile. `close` it when the configuration is gone. */
export function createEngine(profile: Profile, kit: IntrospectorKit): Engine {
  return new Engine(profile, kit)
}

/** An introspector that also decides. */
export class Engine extends Introspector {
  readonly #profile: Profile
  readonly #log: Log
  readonly #now: () => number

  constructor(profile: Profile, kit: IntrospectorKit) {
    super(profile, kit)
    this.#profile = profile
    this.#log = kit.log
    this.#now = kit.now
  }

  /**
   * Decides. Where the answer is "allow", the request's credentials have been hidden and its identity headers written; otherwise it is as it was. A promise
   * comes back only where something has to be waited for; it rejects only when the client leaves before its body was read.
   */
  decide(request: IntrospectedRequest, consumers: ConsumerDirectory): Decision | Promise<Decision> {
    const extraction = extractToken(request, this.#profile.extraction)
    return extraction instanceof Promise
      ? extraction.then((found) => this.#decideOn(found, request, consumers))
      : this.#decideOn(extraction, request, consumers)
  }

  /** Removes the request's token, for a request that goes on although its token counts for nothing. */
  hideCredentials(request: IntrospectedRequest): void | Promise<void> {
    const { extraction: plan } = this.#profile
    const extraction = extractToken(request, plan)
    if (!(extraction instanceof Promise)) return extraction.kind === 'token' ? hideToken(request, plan, extraction) : undefined
    return extraction.then((found) => (found.kind === 'token' ? hideToken(request, plan, found) : undefined))
  }

  #decideOn(extraction: Extraction, request: IntrospectedRequest, consumers: ConsumerDirectory): Decision | Promise<Decision> {
    const { denials } = this.#profile
    if (extraction.kind === 'missing') return denials.of('no_token', 'the request has no token')
    if (extraction.kind === 'ambiguous') return denials.of('no_token', 'the request has several tokens')
    if (!extraction.wellFormed) return denials.of('invalid_token', 'the token is malformed')
    const answer = this.introspect(extraction.token, request)
    return answer instanceof Promise
      ? answer.then((late) => this.#judge(late, extraction, request, consumers))
      : this.#judge(answer, extraction, request, consumers)
  }

  /** verification → authorization → consumer → credentials hidden → headers */
  #judge(
    answer: Answer | StaleAnswer,
    found: FoundToken,
    request: IntrospectedRequest,
    consumers: ConsumerDirectory,
  ): Decision | Promise<Decision> {
    const profile = this.#profile
    if (answer.kind === 'failed') return unavailable(answer)
    if (answer.kind === 'inactive') return profile.denials.of('invalid_token', INACTIVE_TEXTS[answer.reason])
    const active = answer.kind === 'stale' ? answer.answer : answer

    const untimely = refuseByClock(active, profile.verification, this.#now())
    if (untimely !== null) return profile.denials.of('invalid_token', INACTIVE_TEXTS[untimely])

    const sources = [active.claims]
    const unsatisfied = refuseByRules(sources, profile.authorization)
    if (unsatisfied !== null) return profile.denials.of('forbidden', AUTHORIZATION_TEXTS[unsatisfied])

    const consumer = mapConsumer(sources, profile.consumer, consumers)
    if (consumer === null && !profile.consumer.optional) return profile.denials.of('no_consumer', NO_CONSUMER)

    const { credential, claimHeaders } = active.prepared ?? this.#prepare(active, sources)
    const allow: Allow = {
      kind: 'allow',
      consumer,
      credential,
      authenticatedGroups: null,
      token: found.token,
      claims: active.claims,
      stale: answer.kind === 'stale' ? answer.because : null,
    }
    const hiding = profile.hideCredentials ? hideToken(request, profile.extraction, found) : undefined
    if (hiding === undefined) return this.#project(allow, claimHeaders, request)
    return hiding.then(() => this.#project(allow, claimHeaders, request))
  }

  #project(allow: Allow, claimHeaders: HeaderLines, request: IntrospectedRequest): Allow {
    const { consumer, authenticatedGroups } = allow
    this.#profile.projection.write(request.headers, { consumer, authenticatedGroups, credentialIdentifier: null }, claimHeaders)
    return allow
  }

  /** What follows from the claims alone is worked out once for each answer. */
  #prepare(active: ActiveAnswer, sources: readonly JsonObject[]): Prepared {
    const { credential, name, projection } = this.#profile
    const warn = (header: string): void => this.#log.warn('a claim is too long for a header and is not sent', { plugin: name, header })
    const prepared = {
      claimHeaders: new HeaderLines(projection.prepare(sources, warn)),
      credential: Object.freeze(credential(active.claims, active.tokenDigest)),
    }
    active.prepared = prepared
    return prepared
  }
}
