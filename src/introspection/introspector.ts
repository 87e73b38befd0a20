/**
 * Knows what the authorization server says about a token (RFC 7662): from memory, from a call under way, or by asking; where the server fails, from an answer
 * past its end if the profile allows. What has nothing to wait for is a plain call.
 */
import { type Cache, isRefreshDue } from '../cache/cache.ts'
import type { HttpClient } from '../oauth/http.ts'
import type { IntrospectionCounters } from '../telemetry/counters.ts'
import type { Log } from '../telemetry/log.ts'
import { MetricRegistry, metricsOf } from '../telemetry/metrics.ts'
import { currentSpan } from '../telemetry/trace.ts'
import type { Answer, FailedAnswer, StaleAnswer } from './answer.ts'
import { type CallGuard, CallGuards } from './call-guard.ts'
import { createIntrospectionCache, IntrospectionCache, type IntrospectionCacheSettings } from './introspection-cache.ts'
import { IntrospectionClient } from './introspection-client.ts'
import { IntrospectionMeters } from './meters.ts'
import type { InquiryProfile } from './profile.ts'
import { headOf, type IntrospectedRequest } from './request.ts'

/** What all introspectors of a process share: memory for answers, the bounds on calls to each server, and the numbers that operators see. */
export interface SharedIntrospection {
  readonly cache: Cache<Answer>
  readonly guards: CallGuards
  readonly meters: IntrospectionMeters
}

/** Under this name the introspectors of a process find what they share. */
export const SHARED_NAME = 'introspection'

/** Makes what the introspectors of a process share. Lives as long as the process. @param now epoch milliseconds */
export function createSharedIntrospection(
  settings: IntrospectionCacheSettings,
  now: () => number,
  metrics: MetricRegistry = new MetricRegistry(),
): SharedIntrospection {
  const cache = createIntrospectionCache(settings, now)
  const guards = new CallGuards(now)
  return { cache, guards, meters: new IntrospectionMeters(metrics, cache, guards) }
}

/** What the introspectors of this kit's process share. */
export function sharedIntrospectionOf(kit: Pick<IntrospectorKit, 'settings' | 'now' | 'shared'>): SharedIntrospection {
  return kit.shared(SHARED_NAME, () => createSharedIntrospection(kit.settings, kit.now, metricsOf(kit)))
}

/** What an introspector needs from the gateway. */
export interface IntrospectorKit {
  /** Id of the plugin entity, for metrics. */
  readonly pluginId?: string
  readonly log: Log
  /** Epoch milliseconds. */
  readonly now: () => number
  readonly settings: IntrospectionCacheSettings
  httpClient(options: { readonly timeoutMs: number; readonly keepaliveMs: number; readonly verifyTls: boolean }): HttpClient
  /** One object per name in this process, made at first use. */
  shared<T>(name: string, make: () => T): T
}

/**
 * Attribute of a traced plugin's span, where the answer came from: `hit` (memory), `miss` (asked for), `coalesced` (from the call of another request), `stale`
 * (past its end, because the server fails) or `failed` (none).
 */
const RESULT = 'sallyport.introspection.result'

/** `close` it when the configuration is gone. */
export class Introspector {
  /** Of this configuration at this endpoint: they go on where an introspector takes the place of another. */
  readonly counters: IntrospectionCounters
  readonly #profile: InquiryProfile
  readonly #log: Log
  readonly #now: () => number
  readonly #guards: CallGuards
  readonly #guard: CallGuard
  readonly #cache: IntrospectionCache
  readonly #client: IntrospectionClient
  #closed = false

  constructor(profile: InquiryProfile, kit: IntrospectorKit) {
    const { cache, guards, meters } = sharedIntrospectionOf(kit)
    const { call } = profile
    this.#profile = profile
    this.#log = kit.log
    this.#now = kit.now
    this.#guards = guards
    this.#guard = guards.acquire(call.server)
    this.#cache = new IntrospectionCache(cache.space(), profile.fingerprint, profile.lifetimes, kit.now)
    const meter = meters.of(profile.name, kit.pluginId ?? '', call.server)
    this.counters = meter.counters
    this.#client = new IntrospectionClient(call, kit.httpClient(call), this.#guard, kit.now, meter)
  }

  /** What the server says about a token: stored, or asked for. */
  introspect(token: string, request: IntrospectedRequest): Answer | StaleAnswer | Promise<Answer | StaleAnswer> {
    const { variation } = this.#profile
    const key = this.#cache.keyOf(token, variation === null ? '' : variation(request))
    const stored = this.#cache.peek(key)
    if (stored === undefined) return this.#ask(key, token, request)
    this.counters.hits++
    currentSpan()?.set(RESULT, 'hit')
    const answer = stored.value
    if (answer.kind === 'inactive') this.counters.negatives++
    else if (isRefreshDue(stored, this.#now()) && this.#guard.isIdle) {
      stored.refreshed = true
      this.#refresh(key, token, request)
    }
    return answer
  }

  /** Drops all stored answers; calls under way are repeated. */
  invalidateAll(): void {
    this.#cache.invalidateAll()
  }

  /** Drops the stored answer about a token; a call under way is repeated. For profiles whose answers depend on the token alone. */
  invalidate(token: string): void {
    this.#cache.invalidate(this.#cache.keyOf(token, ''))
  }

  /** Gives back what was taken. Requests on their way still get their answer. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#cache.close()
    this.#guards.release(this.#profile.call.server)
  }

  async #ask(key: string, token: string, request: IntrospectedRequest): Promise<Answer | StaleAnswer> {
    this.counters.misses++
    const coalesced = this.#cache.pending(key) !== undefined
    if (coalesced) this.counters.coalesced++
    const span = currentSpan()
    const answer = await this.#cache.load(key, () => this.#client.introspect(token, request))
    const told = answer.kind === 'failed' ? this.#standIn(key, answer) : answer
    span?.set(RESULT, told.kind === 'failed' || told.kind === 'stale' ? told.kind : coalesced ? 'coalesced' : 'miss')
    return told
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
