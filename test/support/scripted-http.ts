/** An HTTP client without a network: answers what the test says, one request after the other, and remembers what was asked. */
import type { HttpClient, HttpRequest, HttpResponse } from '../../src/oauth/http.ts'

/** A JSON value or text as body of a 200, or a whole answer, or a failure of the transport. */
export type ScriptedAnswer =
  | { json: unknown }
  | { text: string }
  | { status: number; text?: string; headers?: Record<string, string> }
  | { error: Error }

export type ScriptedHttp = {
  readonly client: HttpClient
  readonly requests: readonly HttpRequest[]
  /** What every further request is answered with. */
  answer(answer: ScriptedAnswer | ((request: HttpRequest) => ScriptedAnswer)): void
  /** Keeps answers back until `release`; what they are is decided then. */
  hold(): void
  release(): void
}

export function scriptedHttp(initial: ScriptedAnswer = { json: { active: false } }): ScriptedHttp {
  const requests: HttpRequest[] = []
  let current: (request: HttpRequest) => ScriptedAnswer = () => initial
  let gate: PromiseWithResolvers<void> | undefined
  return {
    requests,
    answer(answer) {
      current = typeof answer === 'function' ? answer : () => answer
    },
    hold() {
      gate ??= Promise.withResolvers<void>()
    },
    release() {
      gate?.resolve()
      gate = undefined
    },
    async client(request) {
      requests.push(request)
      await gate?.promise
      const answer = current(request)
      if ('error' in answer) throw answer.error
      return toResponse(answer)
    },
  }
}

function toResponse(answer: Exclude<ScriptedAnswer, { error: Error }>): HttpResponse {
  const headers = 'headers' in answer ? (answer.headers ?? {}) : {}
  const text = 'json' in answer ? JSON.stringify(answer.json) : (answer.text ?? '')
  return {
    status: 'status' in answer ? answer.status : 200,
    headers: { get: (name) => headers[name] ?? null },
    body: Buffer.from(text),
  }
}
