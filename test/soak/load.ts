/** Sends requests at a rate, whether or not earlier ones are answered, and has every outcome judged. */
import { setTimeout as delay } from 'node:timers/promises'
import { BreakError, leaveH1, leaveH2, type Place, sendSlowly, speak } from './connections.ts'
import { type Asked, askFor, drawKind } from './requests.ts'
import type { Tally } from './tally.ts'
import { type Answer, type Disturbances, judge, type Outcome } from './verdict.ts'

/** Requests on sockets of their own at a time. */
const MAX_LOOSE = 200
/** Requests that wait for a connection; more means that the rate is beyond what goes through. */
const MAX_WAITING = 5000
const TICK_MS = 4
/** How long a connection's worker is trusted to remember a token that was just used. */
const REMEMBERED_MS = 20_000
const MAX_LEAVE_MS = 80
/** How long after a refused body its connection may be closed: while the next request is on its way. */
const REFUSED_MS = 1000

interface Waiting {
  readonly kind: string
  readonly dueMs: number
}

export interface LoadOptions {
  readonly places: readonly Place[]
  readonly plainPort: number
  readonly tlsOrigin: string
  readonly disturbances: Disturbances
  readonly tally: Tally
  readonly random: () => number
}

export class Load {
  readonly #options: LoadOptions
  readonly #free: Place[]
  readonly #waiting: Waiting[] = []
  #number = 0
  #running = 0
  #loose = 0
  #done = 0
  #flooding = false
  /** When a body was last refused on a place. */
  readonly #refusedAt = new Map<Place, number>()
  mostWaiting = 0

  constructor(options: LoadOptions) {
    this.#options = options
    this.#free = [...options.places]
  }

  /** Requests per second where each follows the answer to the one before: as much as goes through. */
  async flood(seconds: number): Promise<number> {
    const before = this.#done
    const startMs = performance.now()
    this.#flooding = true
    while (this.#free.length > 0) this.#begin(drawKind(this.#options.random), performance.now())
    await delay(seconds * 1000)
    this.#flooding = false
    const perS = (this.#done - before) / ((performance.now() - startMs) / 1000)
    await this.settle()
    return perS
  }

  /** Requests at random moments, `rate` in a second on average, until `signal` says so. @throws when they pile up */
  async run(rate: number, signal: AbortSignal): Promise<void> {
    const { random } = this.#options
    let dueMs = performance.now()
    while (!signal.aborted) {
      for (const nowMs = performance.now(); dueMs <= nowMs; dueMs += (-Math.log(1 - random()) / rate) * 1000) {
        this.#begin(drawKind(random), dueMs)
      }
      if (this.#waiting.length > MAX_WAITING) throw new Error(`${MAX_WAITING} requests wait: ${rate} a second is more than goes through`)
      await delay(TICK_MS)
    }
    await this.settle()
  }

  /** Resolves when nothing is under way. */
  async settle(): Promise<void> {
    while (this.#running > 0 || this.#waiting.length > 0) await delay(TICK_MS)
  }

  /** @param dueMs when it should have been sent */
  #begin(kind: string, dueMs: number): void {
    const place = this.#takePlace()
    if (place !== undefined) return this.#serve(kind, dueMs, place)
    this.#waiting.push({ kind, dueMs })
    this.mostWaiting = Math.max(this.mostWaiting, this.#waiting.length)
  }

  #takePlace(): Place | undefined {
    const index = Math.floor(this.#options.random() * this.#free.length)
    const place = this.#free[index]
    const last = this.#free.pop()
    if (last !== undefined && index < this.#free.length) this.#free[index] = last
    return place
  }

  #serve(kind: string, dueMs: number, place: Place): void {
    this.#running++
    this.#exchange(kind, dueMs, place).finally(() => {
      this.#running--
      this.#done++
      this.#free.push(place)
      const next = this.#waiting.shift()
      if (next !== undefined) this.#begin(next.kind, next.dueMs)
      else if (this.#flooding) this.#begin(drawKind(this.#options.random), performance.now())
    })
  }

  async #exchange(kind: string, dueMs: number, place: Place): Promise<void> {
    const { disturbances, tally, random } = this.#options
    const asked = askFor(kind, String(++this.#number), random)
    if (asked.manner !== 'kept') return this.#onItsOwn(kind, asked)
    const { remembered } = asked
    const memory = place.memory
    const sinceMs = remembered === null ? undefined : memory.get(remembered)
    const remembers = sinceMs !== undefined && performance.now() - sinceMs < REMEMBERED_MS
    const plain = await outcomeOf(() => place.send(asked.request))
    const afterRefusedBody = plain.fromMs - (this.#refusedAt.get(place) ?? Number.NEGATIVE_INFINITY) < REFUSED_MS
    const outcome = plain.broken === undefined ? plain : { ...plain, broken: { ...plain.broken, afterRefusedBody } }
    if (asked.request.body !== null && outcome.answer?.status !== 200) this.#refusedAt.set(place, outcome.untilMs)
    // Another connection now means another worker, perhaps.
    const known = !asked.asksServer || (remembers && place.memory === memory)
    const nowMs = Date.now()
    const expectation = { ...asked.expect(nowMs - (outcome.untilMs - outcome.fromMs), nowMs), known }
    if (outcome.answer?.status === 200 && remembered !== null && outcome.answer.headers['connection'] !== 'close')
      place.memory.set(remembered, outcome.fromMs)
    tally.add(kind, judge(expectation, outcome, disturbances), outcome, outcome.untilMs - dueMs, known && asked.asksServer)
  }

  /** The place goes back at once: what takes its time here waits for nobody. */
  #onItsOwn(kind: string, asked: Asked): void {
    if (this.#loose >= MAX_LOOSE) return this.#options.tally.count(kind, 'not sent')
    this.#loose++
    this.#running++
    this.#alone(kind, asked).finally(() => {
      this.#loose--
      this.#running--
    })
  }

  async #alone(kind: string, { manner, request, expect, asksServer }: Asked): Promise<void> {
    const { plainPort, tlsOrigin, tally, disturbances, random } = this.#options
    if (manner === 'leaving') {
      const afterMs = Math.floor(random() * MAX_LEAVE_MS)
      await (random() < 0.7 ? leaveH1(plainPort, request, afterMs) : leaveH2(tlsOrigin, request, afterMs))
      return tally.count(kind, 'left')
    }
    const outcome = await outcomeOf(() =>
      manner === 'slow'
        ? sendSlowly(plainPort, request)
        : speak(plainPort, request.path, request.headers, expect(0, Number.MAX_SAFE_INTEGER).body),
    )
    const expectation = { ...expect(0, Number.MAX_SAFE_INTEGER), known: !asksServer }
    tally.add(kind, judge(expectation, outcome, disturbances), outcome, outcome.untilMs - outcome.fromMs, false)
  }
}

async function outcomeOf(send: () => Promise<Answer>): Promise<Outcome> {
  const fromMs = performance.now()
  try {
    const answer = await send()
    return { fromMs, untilMs: performance.now(), answer }
  } catch (error) {
    if (!(error instanceof BreakError)) throw error
    return { fromMs, untilMs: performance.now(), broken: error.detail }
  }
}
