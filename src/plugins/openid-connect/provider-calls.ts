/** How the provider is called: what the configuration says of every call, and calls to the token endpoint. */
import { type FailedAnswer, failed } from '../../introspection/answer.ts'
import type { CallGuard } from '../../introspection/call-guard.ts'
import { guarded } from '../../introspection/guarded-call.ts'
import { pauseOf } from '../../introspection/server-failure.ts'
import type { Pairs } from '../../oauth/form.ts'
import type { HttpClient, HttpRequest, HttpResponse } from '../../oauth/http.ts'
import type { HttpClientOptions } from '../../plugin/kit.ts'
import { errorText } from '../../util/errors.ts'
import type { Config } from './schema.ts'
import type { Soon } from './soon.ts'

const DEFAULT_TIMEOUT_MS = 10_000
/** Milliseconds that an idle connection to the provider is kept. */
const KEEPALIVE_MS = 60_000

/** Time limits and TLS of connections to the provider. */
export function connectionOf(config: Config): HttpClientOptions {
  return {
    timeoutMs: config.timeout ?? DEFAULT_TIMEOUT_MS,
    keepaliveMs: config.keepalive === false ? 0 : KEEPALIVE_MS,
    verifyTls: config.ssl_verify !== false,
  }
}

/** Names and values of two lists by index. */
export function pairwise(names: readonly string[] | null, values: readonly string[] | null): Pairs {
  return (names ?? []).map((name, index): [string, string] => [name, values?.[index] ?? ''])
}

/** Statuses with which a server says that it as a whole is not able to answer. */
const UNABLE = new Set([408, 429, 502, 503, 504])

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
 * Sends one request within the bounds that introspection calls have too, and gives its answer, whatever its status as long as the server is able to answer.
 * Never rejects.
 *
 * @param request what it throws is our own configuration's fault
 */
export function callProvider(request: () => Soon<HttpRequest>, call: GuardedCall): Promise<HttpResponse | FailedAnswer> {
  const { guard, http, timeoutMs, now } = call
  return guarded(guard, timeoutMs, async () => {
    let sent: HttpRequest
    try {
      sent = await request()
    } catch (error) {
      return failed('configuration', errorText(error))
    }
    const response = await http(sent)
    if (!UNABLE.has(response.status)) {
      guard.succeeded()
      return response
    }
    guard.failed(pauseOf(response, now()))
    return failed('status', 'the server is not able to answer', { endpointStatus: response.status, retryAfterS: guard.retryAfterS })
  })
}

/** True for "no answer". */
export function isFailed(answer: HttpResponse | FailedAnswer): answer is FailedAnswer {
  return 'kind' in answer
}
