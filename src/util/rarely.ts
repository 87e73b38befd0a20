/** Says yes to the first who asks, and then at most once in `intervalMs`: for log lines that anybody could cause any number of. */
export class Rarely {
  readonly #intervalMs: number
  readonly #now: () => number
  #lastMs = Number.NEGATIVE_INFINITY

  /** @param now milliseconds of a clock that only goes forward */
  constructor(intervalMs: number, now: () => number = () => performance.now()) {
    this.#intervalMs = intervalMs
    this.#now = now
  }

  /** Whether it is time; if so, it is not for the next `intervalMs`. */
  due(): boolean {
    const nowMs = this.#now()
    if (nowMs - this.#lastMs < this.#intervalMs) return false
    this.#lastMs = nowMs
    return true
  }
}
