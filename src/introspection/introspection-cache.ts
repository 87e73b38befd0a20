/**
 * Stored answers of one profile. The contract is that of cache/cache.ts; here is what a key is and how long an answer lives.
 *
 * Key: SHA-256 over the profile's fingerprint, the token, and what of the request the answer depends on. No token is ever a key or part of a value.
 *
 * Life of an active answer: `exp` − now, or the profile's time for answers without `exp`; raised to its minimum, lowered to its maximum; never beyond `exp`,
 * also not as a stale one. "Not active" lives for a short time of its own, and only where the server itself said so. Any other word of the server that the
 * token is not good ends a stored active answer too, but is not kept. A failure leaves what is stored to its own end.
 *
 * Refresh ahead: an entry that has been hit and whose end comes from a setting, not from `exp`, may be asked about again within the last tenth of its life
 * (1 to 10 s). Entries that live less than {@link MIN_REFRESHED_LIFE_MS} are left alone: whoever sets so short a life counts on it, and the tenth would be
 * less than the time of a call.
 */
import { hash } from 'node:crypto'
import { Cache, type CacheEntry, type CacheSpace, type Loaded } from '../cache/cache.ts'
import type { ActiveAnswer, Answer } from './answer.ts'
import type { CallResult } from './introspection-client.ts'
import type { Lifetimes } from './profile.ts'

/** Settings of the cache that all profiles of a process share. */
export interface IntrospectionCacheSettings {
  readonly introspection_cache_max_entries: number
  readonly introspection_cache_negative_max_entries: number
  readonly introspection_cache_max_bytes: number
}

const MIN_REFRESHED_LIFE_MS = 10_000
const MIN_REFRESH_WINDOW_MS = 1000
const MAX_REFRESH_WINDOW_MS = 10_000
/** Bytes of an entry besides the claims: key, entry, digest, credential. */
const ENTRY_BYTES = 1024
/** Parsed claims and header lines against the bytes of the answer's body. */
const BYTES_PER_BODY_BYTE = 4

/** The cache of a process. */
export function createIntrospectionCache(settings: IntrospectionCacheSettings, now: () => number): Cache<Answer> {
  return new Cache<Answer>({
    maxEntries: settings.introspection_cache_max_entries,
    maxBytes: settings.introspection_cache_max_bytes,
    maxNegativeEntries: settings.introspection_cache_negative_max_entries,
    now,
  })
}

export class IntrospectionCache {
  readonly #space: CacheSpace<Answer>
  readonly #fingerprint: string
  readonly #lifetimes: Lifetimes
  readonly #now: () => number

  constructor(space: CacheSpace<Answer>, fingerprint: string, lifetimes: Lifetimes, now: () => number) {
    this.#space = space
    this.#fingerprint = fingerprint
    this.#lifetimes = lifetimes
    this.#now = now
  }

  /** The key of a token. @param variation what of the request the answer depends on; '' for nothing */
  keyOf(token: string, variation: string): string {
    // A token holds no line feed, so that the parts cannot run into each other.
    const text = variation === '' ? this.#fingerprint + token : `${this.#fingerprint}${token}\n${variation}`
    return hash('sha256', text, 'latin1')
  }

  /** The stored answer, or undefined. */
  peek(key: string): CacheEntry<Answer> | undefined {
    return this.#space.peek(key)
  }

  /** The call for `key` that is under way, if there is one. */
  pending(key: string): Promise<Answer> | undefined {
    return this.#space.pending(key)
  }

  /** Asks, or joins the call that is under way. */
  load(key: string, call: () => Promise<CallResult>): Promise<Answer> {
    return this.#space.load(key, async () => this.#toLoaded(await call()))
  }

  /** The answer past its end that may stand in while the server fails, or undefined. */
  stale(key: string): ActiveAnswer | undefined {
    if (this.#lifetimes.staleS <= 0) return undefined
    const answer = this.#space.stale(key)
    return answer?.kind === 'active' ? answer : undefined
  }

  /** Drops what is known of one key; a call under way is repeated. */
  invalidate(key: string): void {
    this.#space.invalidate(key)
  }

  /** Drops all answers of this profile; calls under way are repeated. */
  invalidateAll(): void {
    this.#space.invalidateAll()
  }

  close(): void {
    this.#space.close()
  }

  #toLoaded({ answer, cacheableNegative, bodyBytes }: CallResult): Loaded<Answer> {
    switch (answer.kind) {
      case 'failed':
        return { store: 'leave', value: answer }
      case 'inactive': {
        const { negativeS } = this.#lifetimes
        if (!cacheableNegative || negativeS <= 0) return { store: 'drop', value: answer }
        return { store: 'negative', value: answer, expiresAtMs: this.#now() + negativeS * 1000, bytes: ENTRY_BYTES }
      }
      default: {
        const bytes = ENTRY_BYTES + bodyBytes * BYTES_PER_BODY_BYTE
        return { store: 'positive', value: answer, ...lifeOf(answer.expMs, this.#lifetimes, this.#now()), bytes }
      }
    }
  }
}

/** When an active answer ends, in epoch milliseconds. */
export function lifeOf(
  expMs: number,
  { withoutExpS, minS, maxS, staleS }: Lifetimes,
  nowMs: number,
): { readonly expiresAtMs: number; readonly staleUntilMs: number; readonly refreshAtMs: number } {
  const ownMs = expMs === Number.POSITIVE_INFINITY ? withoutExpS * 1000 : expMs - nowMs
  const lifeMs = Math.min(Math.max(ownMs, minS * 1000), maxS * 1000)
  const expiresAtMs = Math.min(nowMs + lifeMs, expMs)
  const windowMs = Math.min(Math.max(lifeMs / 10, MIN_REFRESH_WINDOW_MS), MAX_REFRESH_WINDOW_MS)
  const isRefreshed = expiresAtMs < expMs && lifeMs >= MIN_REFRESHED_LIFE_MS
  return {
    expiresAtMs,
    staleUntilMs: Math.min(expiresAtMs + staleS * 1000, expMs),
    refreshAtMs: isRefreshed ? expiresAtMs - windowMs : Number.POSITIVE_INFINITY,
  }
}
