/** What a question of the bench is, and what an answer to it looks like. */
import type { Summary } from './summary.ts'

/** How long a run takes. */
export interface Pace {
  readonly rounds: number
  /** Of load for each subject in each round. */
  readonly seconds: number
  /** Of load for each subject before the first round; 0 is none. */
  readonly warmUpSeconds: number
}

/** One number is the purpose of a question: the figure that each row gives, in `unit`. */
export interface Question {
  /** The sentence that the answer is read under. */
  readonly asks: string
  readonly unit: string
  run(pace: Pace): Promise<Answer>
}

export interface Answer {
  readonly rows: readonly Row[]
  readonly goals: readonly Goal[]
  /** How it was measured and what limits it, a sentence each. */
  readonly notes: readonly string[]
}

/** What one subject came to, or why there is no figure. */
export type Row =
  | { readonly subject: string; readonly figure: Summary; readonly details?: Readonly<Record<string, string>> }
  | { readonly subject: string; readonly missing: string }

/** What we set out to reach. */
export interface Goal {
  /** What the value is, to be read after it: `× nginx proxy_pass`. */
  readonly of: string
  readonly value: Summary
  readonly sense: 'at least' | 'at most'
  readonly bound: number
}

export function isMet({ value, sense, bound }: Goal): boolean {
  return sense === 'at least' ? value.median >= bound : value.median <= bound
}
