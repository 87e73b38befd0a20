/** Calls to the token endpoint within the bounds that introspection calls have too: a time limit, so many at once, none for a moment after failures. */
import { type FailedAnswer, failed } from '../../introspection/answer.ts'
import type { CallGuard } from '../../introspection/call-guard.ts'
import { codeOf, isTimeout, pauseOf, within } from '../../introspection/server-failure.ts'
import type { HttpClient, HttpRequest, HttpResponse } from '../../oauth/http.ts'

/** Statuses with which a server says that it as a whole is not able to answer. */
const UNABLE = new Set([408, 429, 502, 503, 504])

/** The whole call against the time of one step. */
const DEADLINE_STEPS = 3

/** What a call is made with. */
export interface GuardedCall {
  readonly http: HttpClient
  readonly guard: CallGuard
  /** Milliseconds for each step of the exchange, and to wait for a place. */
  readonly timeoutMs: number
  /** Epoch milliseconds. */
  readonly now: () => number
}

/**
 * Sends one request and gives its answer, whatever its status as long as the server is able to answer. Never rejects for what the server or the network does.
 *
 * @throws (rejects) what `request` throws: our own configuration's fault
 */
export async function callProvider(
  request: () => HttpRequest | Promise<HttpRequest>,
  call: GuardedCall,
): Promise<HttpResponse | FailedAnswer> {
  const { guard, http, timeoutMs, now } = call
  const entered = guard.enter(timeoutMs)
  const admission = typeof entered === 'string' ? entered : await entered
  if (admission !== 'go') return failed(admission, 'not asked', { retryAfterS: guard.retryAfterS })
  try {
    const sent = await request()
    let response: HttpResponse
    try {
      response = await within(timeoutMs * DEADLINE_STEPS, http(sent))
    } catch (error) {
      guard.failed()
      return failed(isTimeout(error) ? 'timeout' : 'transport', codeOf(error))
    }
    if (!UNABLE.has(response.status)) {
      guard.succeeded()
      return response
    }
    guard.failed(pauseOf(response, now()))
    return failed('status', 'the server is not able to answer', { endpointStatus: response.status, retryAfterS: guard.retryAfterS })
  } finally {
    guard.leave()
  }
}

/** True for "no answer". */
export function isFailed(answer: HttpResponse | FailedAnswer): answer is FailedAnswer {
  return 'kind' in answer
}
