/** Calls to the token endpoint within the bounds that introspection calls have too: a time limit, so many at once, none for a moment after failures. */
import { type FailedAnswer, failed } from '../../introspection/answer.ts'
import type { CallGuard } from '../../introspection/call-guard.ts'
import { MAX_PAUSE_S } from '../../introspection/call-guard.ts'
import type { HttpClient, HttpRequest, HttpResponse } from '../../oauth/http.ts'

/** Statuses with which a server says that it as a whole is not able to answer. */
const UNABLE = new Set([408, 429, 502, 503, 504])

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
      response = await http(sent)
    } catch (error) {
      guard.failed()
      const code = codeOf(error)
      return failed(/TIMEOUT|TIMEDOUT|ABORT|timed out/i.test(code) ? 'timeout' : 'transport', code)
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

/** Seconds of a Retry-After, as delay or date (RFC 9110 section 10.2.3), bounded; 0 for none. */
function pauseOf(response: HttpResponse, nowMs: number): number {
  const value = response.headers.get('retry-after')?.trim() ?? ''
  const seconds = /^\d{1,9}$/.test(value) ? Number(value) : (Date.parse(value) - nowMs) / 1000
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0), MAX_PAUSE_S) : 0
}

/** The code or name of what lies at the bottom of an error: says what happened without repeating what anybody sent. */
function codeOf(error: unknown): string {
  let code = 'unknown'
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    code = 'code' in at && typeof at.code === 'string' ? at.code : at.name
  }
  return code
}
