/**
 * Decides about a request by asking the authorization server about its token (RFC 7662).
 *
 * The server's answer is stored, never a decision: time, policy, Consumer and headers are looked at for each request. What has nothing to wait for is a plain
 * call, so that a request with a stored answer costs neither a promise nor a closure.
 */
import { type Cache, isRefreshDue } from '../cache/cache.ts'
import type { ConsumerDirectory } from '../entities/consumer-directory.ts'
import { HeaderLines } from '../http/headers.ts'
import type { HttpClient } from '../oauth/http.ts'
import type { JsonObject } from '../oauth/json.ts'
import { createIntrospectionCounters, type IntrospectionCounters } from '../telemetry/counters.ts'
import type { Log } from '../telemetry/log.ts'
import type { ActiveAnswer, Answer, FailedAnswer, Prepared, StaleAnswer } from './answer.ts'
import { refuseByRules } from './authorization.ts'
import type { CallGuard } from './call-guard.ts'
import { CallGuards } from './call-guard.ts'
import { mapConsumer } from './consumer-mapping.ts'
import { hideToken } from './credential-hiding.ts'
import { type Allow, type Decision, unavailable } from './decision.ts'
import { createIntrospectionCache, IntrospectionCache, type IntrospectionCacheSettings } from './introspection-cache.ts'
import { IntrospectionClient } from './introspection-client.ts'
import type { Profile } from './profile.ts'
import { headOf, type IntrospectedRequest } from './request.ts'
import { type Extraction, extractToken, type FoundToken } from './token-extraction.ts'
import { INACTIVE_TEXTS, refuseByClock } from './verification.ts'

/** What all engines of a process share: memory for answers, and the bounds on calls to each server. */
export interface SharedIntrospection {
  readonly cache: Cache<Answer>
  readonly guards: CallGuards
}

/** Under this name the engines of a process find what they share. */
export const SHARED_NAME = 'introspection'

/** Makes what the engines of a process share. Lives as long as the process. @param now epoch milliseconds */
export function createSharedIntrospection(settings: IntrospectionCacheSettings, now: () => number): SharedIntrospection {
  return { cache: createIntrospectionCache(settings, now), guards: new CallGuards(now) }
}

/** What an engine needs from the gateway. */
export interface EngineKit {
  readonly log: Log
  /** Epoch milliseconds. */
  readonly now: () => number
  readonly settings: IntrospectionCacheSettings
  httpClient(options: { readonly timeoutMs: number; readonly keepaliveMs: number; readonly verifyTls: boolean }): HttpClient
  /** One object per name in this process, made at first use. */
  shared<T>(name: string, make: () => T): T
}

/** Makes an engine for a profile. `close` it when the configuration is gone. */
export function createEngine(profile: Profile, kit: EngineKit): Engine {
  return new Engine(profile, kit)
}

export class Engine {
  readonly counters: IntrospectionCounters = createIntrospectionCounters()
  readonly #profile: Profile
  readonly #log: Log
  readonly #now: () => number
  readonly #guards: CallGuards
  readonly #guard: CallGuard
  readonly #cache: IntrospectionCache
  readonly #client: IntrospectionClient
  #closed = false

  constructor(profile: Profile, kit: EngineKit) {
    const { cache, guards } = kit.shared(SHARED_NAME, () => createSharedIntrospection(kit.settings, kit.now))
    const { call } = profile
    this.#profile = profile
    this.#log = kit.log
    this.#now = kit.now
    this.#guards = guards
    this.#guard = guards.acquire(call.server)
    this.#cache = new IntrospectionCache(cache.space(), profile.fingerprint, profile.lifetimes, kit.now)
    this.#client = new IntrospectionClient(call, kit.httpClient(call), this.#guard, kit.now, this.counters)
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

  /** What the server says about a token: stored, or asked for. */
  introspect(token: string, request: IntrospectedRequest): Answer | StaleAnswer | Promise<Answer | StaleAnswer> {
    const { variation } = this.#profile
    const key = this.#cache.keyOf(token, variation === null ? '' : variation(request))
    const stored = this.#cache.peek(key)
    if (stored === undefined) return this.#ask(key, token, request)
    this.counters.hits++
    const answer = stored.value
    if (answer.kind === 'inactive') this.counters.negatives++
    else if (isRefreshDue(stored, this.#now()) && this.#guard.isIdle) {
      stored.refreshed = true
      this.#refresh(key, token, request)
    }
    return answer
  }

  /** Removes the request's token, for a request that goes on although its token counts for nothing. */
  hideCredentials(request: IntrospectedRequest): void | Promise<void> {
    const { extraction: plan } = this.#profile
    const extraction = extractToken(request, plan)
    if (!(extraction instanceof Promise)) return extraction.kind === 'token' ? hideToken(request, plan, extraction) : undefined
    return extraction.then((found) => (found.kind === 'token' ? hideToken(request, plan, found) : undefined))
  }

  /** Drops all stored answers; calls under way are repeated. */
  invalidateAll(): void {
    this.#cache.invalidateAll()
  }

  /** Drops the stored answer about a token; a call under way is repeated. For profiles whose answers depend on the token alone. */
  invalidate(token: string): void {
    this.#cache.invalidate(this.#cache.keyOf(token, ''))
  }

  /** Gives back what the engine has taken. Requests on their way still get their decision. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#cache.close()
    this.#guards.release(this.#profile.call.server)
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
    if (consumer === null && !profile.consumer.optional) return profile.denials.of('no_consumer', 'no consumer was found for the token')

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

  async #ask(key: string, token: string, request: IntrospectedRequest): Promise<Answer | StaleAnswer> {
    this.counters.misses++
    if (this.#cache.pending(key) !== undefined) this.counters.coalesced++
    const answer = await this.#cache.load(key, () => this.#client.introspect(token, request))
    return answer.kind === 'failed' ? this.#standIn(key, answer) : answer
  }

  /** A stored answer past its end in place of a failure of the server, if the profile allows. Not where the server refuses the gateway, which is an answer. */
  #standIn(key: string, because: FailedAnswer): FailedAnswer | StaleAnswer {
    if (because.failure === 'refused' || because.failure === 'configuration') return because
    const answer = this.#cache.stale(key)
    if (answer === undefined) return because
    this.counters.stale++
    return { kind: 'stale', answer, because }
  }

  /** Asks anew while requests go on with the stored answer. */
  #refresh(key: string, token: string, request: IntrospectedRequest): void {
    this.counters.refreshes++
    const about = headOf(request)
    this.#cache
      .load(key, () => this.#client.introspect(token, about))
      .then((answer) => {
        if (answer.kind !== 'failed') return
        const { name, call } = this.#profile
        const { failure, detail, endpointStatus: status } = answer
        this.#log.warn('a stored introspection answer could not be refreshed', {
          plugin: name,
          endpoint: call.server,
          failure,
          detail,
          status,
        })
      })
  }
}

const AUTHORIZATION_TEXTS = {
  scope: 'the token lacks a required scope',
  audience: 'the token is for another audience',
  groups: 'the token lacks a required group',
  roles: 'the token lacks a required role',
  forbidden_claim: 'the token has a forbidden claim',
} as const
