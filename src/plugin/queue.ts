/**
 * A queue between requests and a server that is told about them: a request only adds; batches go out behind its back.
 *
 *   add > waiting > (max_batch_size reached, or max_coalescing_delay passed) > in flight > sent
 *                                                                   ^             | failed: again after initial_retry_delay, doubled up to max_retry_delay,
 *                                                                   '-------------'         until max_retry_time is over; then the batch is lost
 *
 * Invariants:
 *   - At most `maxEntries` entries wait; a new one pushes out the oldest that waits.
 *   - Waiting and in flight together hold at most `maxBytes`; a new entry pushes out those that wait, oldest first, and is itself lost where that is not enough.
 *   - At most `concurrency` batches are in flight; their order of arrival is kept only where that is 1.
 *   - What is lost is counted, and logged at most once in {@link REPORT_MS}.
 *
 * Not handled: what waits does not survive the process. `flush` sends what it can before an orderly end.
 */
import type { Log } from '../telemetry/log.ts'
import { errorText } from '../util/errors.ts'
import { Rarely } from '../util/rarely.ts'
import type { PluginKit } from './kit.ts'

/** Kong's `queue` parameters, in milliseconds. */
export interface QueueLimits {
  /** Entries sent together. */
  readonly maxBatchSize: number
  /** How long the first entry of a batch waits for others. */
  readonly maxCoalescingDelayMs: number
  readonly maxEntries: number
  readonly maxBytes: number
  /** How long a batch is tried. */
  readonly maxRetryTimeMs: number
  readonly initialRetryDelayMs: number
  readonly maxRetryDelayMs: number
  /** Batches that may be under way at the same time. */
  readonly concurrency: number
}

/** Time, so that tests need none. */
export interface QueueClock {
  now(): number
  /** Calls `act` after `delayMs`; the answer cancels it. Keeps no process alive. */
  after(delayMs: number, act: () => void): () => void
}

export const SYSTEM_CLOCK: QueueClock = {
  now: () => performance.now(),
  after(delayMs, act) {
    const timer = setTimeout(act, delayMs).unref()
    return () => clearTimeout(timer)
  },
}

export interface QueueParts<T> {
  /** For log lines: what the entries are, the plugin, and the server's origin, never a credential. */
  readonly entries: 'log entries' | 'spans'
  readonly plugin: string
  readonly server: string
  readonly limits: QueueLimits
  /** Sends one batch, in the order of arrival; rejects where it is to be tried again. */
  readonly send: (batch: readonly T[]) => Promise<void>
  readonly log: Log
  readonly clock?: QueueClock
}

/** Losses and failures are told at most this often. */
const REPORT_MS = 10_000

interface Waiting<T> {
  readonly entry: T
  readonly bytes: number
}

/** A batch that is under way. */
interface Flight<T> {
  readonly entries: readonly T[]
  readonly bytes: number
  readonly startedMs: number
  delayMs: number
  /** Ends the pause before the next attempt; null while one is under way. */
  cancelPause: (() => void) | null
}

export class Queue<T> {
  readonly #parts: QueueParts<T>
  readonly #clock: QueueClock
  /** Entries from `#first` on wait; those before it are gone. */
  #waiting: (Waiting<T> | undefined)[] = []
  #first = 0
  #bytes = 0
  readonly #flights = new Set<Flight<T>>()
  #cancelCoalescing: (() => void) | null = null
  #cancelRetirement: (() => void) | null = null
  /** No entry waits for others any more. */
  #hurried = false
  #lost = 0
  #lostUntold = 0
  readonly #reports: Rarely
  #idle: PromiseWithResolvers<void> | null = null

  constructor(parts: QueueParts<T>) {
    this.#parts = parts
    this.#clock = parts.clock ?? SYSTEM_CLOCK
    this.#reports = new Rarely(REPORT_MS, () => this.#clock.now())
  }

  /** Entries that wait, those under way not among them. */
  get size(): number {
    return this.#waiting.length - this.#first
  }

  /** Bytes held, those under way among them. */
  get bytes(): number {
    return this.#bytes
  }

  /** Entries lost since the queue was made. */
  get lost(): number {
    return this.#lost
  }

  get isIdle(): boolean {
    return this.size === 0 && this.#flights.size === 0
  }

  /** @param bytes what the entry counts for `maxBytes` */
  add(entry: T, bytes: number): void {
    const { maxEntries, maxBytes, maxBatchSize } = this.#parts.limits
    if (bytes > maxBytes) return this.#lose(1)
    while (this.size > 0 && (this.size >= maxEntries || this.#bytes + bytes > maxBytes)) this.#dropOldest()
    if (this.#bytes + bytes > maxBytes) return this.#lose(1)
    this.#waiting.push({ entry, bytes })
    this.#bytes += bytes
    if (this.#hurried || this.size >= maxBatchSize) this.#begin()
    else this.#coalesce()
  }

  /** Nobody adds any more: what is there goes out without waiting for company, and is lost after the time for which a batch is tried. */
  retire(): void {
    this.#cancelRetirement ??= this.#clock.after(this.#parts.limits.maxRetryTimeMs, () => {
      this.#cancelRetirement = null
      while (this.size > 0) this.#dropOldest()
    })
    this.#hurry()
  }

  /** Somebody adds again. */
  revive(): void {
    this.#hurried = false
    this.#cancelRetirement?.()
    this.#cancelRetirement = null
  }

  #hurry(): void {
    this.#hurried = true
    for (const flight of this.#flights) {
      if (flight.cancelPause === null) continue
      flight.cancelPause()
      flight.delayMs = this.#parts.limits.initialRetryDelayMs
      this.#attempt(flight)
    }
    this.#begin()
  }

  /** Sends what waits, at once; done when all is sent or lost, or after `withinMs`: then the rest stays. Never rejects. */
  async flush(withinMs: number): Promise<void> {
    if (this.isIdle) return
    this.#hurry()
    this.#idle ??= Promise.withResolvers<void>()
    const late = Promise.withResolvers<void>()
    const cancel = this.#clock.after(withinMs, late.resolve)
    await Promise.race([this.#idle.promise, late.promise])
    cancel()
  }

  /** Resolves when nothing waits and nothing is under way. */
  async whenIdle(): Promise<void> {
    if (this.isIdle) return
    this.#idle ??= Promise.withResolvers<void>()
    await this.#idle.promise
  }

  #coalesce(): void {
    this.#cancelCoalescing ??= this.#clock.after(this.#parts.limits.maxCoalescingDelayMs, () => {
      this.#cancelCoalescing = null
      this.#begin(true)
    })
  }

  /** Sends batches as far as concurrency allows: full ones, or (`due`, or in a hurry) one that is not. */
  #begin(due = false): void {
    const { maxBatchSize, concurrency } = this.#parts.limits
    let incomplete = due
    while (this.size > 0 && this.#flights.size < concurrency && (this.#hurried || incomplete || this.size >= maxBatchSize)) {
      if (this.size < maxBatchSize) incomplete = false
      this.#fly()
    }
    if (this.size > 0 && this.#flights.size < concurrency) this.#coalesce()
    else if (this.size === 0) this.#stopCoalescing()
  }

  #stopCoalescing(): void {
    this.#cancelCoalescing?.()
    this.#cancelCoalescing = null
  }

  #fly(): void {
    const taken = this.#take(this.#parts.limits.maxBatchSize)
    const flight: Flight<T> = {
      entries: taken.map(({ entry }) => entry),
      bytes: taken.reduce((sum, { bytes }) => sum + bytes, 0),
      startedMs: this.#clock.now(),
      delayMs: this.#parts.limits.initialRetryDelayMs,
      cancelPause: null,
    }
    this.#flights.add(flight)
    this.#attempt(flight)
  }

  #attempt(flight: Flight<T>): void {
    flight.cancelPause = null
    this.#parts.send(flight.entries).then(
      () => this.#land(flight),
      (error: unknown) => this.#retry(flight, error),
    )
  }

  #retry(flight: Flight<T>, error: unknown): void {
    const { maxRetryTimeMs, maxRetryDelayMs } = this.#parts.limits
    const delayMs = Math.min(flight.delayMs, maxRetryDelayMs)
    if (this.#clock.now() - flight.startedMs + delayMs > maxRetryTimeMs) {
      this.#lose(flight.entries.length, errorText(error))
      return this.#land(flight)
    }
    flight.delayMs = delayMs * 2
    this.#report('could not be sent, trying again', errorText(error))
    flight.cancelPause = this.#clock.after(delayMs, () => this.#attempt(flight))
  }

  #land(flight: Flight<T>): void {
    this.#flights.delete(flight)
    this.#bytes -= flight.bytes
    // What came meanwhile has waited for the batch before it: it does not wait for others as well.
    this.#begin(this.#cancelCoalescing === null)
    if (!this.isIdle) return
    this.#cancelRetirement?.()
    this.#cancelRetirement = null
    this.#idle?.resolve()
    this.#idle = null
  }

  #take(count: number): readonly Waiting<T>[] {
    const taken = this.#waiting.slice(this.#first, this.#first + count) as Waiting<T>[]
    this.#waiting.fill(undefined, this.#first, this.#first + taken.length)
    this.#advance(taken.length)
    return taken
  }

  #dropOldest(): void {
    this.#bytes -= this.#waiting[this.#first]?.bytes ?? 0
    this.#waiting[this.#first] = undefined
    this.#advance(1)
    this.#lose(1)
  }

  /** Moves the front; the array is cut when half of it is gone, so that taking one costs the same however many wait. */
  #advance(count: number): void {
    this.#first += count
    if (this.#first === this.#waiting.length) this.#waiting = []
    else if (this.#first * 2 > this.#waiting.length) this.#waiting = this.#waiting.slice(this.#first)
    else return
    this.#first = 0
  }

  #lose(count: number, reason?: string): void {
    this.#lost += count
    this.#lostUntold += count
    this.#report('are lost', reason)
  }

  #report(what: string, reason: string | undefined): void {
    if (!this.#reports.due()) return
    const { entries, plugin, server, log } = this.#parts
    const lost = this.#lostUntold
    this.#lostUntold = 0
    log.error(`${entries} ${what}`, { plugin, server, lost, reason })
  }
}

// ----------------------------------------------------------------------------------------------------------------------------------- many of them

/** The queues of one process by what makes them equal. A queue outlives its last user until all is sent, so that a change of configuration loses nothing. */
export class Queues<T> {
  readonly #live = new Map<string, { readonly queue: Queue<T>; users: number }>()

  /** The queue of this key, made at first use. Every `acquire` needs its `release`. */
  acquire(key: string, make: () => Queue<T>): Queue<T> {
    let entry = this.#live.get(key)
    if (entry === undefined) {
      entry = { queue: make(), users: 0 }
      this.#live.set(key, entry)
    }
    if (entry.users++ === 0) entry.queue.revive()
    return entry.queue
  }

  release(key: string): void {
    const entry = this.#live.get(key)
    if (entry === undefined || --entry.users > 0) return
    entry.queue.retire()
    entry.queue.whenIdle().then(() => {
      if (entry.users === 0 && entry.queue.isIdle && this.#live.get(key) === entry) this.#live.delete(key)
    })
  }

  /** Number of queues. */
  get size(): number {
    return this.#live.size
  }

  /** Sends what waits in all of them, for at most `withinMs`. */
  async flush(withinMs: number): Promise<void> {
    await Promise.all([...this.#live.values()].map(({ queue }) => queue.flush(withinMs)))
  }
}

/** The queues of all configurations of a plugin in this process. What they hold when it ends goes out as far as the time allows. */
export function queuesOf<T>({ shared, onExit }: Pick<PluginKit, 'shared' | 'onExit'>, plugin: string): Queues<T> {
  return shared(`${plugin} queues`, () => {
    const queues = new Queues<T>()
    onExit((withinMs) => queues.flush(withinMs))
    return queues
  })
}
