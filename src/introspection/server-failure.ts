/** How a call to an authorization server went wrong: in words that repeat nothing of what a peer sent. */
import type { HttpResponse } from '../oauth/http.ts'
import { MAX_PAUSE_S } from './call-guard.ts'

/** Seconds of a Retry-After, as delay or date (RFC 9110 section 10.2.3), bounded; 0 for none. */
export function pauseOf(response: HttpResponse, nowMs: number): number {
  const value = response.headers.get('retry-after')?.trim() ?? ''
  const seconds = /^\d{1,9}$/.test(value) ? Number(value) : (Date.parse(value) - nowMs) / 1000
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0), MAX_PAUSE_S) : 0
}

class DeadlineError extends Error {
  readonly code = 'DEADLINE'
}

/** The outcome of `promise` if it comes in time. @throws {DeadlineError} after `timeMs` */
export function within<T>(timeMs: number, promise: Promise<T>): Promise<T> {
  const { promise: outcome, resolve, reject } = Promise.withResolvers<T>()
  const timer = setTimeout(() => reject(new DeadlineError('the call took too long')), timeMs)
  promise.then(
    (value) => {
      clearTimeout(timer)
      resolve(value)
    },
    (error: unknown) => {
      clearTimeout(timer)
      reject(error)
    },
  )
  return outcome
}

/** True where time ran out: of the call, of a step, or by an abort. */
export function isTimeout(error: unknown): boolean {
  return /TIMEOUT|TIMEDOUT|DEADLINE|ABORT/i.test(codeOf(error))
}

/** The code or name of what lies at the bottom of an error: says what happened without repeating what anybody sent. */
export function codeOf(error: unknown): string {
  let code = 'unknown'
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    code = 'code' in at && typeof at.code === 'string' ? at.code : at.name
  }
  return code
}
