/**
 * Right or wrong: what a request came to, beside what it had to come to. What was killed at the time excuses an answer that says so, never an answer that is
 * another's, and never a token that is taken for what it is not.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Seen } from './tokens.ts'

/** What is done to the gateway and to what it depends on. `reload` replaces its workers, `worker` kills one. */
export type Disturbance = 'upstream' | 'identity-provider' | 'worker' | 'reload'

/** When something was disturbed, in milliseconds of `performance.now()`. */
export class Disturbances {
  readonly #spans: { readonly kind: Disturbance; readonly fromMs: number; untilMs: number }[] = []

  /** Begins now; the function that comes back ends it `graceMs` later than it is called. */
  begin(kind: Disturbance): (graceMs: number) => void {
    const span = { kind, fromMs: performance.now(), untilMs: Number.POSITIVE_INFINITY }
    this.#spans.push(span)
    return (graceMs) => {
      span.untilMs = performance.now() + graceMs
    }
  }

  /** Whether any of the time between two moments was disturbed. */
  during(kind: Disturbance, fromMs: number, untilMs: number): boolean {
    return this.#spans.some((span) => span.kind === kind && span.fromMs <= untilMs && span.untilMs >= fromMs)
  }

  count(kind: Disturbance): number {
    return this.#spans.filter((span) => span.kind === kind).length
  }
}

/** What a request has to come to. */
export interface Expectation {
  /** `allow`: 200 from the upstream; `deny`: 401; `either` where the token ends about now. */
  readonly decision: 'allow' | 'deny' | 'either'
  /** Whether this connection's worker has to know the answer about the token already, or needs none. */
  readonly known: boolean
  readonly seen: Seen
  readonly body: Buffer
}

export interface Answer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/** No whole answer: the connection broke, or time ran out. */
export interface Break {
  readonly code: string
  readonly timedOut: boolean
  /** Whether the answer had begun. */
  readonly headSeen: boolean
  /** Whether a body was refused on the same connection just before: one that is too long to be read to its end costs the connection. */
  readonly afterRefusedBody?: boolean
}

export type Outcome = { readonly fromMs: number; readonly untilMs: number } & (
  | { readonly answer: Answer; readonly broken?: never }
  | { readonly broken: Break; readonly answer?: never }
)

/** `right`, `excused` by what was disturbed, or `wrong`. */
export type Verdict = { readonly kind: 'right' | 'excused' | 'wrong'; readonly why: string }

/** Statuses by which the gateway says that the upstream failed. */
const UPSTREAM_FAILED = new Set([502, 503, 504])

/** Judges one request. */
export function judge(expectation: Expectation, outcome: Outcome, disturbances: Disturbances): Verdict {
  const disturbed = (kind: Disturbance): boolean => disturbances.during(kind, outcome.fromMs, outcome.untilMs)
  return outcome.answer === undefined ? judgeBreak(outcome.broken, disturbed) : judgeAnswer(expectation, outcome.answer, disturbed)
}

function judgeBreak({ code, timedOut, headSeen, afterRefusedBody = false }: Break, disturbed: (kind: Disturbance) => boolean): Verdict {
  if (timedOut) return wrong('no whole answer in time')
  if (disturbed('worker')) return excused('worker killed')
  if (headSeen && disturbed('upstream')) return excused('cut with the upstream')
  // A connection that is kept may be closed while the next request is on its way (RFC 9112 section 9.3.1).
  if (!headSeen && disturbed('reload')) return excused('idle connection closed')
  if (!headSeen && afterRefusedBody) return excused('closed after a refused body')
  return wrong(`${headSeen ? 'broken off after the head' : 'no answer'} (${code})`)
}

function judgeAnswer({ decision, known, seen, body }: Expectation, answer: Answer, disturbed: (kind: Disturbance) => boolean): Verdict {
  const { status, headers } = answer
  if (status === 200 || status === 101) {
    if (decision === 'deny') return wrong('an inactive token was let in')
    const said = parse(headers['x-soak-seen'])
    if (!isDeepStrictEqual(said, seen)) return wrong(`the upstream saw ${JSON.stringify(said)} instead of ${JSON.stringify(seen)}`)
    return answer.body.equals(body)
      ? right(String(status))
      : wrong(`a body of ${answer.body.length} bytes is not the one of ${body.length}`)
  }
  if (status === 401) {
    if (decision === 'allow') return wrong('an active token was refused')
    return headers['www-authenticate'] === undefined ? wrong('401 without challenge') : right('401')
  }
  if (status === 503 && !known && disturbed('identity-provider')) return excused('503 without identity provider')
  if (decision !== 'deny' && UPSTREAM_FAILED.has(status) && disturbed('upstream')) return excused(`${status} without upstream`)
  return wrong(`${status} with nothing disturbed that explains it`)
}

const right = (why: string): Verdict => ({ kind: 'right', why })
const excused = (why: string): Verdict => ({ kind: 'excused', why })
const wrong = (why: string): Verdict => ({ kind: 'wrong', why })

function parse(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '')
  } catch {
    return text
  }
}
