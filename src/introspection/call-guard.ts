/**
 * Keeps calls to one authorization server within bounds: how many at a time, and none for a moment after failures.
 *
 *   closed ── MAX_FAILURES failures in a row ──▶ open: one call each PROBE_INTERVAL_MS, all others refused at once
 *     ▲                                             │
 *     └──────────────── any answer ─────────────────┘
 *
 * While open, a new probe starts each interval even where an older one is still waiting for its time-out, so that the server's return is noticed within an
 * interval and the time of one answer. Only what says that the server as a whole is ill counts as a failure: a status 500 may be about one token, and who
 * sends bad tokens must not be able to shut out the others. `Retry-After` of a 429 or 503 suspends calls for as long as it says, bounded.
 */

/** Failures in a row after which the server is left alone. */
const MAX_FAILURES = 10
/** Milliseconds between two probes; with the time of an answer well below two seconds. */
const PROBE_INTERVAL_MS = 500
/** Calls at a time. */
const MAX_CONCURRENT = 256
/** Calls that wait for a place; each holds a token. */
const MAX_WAITING = 1024
/** Longest pause that a server may ask for, in seconds: a mistaken one must not end service for hours. */
export const MAX_PAUSE_S = 30

export type Admission = 'go' | 'suspended' | 'saturated'

export class CallGuard {
  readonly #now: () => number
  #failures = 0
  #nextProbeAtMs = 0
  #pausedUntilMs = 0
  #running = 0
  readonly #waiting = new Set<(admission: Admission) => void>()

  /** @param now epoch milliseconds */
  constructor(now: () => number) {
    this.#now = now
  }

  /** Seconds after which a refused caller may try again: 1, or what the server asked for. */
  get retryAfterS(): number {
    return Math.max(1, Math.ceil((this.#pausedUntilMs - this.#now()) / 1000))
  }

  /** True when a call may be worth a try: no pause, and not open or time for a probe. */
  get isPassable(): boolean {
    const nowMs = this.#now()
    return nowMs >= this.#pausedUntilMs && (this.#failures < MAX_FAILURES || nowMs >= this.#nextProbeAtMs)
  }

  /** True when a call would begin at once and nothing speaks against it: the condition for calls that nobody waits for. */
  get isIdle(): boolean {
    return this.#running < MAX_CONCURRENT / 2 && this.#failures === 0 && this.isPassable
  }

  /** For those who watch: whether calls are let through, and if not, why. */
  get state(): 'closed' | 'open' | 'paused' {
    if (this.#now() < this.#pausedUntilMs) return 'paused'
    return this.#failures < MAX_FAILURES ? 'closed' : 'open'
  }

  /** Calls under way. */
  get running(): number {
    return this.#running
  }

  /** Calls that wait for a place. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Asks for a place; whoever is told `go` owes one {@link leave}. @param waitMs longest time to wait for a place */
  enter(waitMs: number): Admission | Promise<Admission> {
    if (!this.#claim()) return 'suspended'
    if (this.#running < MAX_CONCURRENT) {
      this.#running++
      return 'go'
    }
    return this.#waiting.size >= MAX_WAITING ? 'saturated' : this.#wait(waitMs)
  }

  /** Gives the place back, to the one who has waited longest. */
  leave(): void {
    const [next] = this.#waiting
    if (next === undefined) this.#running--
    else next('go')
  }

  /** The server answered, whatever it said. */
  succeeded(): void {
    this.#failures = 0
  }

  /** The server as a whole did not answer, or says that it cannot. @param pauseS pause that it asked for, in seconds */
  failed(pauseS = 0): void {
    const nowMs = this.#now()
    this.#failures++
    if (pauseS > 0) this.#pausedUntilMs = Math.max(this.#pausedUntilMs, nowMs + Math.min(pauseS, MAX_PAUSE_S) * 1000)
    if (this.#failures === MAX_FAILURES) this.#nextProbeAtMs = nowMs + PROBE_INTERVAL_MS
    if (!this.isPassable) for (const refuse of [...this.#waiting]) refuse('suspended')
  }

  /** Whether a call may be made; takes the turn of the next probe where the guard is open. */
  #claim(): boolean {
    if (!this.isPassable) return false
    if (this.#failures >= MAX_FAILURES) this.#nextProbeAtMs = this.#now() + PROBE_INTERVAL_MS
    return true
  }

  #wait(waitMs: number): Promise<Admission> {
    return new Promise((resolve) => {
      const settle = (admission: Admission): void => {
        clearTimeout(timer)
        this.#waiting.delete(settle)
        resolve(admission)
      }
      const timer = setTimeout(settle, waitMs, 'saturated' satisfies Admission)
      this.#waiting.add(settle)
    })
  }
}

/** The guards of a process, one for each server, shared by all who call it. */
export class CallGuards {
  readonly #now: () => number
  readonly #guards = new Map<string, { readonly guard: CallGuard; users: number }>()

  constructor(now: () => number) {
    this.#now = now
  }

  /** The guard of a server; `release` when it is needed no more. @param server endpoint without query */
  acquire(server: string): CallGuard {
    const known = this.#guards.get(server) ?? { guard: new CallGuard(this.#now), users: 0 }
    known.users++
    this.#guards.set(server, known)
    return known.guard
  }

  /** The guards in use, by server. */
  all(): readonly (readonly [string, CallGuard])[] {
    return [...this.#guards].map(([server, { guard }]) => [server, guard])
  }

  release(server: string): void {
    const known = this.#guards.get(server)
    if (known !== undefined && --known.users === 0) this.#guards.delete(server)
  }
}
