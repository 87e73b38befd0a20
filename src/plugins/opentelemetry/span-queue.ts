/**
 * Items on their way out, in batches: bounded in number and bytes, never waited for by a request.
 *
 *   enqueue > waiting (oldest dropped beyond the bounds) > batch: full, or its oldest item has waited long enough > send, again with growing pauses > gone
 *
 * Invariants: at most `concurrency_limit` batches are on their way (-1: no limit); items leave in the order in which they came; what is dropped is logged.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { Log } from '../../telemetry/log.ts'
import { errorText } from '../../util/errors.ts'

/** Kong's parameters of a queue. Times are in seconds. */
export interface QueueSettings {
  readonly max_batch_size: number
  readonly max_coalescing_delay: number
  readonly max_entries: number
  readonly max_bytes: number | null
  readonly max_retry_time: number
  readonly initial_retry_delay: number
  readonly max_retry_delay: number
  readonly concurrency_limit: number
}

export interface QueueOptions<T> {
  readonly settings: QueueSettings
  /** Delivers one batch; rejects where it has to be tried again. */
  readonly send: (batch: readonly T[]) => Promise<void>
  /** Estimate of an item's weight in bytes; 0 where there is no bound. */
  readonly weigh: (item: T) => number
  readonly log: Log
  /** Members of every log line. */
  readonly about: Readonly<Record<string, string>>
}

export class SpanQueue<T> {
  readonly #options: QueueOptions<T>
  #waiting: T[] = []
  #bytes = 0
  #dropped = 0
  #sending = 0
  #timer: NodeJS.Timeout | null = null
  #due = false
  #idle: (() => void)[] = []
  readonly #closing = new AbortController()

  constructor(options: QueueOptions<T>) {
    this.#options = options
  }

  /** Adds an item; never throws. After `close` it is dropped. */
  enqueue(item: T): void {
    if (this.#closing.signal.aborted) return
    const { settings, weigh } = this.#options
    if (settings.max_bytes !== null) {
      const bytes = weigh(item)
      if (bytes > settings.max_bytes) return this.#drop()
      while (this.#waiting.length > 0 && this.#bytes + bytes > settings.max_bytes) this.#dropOldest()
      this.#bytes += bytes
    }
    while (this.#waiting.length >= settings.max_entries) this.#dropOldest()
    this.#waiting.push(item)
    this.#pump()
  }

  /** Sends what waits, each batch once; resolves when nothing is on its way any more. */
  close(): Promise<void> {
    this.#closing.abort()
    this.#due = true
    this.#pump()
    if (this.#sending === 0) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }

  #dropOldest(): void {
    const oldest = this.#waiting.shift()
    if (oldest !== undefined && this.#options.settings.max_bytes !== null) this.#bytes -= this.#options.weigh(oldest)
    this.#drop()
  }

  /** One line for each run of drops, not for each item. */
  #drop(): void {
    if (this.#dropped++ === 0) this.#options.log.warn('queue is full, the oldest entries are dropped', this.#options.about)
  }

  #pump(): void {
    const { max_batch_size: size, max_coalescing_delay: delayS, concurrency_limit: limit } = this.#options.settings
    while (this.#waiting.length > 0 && (limit === -1 || this.#sending < limit) && (this.#due || this.#waiting.length >= size))
      this.#begin(size)
    if (this.#waiting.length === 0) this.#due = this.#closing.signal.aborted
    else if (this.#timer === null && !this.#due) {
      this.#timer = setTimeout(() => {
        this.#timer = null
        this.#due = true
        this.#pump()
      }, delayS * 1000).unref()
    }
  }

  #begin(size: number): void {
    const batch = this.#waiting.splice(0, size)
    const { settings, weigh, log, about } = this.#options
    if (settings.max_bytes !== null) for (const item of batch) this.#bytes -= weigh(item)
    if (this.#dropped > 0) log.warn('entries were dropped because the queue was full', { ...about, entries: this.#dropped })
    this.#dropped = 0
    this.#sending++
    this.#deliver(batch).then(() => {
      this.#sending--
      this.#pump()
      if (this.#sending > 0) return
      for (const resolve of this.#idle) resolve()
      this.#idle = []
    })
  }

  /** Never rejects. */
  async #deliver(batch: readonly T[]): Promise<void> {
    const { settings, send, log, about } = this.#options
    const { signal } = this.#closing
    const endMs = performance.now() + settings.max_retry_time * 1000
    for (let delayMs = settings.initial_retry_delay * 1000; ; delayMs = Math.min(delayMs * 2, settings.max_retry_delay * 1000)) {
      try {
        return await send(batch)
      } catch (error) {
        const over = signal.aborted || performance.now() + delayMs > endMs
        const members = { ...about, entries: batch.length, reason: errorText(error) }
        if (over) return log.error('entries could not be delivered and are dropped', members)
        log.warn('entries could not be delivered, trying again', members)
      }
      await pause(delayMs, undefined, { signal, ref: false }).catch(() => {})
    }
  }
}
