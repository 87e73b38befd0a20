import { EventEmitter, once } from 'node:events'

/** How long something that others do is waited for, in milliseconds: half of what `npm test` gives a test, which so ends by its own words. */
const WAIT_MS = 60_000

/** Waiting without sleep: who changes something says so, and who waits for a state looks again. */
export class Changes {
  readonly #events = new EventEmitter<{ changed: [] }>().setMaxListeners(0)

  announce(): void {
    this.#events.emit('changed')
  }

  /**
   * What `find` gives, as soon as it is not undefined; it is asked now and after each change.
   *
   * @param late the error after `timeoutMs`, default 60 000
   * @throws what `find` throws
   */
  async until<Value>(find: () => Value | undefined, late: (timeoutMs: number) => Error, timeoutMs = WAIT_MS): Promise<Value> {
    const signal = AbortSignal.timeout(timeoutMs)
    for (;;) {
      const found = find()
      if (found !== undefined) return found
      await once(this.#events, 'changed', { signal }).catch(() => {
        throw late(timeoutMs)
      })
    }
  }
}

/** A number that grows and can be waited for. */
export class Counter {
  #count = 0
  readonly #changes = new Changes()

  get count(): number {
    return this.#count
  }

  increment(): number {
    this.#count++
    this.#changes.announce()
    return this.#count
  }

  reset(): void {
    this.#count = 0
  }

  /** Resolves as soon as the number is `count` or more. */
  async reached(count: number): Promise<void> {
    await this.#changes.until(
      () => this.#count >= count || undefined,
      (timeoutMs) => new Error(`${this.#count} instead of ${count} after ${timeoutMs} ms`),
    )
  }
}
