import { type FailedAnswer, failed } from './answer.ts'
import type { CallGuard } from './call-guard.ts'
import { codeOf, isTimeout, within } from './server-failure.ts'

/** The whole call against the time of one step. */
const DEADLINE_STEPS = 3

/**
 * One call within the bounds of its server's guard and one deadline. Never rejects: whatever `call` rejects with is a failure of the server. To tell the guard
 * of an answer is left to `call`, which knows what it means.
 *
 * @param timeoutMs for each step of the call, and to wait for a place
 */
export async function guarded<T>(guard: CallGuard, timeoutMs: number, call: () => Promise<T>): Promise<T | FailedAnswer> {
  const entered = guard.enter(timeoutMs)
  const admission = typeof entered === 'string' ? entered : await entered
  if (admission !== 'go') return failed(admission, 'not asked', { retryAfterS: guard.retryAfterS })
  try {
    return await within(timeoutMs * DEADLINE_STEPS, call())
  } catch (error) {
    guard.failed()
    return failed(isTimeout(error) ? 'timeout' : 'transport', codeOf(error))
  } finally {
    guard.leave()
  }
}
