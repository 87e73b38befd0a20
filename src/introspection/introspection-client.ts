/**
 * Asks the authorization server: one request, one deadline, within the bounds of the server's {@link CallGuard}. Retrying on a connection that turned out to
 * be closed is the HTTP client's matter. Whatever goes wrong becomes a value with a reason; what a peer sent never becomes text.
 */
import { hash } from 'node:crypto'
import { numericDate } from '../oauth/claims.ts'
import type { HttpClient, HttpRequest, HttpResponse } from '../oauth/http.ts'
import type { IntrospectionFailure, IntrospectionOutcome } from '../oauth/introspection.ts'
import { type ActiveAnswer, type Answer, type FailedAnswer, failed, type InactiveAnswer } from './answer.ts'
import type { CallGuard } from './call-guard.ts'
import { guarded } from './guarded-call.ts'
import type { IntrospectionMeter } from './meters.ts'
import type { IntrospectionCall } from './profile.ts'
import type { IntrospectedRequest } from './request.ts'
import { codeOf, pauseOf } from './server-failure.ts'

/** An answer and what the cache needs to know of it. */
export interface CallResult {
  readonly answer: Answer
  /** The server itself said "not active". */
  readonly cacheableNegative: boolean
  /** Bytes of the answer's body. */
  readonly bodyBytes: number
}

/** Statuses with which a server says that it as a whole is not able to answer. */
const UNABLE = new Set([429, 502, 503, 504])

export class IntrospectionClient {
  readonly #call: IntrospectionCall
  readonly #http: HttpClient
  readonly #guard: CallGuard
  readonly #now: () => number
  readonly #meter: IntrospectionMeter

  constructor(call: IntrospectionCall, http: HttpClient, guard: CallGuard, now: () => number, meter: IntrospectionMeter) {
    this.#call = call
    this.#http = http
    this.#guard = guard
    this.#now = now
    this.#meter = meter
  }

  /** Introspects `token`. Never rejects. */
  async introspect(token: string, about: IntrospectedRequest): Promise<CallResult> {
    const result = await guarded(this.#guard, this.#call.timeoutMs, () => this.#exchange(token, about))
    return 'kind' in result ? this.#fail(result) : result
  }

  /** @throws on failure of the transport only */
  async #exchange(token: string, about: IntrospectedRequest): Promise<CallResult> {
    let request: HttpRequest
    try {
      const made = this.#call.request(token, about)
      // What is at hand is not waited for: each turn of a promise costs.
      request = made instanceof Promise ? await made : made
    } catch (error) {
      return this.#fail(failed('configuration', codeOf(error)))
    }
    this.#meter.counters.calls++
    const startedMs = performance.now()
    let response: HttpResponse
    try {
      response = await this.#http(request)
    } finally {
      this.#meter.duration(performance.now() - startedMs)
    }
    this.#note(response)
    let outcome: IntrospectionOutcome
    try {
      const read = this.#call.interpret(response, this.#now() / 1000)
      outcome = read instanceof Promise ? await read : read
    } catch (error) {
      return this.#fail(failed('malformed', codeOf(error), { endpointStatus: response.status }))
    }
    const bodyBytes = response.body.length
    switch (outcome.kind) {
      case 'active':
        return { answer: activeAnswer(outcome, token), cacheableNegative: false, bodyBytes }
      case 'inactive':
        return { answer: INACTIVE[outcome.reason], cacheableNegative: outcome.cacheable, bodyBytes }
      default:
        return this.#fail(failureOf(outcome.reason, response.status, this.#guard.retryAfterS))
    }
  }

  /** Tells the guard how the server is. */
  #note(response: HttpResponse): void {
    if (!UNABLE.has(response.status)) return this.#guard.succeeded()
    const asked = response.status === 429 || response.status === 503 ? pauseOf(response, this.#now()) : 0
    this.#guard.failed(asked)
  }

  #fail(answer: FailedAnswer): CallResult {
    this.#meter.counters.failures[answer.failure]++
    return { answer, cacheableNegative: false, bodyBytes: 0 }
  }
}

function activeAnswer({ claims, jwt }: Extract<IntrospectionOutcome, { kind: 'active' }>, token: string): ActiveAnswer {
  return {
    kind: 'active',
    claims,
    jwt: jwt ?? null,
    tokenDigest: hash('sha256', token, 'hex'),
    expMs: (numericDate(claims['exp']) ?? Number.POSITIVE_INFINITY) * 1000,
    nbfMs: (numericDate(claims['nbf']) ?? Number.NEGATIVE_INFINITY) * 1000,
    prepared: null,
  }
}

/** One value for each reason: a flood of bad tokens stores no objects. */
const INACTIVE: Readonly<Record<InactiveAnswer['reason'], InactiveAnswer>> = {
  active_false: { kind: 'inactive', reason: 'active_false' },
  active_unreadable: { kind: 'inactive', reason: 'active_unreadable' },
  expired: { kind: 'inactive', reason: 'expired' },
  not_yet_valid: { kind: 'inactive', reason: 'not_yet_valid' },
  wrong_issuer: { kind: 'inactive', reason: 'wrong_issuer' },
  not_an_access_token: { kind: 'inactive', reason: 'not_an_access_token' },
  no_content: { kind: 'inactive', reason: 'no_content' },
  error_response: { kind: 'inactive', reason: 'error_response' },
}

function failureOf(reason: IntrospectionFailure, endpointStatus: number, retryAfterS: number): FailedAnswer {
  if (reason === 'client_refused') return failed('refused', reason, { endpointStatus, retryAfterS })
  return failed(reason === 'unexpected_status' ? 'status' : 'malformed', reason, { endpointStatus, retryAfterS })
}
