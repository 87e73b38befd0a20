/** Counts what requests came to, and keeps examples of what was wrong. */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import type { Outcome, Verdict } from './verdict.ts'

/** Examples kept of each kind of wrong. */
const MAX_EXAMPLES = 5

interface KindCount {
  readonly outcomes: Map<string, number>
  /** Of answers, in microseconds. */
  readonly latency: RecordableHistogram
}

export class Tally {
  readonly kinds = new Map<string, KindCount>()
  readonly violations: string[] = []
  readonly #startMs = performance.now()
  readonly #examples = new Map<string, number>()
  wrong = 0
  requests = 0
  /** Requests with a token that the connection's worker had to know. */
  known = 0

  /** @param latencyMs from when it was due */
  add(kind: string, { kind: verdict, why }: Verdict, outcome: Outcome, latencyMs: number, known: boolean): void {
    this.requests++
    if (known) this.known++
    this.count(kind, verdict === 'wrong' ? 'WRONG' : why)
    if (verdict === 'right') this.#kind(kind).latency.record(Math.max(1, Math.round(latencyMs * 1000)))
    if (verdict !== 'wrong') return
    const tookMs = Math.round(outcome.untilMs - outcome.fromMs)
    this.violate(`${kind}: ${why}`, `after ${tookMs} ms`)
  }

  count(kind: string, outcome: string): void {
    const { outcomes } = this.#kind(kind)
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  }

  /** Something is not as it must be. @param what alike for all of its kind, up to its first digit */
  violate(what: string, detail = ''): void {
    this.wrong++
    const family = what.replace(/\d.*/s, '')
    const seen = this.#examples.get(family) ?? 0
    this.#examples.set(family, seen + 1)
    if (seen >= MAX_EXAMPLES) return
    const atS = ((performance.now() - this.#startMs) / 1000).toFixed(1)
    const line = `at ${atS} s: ${what}${detail === '' ? '' : ` ${detail}`}`
    this.violations.push(line)
    process.stdout.write(`  WRONG ${line}\n`)
  }

  #kind(name: string): KindCount {
    const known = this.kinds.get(name) ?? { outcomes: new Map(), latency: createHistogram() }
    this.kinds.set(name, known)
    return known
  }
}
