/** bench/history.jsonl: one line a release. */
import { appendFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Machine } from './machine.ts'
import { isMet } from './question.ts'
import type { Answered } from './report.ts'

const FILE = join(import.meta.dirname, 'history.jsonl')

/** The version that package.json names. */
export function version(): string {
  return (JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')) as { version: string }).version
}

/** Adds the line of a whole run. Figures stand as medians, by question and subject; goals by question and what they are of. */
export function record(all: readonly Answered[], { cpu, cores, node }: Machine): void {
  const figures = Object.fromEntries(
    all.map(({ name, answer }) => [
      name,
      Object.fromEntries(answer.rows.flatMap((row) => ('figure' in row ? [[row.subject, rounded(row.figure.median)]] : []))),
    ]),
  )
  const goals = Object.fromEntries(
    all.map(({ name, answer }) => [
      name,
      Object.fromEntries(answer.goals.map((goal) => [goal.of, { value: rounded(goal.value.median), met: isMet(goal) }])),
    ]),
  )
  const line = { version: version(), date: new Date().toISOString().slice(0, 10), cpu, cores, node, figures, goals }
  appendFileSync(FILE, `${JSON.stringify(line)}\n`)
}

function rounded(value: number): number {
  return Number(value.toPrecision(4))
}
