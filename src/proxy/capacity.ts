/**
 * How much a worker takes on at a time, over all its listeners. What is beyond it is turned away at the door, so that those inside are served as fast as before
 * and memory stays bounded: a connection in clear gets 503 and is closed, one that would begin with a handshake is closed; a request that comes on a connection
 * with many others (HTTP/2) gets 503.
 *
 *   0 ───────── serve ───────── limit ── 503, a few each second ── limit + reserve ── closed by Node.js before anything is made for it
 *
 * Every answer to somebody who is turned away takes time from those who are not; hence the bound on these answers.
 */
import { Rarely } from '../util/rarely.ts'

/** Part of the limit that may be taken up by connections that are being told to go. */
const RESERVE = 1 / 8
/** Least number of them, so that also a small limit is explained to somebody. */
const MIN_RESERVE = 8

/** Milliseconds for which the reserve is what may be answered. */
const ANSWER_WINDOW_MS = 500
/** Milliseconds between two calls of `onTurnedAway`. */
const TELL_EVERY_MS = 5000

export class Capacity {
  /** Connections, and requests under way, at a time. */
  readonly limit: number
  /** Connections beyond the limit, which are told so. */
  readonly reserve: number
  connections = 0
  #requests = 0
  #turnedAway = 0
  readonly #onTurnedAway: (total: number) => void
  readonly #tells = new Rarely(TELL_EVERY_MS)
  #answersLeft: number
  #answersSinceMs = 0

  /**
   * @param limit connections, and requests under way, at a time
   * @param onTurnedAway told, every now and then while it happens, how many have been turned away since the start
   */
  constructor(limit: number, onTurnedAway: (total: number) => void) {
    this.limit = limit
    this.reserve = Math.max(MIN_RESERVE, Math.ceil(limit * RESERVE))
    this.#onTurnedAway = onTurnedAway
    this.#answersLeft = this.reserve
  }

  /** Connections and requests that were turned away since the start. */
  get turnedAway(): number {
    return this.#turnedAway
  }

  /** Takes a place for a request, to be given back by {@link leaveRequest}; false where there is none. */
  enterRequest(): boolean {
    if (this.#requests >= this.limit) {
      this.turnAway()
      return false
    }
    this.#requests++
    return true
  }

  leaveRequest(): void {
    this.#requests--
  }

  /** Counts one that is turned away. */
  turnAway(): void {
    this.#turnedAway++
    if (this.#tells.due()) this.#onTurnedAway(this.#turnedAway)
  }

  /** Takes one of the answers that connections may get which are turned away; false where there were enough lately. */
  takeAnswer(): boolean {
    const nowMs = Date.now()
    if (nowMs - this.#answersSinceMs >= ANSWER_WINDOW_MS) {
      this.#answersSinceMs = nowMs
      this.#answersLeft = this.reserve
    }
    if (this.#answersLeft === 0) return false
    this.#answersLeft--
    return true
  }
}

/** Files that a worker has open besides its connections. */
const OTHER_FILES = 64

/**
 * `auto`: what Kong's template allows nginx, 16384, as far as the system's limit of open files permits a client and an upstream connection each.
 *
 * @param maxFiles the system's limit for a process; null where it is not known
 */
export function automaticLimit(maxFiles: number | null): number {
  return Math.max(1, Math.min(16_384, Math.floor(((maxFiles ?? Number.POSITIVE_INFINITY) - OTHER_FILES) / 2)))
}
