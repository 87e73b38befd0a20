/**
 * A bounded cache of answers with one load at a time.
 *
 *            load            expiresAtMs          staleUntilMs
 *   absent ───────▶ fresh ───────────────▶ stale ─────────────▶ absent
 *      ▲              │ invalidate            │ invalidate
 *      └──────────────┴───────────────────────┘
 *
 * Invariants:
 *   1. A hit is a plain call: `peek` returns the entry, never a promise.
 *   2. Per key there is at most one load at a time; whoever asks meanwhile shares its outcome. A caller that goes away changes nothing for the others.
 *   3. An entry ends at the absolute time that its loader gave. Reading does not extend it.
 *   4. What a load brings is stored only if nothing was invalidated since it began; otherwise it is loaded again, so that an answer from before an invalidation
 *      is neither stored nor handed out. After {@link MAX_RELOADS} of these it is handed out without being stored.
 *   5. Failures are never stored: a load that rejects, or that says `leave`, is seen by those who wait for it and by nobody later.
 *   6. Positive and negative values live in two stores with bounds of their own, so that a flood of negative ones cannot push out a positive one. A key is in
 *      one of them at most.
 *   7. The bound in bytes counts what loaders say a value weighs.
 *
 * Entries belong to a {@link CacheSpace}. Spaces share the bounds and nothing else: an entry of one is invisible to another even under the same key.
 * Invalidating a space costs one increment; what it held is swept out soon after, and cannot be seen in between.
 *
 * Not handled: a wall clock that is put back by less than the age of an entry lengthens that entry's life by as much. Put back further, the entry is dropped.
 */
import { LRUCache } from 'lru-cache'

/** What a load brought, and what becomes of it. `drop`: only for those who wait, and what is stored goes. `leave`: only for those who wait. */
export type Loaded<V> =
  | {
      readonly store: 'positive' | 'negative'
      readonly value: V
      /** Epoch milliseconds from which on it is no hit. In the past: not stored. */
      readonly expiresAtMs: number
      /** Epoch milliseconds up to which {@link CacheSpace.stale} still finds it; default `expiresAtMs`. */
      readonly staleUntilMs?: number
      /** Epoch milliseconds from which on it may be refreshed ahead of its end; default never. */
      readonly refreshAtMs?: number
      /** Estimate of its weight. */
      readonly bytes: number
    }
  | { readonly store: 'drop' | 'leave'; readonly value: V }

/** Brings the value of a key. Has a deadline of its own: nobody else ends it. */
export type Load<V> = () => Promise<Loaded<V>>

export interface CacheOptions {
  readonly maxEntries: number
  readonly maxBytes: number
  readonly maxNegativeEntries: number
  /** Epoch milliseconds. */
  readonly now: () => number
}

/** Hits from which on an entry counts as hot. */
const HOT_HITS = 2
/** Loads that an invalidation may cause to be repeated. */
const MAX_RELOADS = 3
/** Milliseconds by which a clock may be put back before entries from the future are distrusted. */
const CLOCK_TOLERANCE_MS = 1000

/** A stored value. */
export interface CacheEntry<V> {
  readonly value: V
  readonly expiresAtMs: number
  readonly refreshAtMs: number
  readonly hits: number
  /** Set by whoever refreshes it, so that nobody else does. */
  refreshed: boolean
}

interface Entry<V> extends CacheEntry<V> {
  readonly space: CacheSpace<V>
  readonly generation: number
  readonly storedAtMs: number
  readonly staleUntilMs: number
  hits: number
}

/** Whether an entry is hot, near its end and not being refreshed yet. */
export function isRefreshDue(entry: CacheEntry<unknown>, nowMs: number): boolean {
  return nowMs >= entry.refreshAtMs && entry.hits >= HOT_HITS && !entry.refreshed
}

/** A load under way. `generation` counts invalidations that it has lived through. */
interface Flight<V> {
  generation: number
  readonly outcome: Promise<V>
}

export class Cache<V> {
  readonly #positive: LRUCache<string, Entry<V>>
  readonly #negative: LRUCache<string, Entry<V>>
  readonly #spaces = new Set<CacheSpace<V>>()
  readonly #now: () => number
  #sweeping = false

  constructor({ maxEntries, maxBytes, maxNegativeEntries, now }: CacheOptions) {
    this.#positive = new LRUCache({ max: maxEntries, maxSize: maxBytes })
    this.#negative = new LRUCache({ max: maxNegativeEntries })
    this.#now = now
  }

  /** A part of the cache for one owner. `close` gives it back. */
  space(): CacheSpace<V> {
    const space = new CacheSpace<V>(this.#positive, this.#negative, this.#now, {
      emptied: () => this.#sweepSoon(),
      closed: () => this.#spaces.delete(space),
    })
    this.#spaces.add(space)
    return space
  }

  /** Drops everything of everybody; loads under way are repeated. */
  invalidateAll(): void {
    for (const space of this.#spaces) space.invalidateAll()
    this.#positive.clear()
    this.#negative.clear()
  }

  /** Entries of either kind, expired ones included. */
  get size(): { readonly positive: number; readonly negative: number; readonly bytes: number } {
    return { positive: this.#positive.size, negative: this.#negative.size, bytes: this.#positive.calculatedSize }
  }

  /** One sweep for all spaces that were emptied in this turn. */
  #sweepSoon(): void {
    if (this.#sweeping) return
    this.#sweeping = true
    setImmediate(() => {
      this.#sweeping = false
      for (const store of [this.#positive, this.#negative]) {
        for (const [key, entry] of [...store.entries()]) if (entry.generation !== entry.space.generation) store.delete(key)
      }
    }).unref()
  }
}

interface SpaceListeners {
  readonly emptied: () => void
  readonly closed: () => void
}

/** The entries of one owner. Made by {@link Cache.space}. */
export class CacheSpace<V> {
  readonly #positive: LRUCache<string, Entry<V>>
  readonly #negative: LRUCache<string, Entry<V>>
  readonly #now: () => number
  readonly #listeners: SpaceListeners
  readonly #flights = new Map<string, Flight<V>>()
  #generation = 0
  #closed = false

  constructor(positive: LRUCache<string, Entry<V>>, negative: LRUCache<string, Entry<V>>, now: () => number, listeners: SpaceListeners) {
    this.#positive = positive
    this.#negative = negative
    this.#now = now
    this.#listeners = listeners
  }

  /** Grows with each {@link invalidateAll}; entries of an earlier one do not exist any more. */
  get generation(): number {
    return this.#generation
  }

  /** The fresh entry under `key`, or undefined. Counts as a hit. */
  peek(key: string): CacheEntry<V> | undefined {
    const entry = this.#fresh(key)
    if (entry !== undefined) entry.hits++
    return entry
  }

  /** The value under `key` although it has expired, as long as its loader allowed; or undefined. */
  stale(key: string): V | undefined {
    const entry = this.#positive.peek(key)
    return entry !== undefined && this.#isMine(entry) && this.#now() < entry.staleUntilMs ? entry.value : undefined
  }

  /** The outcome of the load of `key` that is under way, if there is one. */
  pending(key: string): Promise<V> | undefined {
    return this.#flights.get(key)?.outcome
  }

  /** The fresh value, or the outcome of the load that is under way, or that of a new one. */
  get(key: string, load: Load<V>): V | Promise<V> {
    const entry = this.peek(key)
    return entry === undefined ? this.load(key, load) : entry.value
  }

  /**
   * Loads `key` anew, or joins the load that is under way; what is stored stays visible meanwhile.
   * @throws (rejects) what `load` rejects with
   */
  load(key: string, load: Load<V>): Promise<V> {
    const pending = this.pending(key)
    if (pending !== undefined) return pending
    const { promise, resolve, reject } = Promise.withResolvers<V>()
    const flight: Flight<V> = { generation: 0, outcome: promise }
    this.#flights.set(key, flight)
    this.#run(key, flight, load).then(resolve, reject)
    return promise
  }

  /** Drops one key; a load of it that is under way is repeated. */
  invalidate(key: string): void {
    const flight = this.#flights.get(key)
    if (flight !== undefined) flight.generation++
    this.#drop(key)
  }

  /** Drops all entries of this space; loads under way are repeated. */
  invalidateAll(): void {
    this.#generation++
    for (const flight of this.#flights.values()) flight.generation++
    this.#listeners.emptied()
  }

  /** Drops all entries and stores no more. Loads under way end as they would and are handed out. */
  close(): void {
    this.#closed = true
    this.#generation++
    this.#listeners.emptied()
    this.#listeners.closed()
  }

  async #run(key: string, flight: Flight<V>, load: Load<V>): Promise<V> {
    try {
      for (let reloads = 0; ; reloads++) {
        const { generation } = flight
        const loaded = await load()
        if (this.#closed) return loaded.value
        if (flight.generation === generation) this.#keep(key, loaded)
        else if (reloads < MAX_RELOADS) continue
        return loaded.value
      }
    } finally {
      this.#flights.delete(key)
    }
  }

  #keep(key: string, loaded: Loaded<V>): void {
    if (loaded.store === 'leave') return
    if (!('expiresAtMs' in loaded)) return this.#drop(key)
    const storedAtMs = this.#now()
    const { value, expiresAtMs, staleUntilMs = expiresAtMs, refreshAtMs = Number.POSITIVE_INFINITY, bytes } = loaded
    if (staleUntilMs <= storedAtMs && expiresAtMs <= storedAtMs) return this.#drop(key)
    const generation = this.#generation
    const entry: Entry<V> = {
      value,
      space: this,
      generation,
      storedAtMs,
      expiresAtMs,
      staleUntilMs,
      refreshAtMs,
      hits: 0,
      refreshed: false,
    }
    // One store has the new entry in place of an older one; what the other one has is over.
    if (loaded.store === 'negative') {
      this.#dropFrom(this.#positive, key)
      this.#negative.set(key, entry)
    } else {
      this.#dropFrom(this.#negative, key)
      this.#positive.set(key, entry, { size: Math.max(1, Math.ceil(bytes)) })
    }
  }

  #drop(key: string): void {
    this.#dropFrom(this.#positive, key)
    this.#dropFrom(this.#negative, key)
  }

  #dropFrom(store: LRUCache<string, Entry<V>>, key: string): void {
    if (store.size > 0 && store.peek(key)?.space === this) store.delete(key)
  }

  #fresh(key: string): Entry<V> | undefined {
    const entry = this.#positive.get(key) ?? (this.#negative.size > 0 ? this.#negative.get(key) : undefined)
    if (entry === undefined || !this.#isMine(entry)) return undefined
    const nowMs = this.#now()
    return nowMs < entry.expiresAtMs && nowMs >= entry.storedAtMs - CLOCK_TOLERANCE_MS ? entry : undefined
  }

  #isMine(entry: Entry<V>): boolean {
    return entry.space === this && entry.generation === this.#generation
  }
}
