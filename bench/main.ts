/**
 * `npm run bench`: every question of bench/questions, one after the other, ours and the peers side by side.
 *
 *   npm run bench                      all, with docs/benchmarks/ written anew
 *   npm run bench -- --quick           fewer and shorter rounds
 *   npm run bench -- --only NAME       one question; may be given several times
 *   npm run bench -- --record          all, and one line more in bench/history.jsonl
 *   npm run bench -- --smoke           only that each question runs to its end
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { writeDocs } from './docs.ts'
import { record } from './history.ts'
import { busy, describeMachine } from './machine.ts'
import { isInstalled } from './processes.ts'
import type { Pace, Question } from './question.ts'
import { type Answered, goalTable, inTerminal, rowTable } from './report.ts'

const PACES = {
  full: { rounds: 5, seconds: 3, warmUpSeconds: 3 },
  quick: { rounds: 3, seconds: 1, warmUpSeconds: 1 },
  smoke: { rounds: 1, seconds: 0.5, warmUpSeconds: 0 },
} as const satisfies Record<string, Pace>

const FOLDER = join(import.meta.dirname, 'questions')
/** The one that README and page begin with. */
const FIRST = 'cached-introspection'

const names = readdirSync(FOLDER)
  .map((file) => file.replace(/\.ts$/, ''))
  .sort((a, b) => Number(b === FIRST) - Number(a === FIRST) || a.localeCompare(b))

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    smoke: { type: 'boolean', default: false },
    record: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
  },
})
const unknown = values.only.filter((name) => !names.includes(name))
const missing = ['nginx', 'wrk'].filter((program) => !isInstalled(program))
if (unknown.length > 0) refuse(`There is no question ${unknown.join(', ')}. Questions: ${names.join(', ')}`)
if (missing.length > 0) refuse(`The bench needs ${missing.join(' and ')} (Debian: apt-get install ${missing.join(' ')}).`)
const whole = !values.quick && !values.smoke && values.only.length === 0
if (values.record && !whole) refuse('Only a whole run is recorded: --record goes without --quick, --smoke and --only.')

// The gateway is in a process group of its own; it is ended with everything else when this process exits.
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)
  process.once(signal, () => process.exit(code))

const machine = describeMachine()
process.stdout.write(`${busy(machine)}\n`)

const pace = values.smoke ? PACES.smoke : values.quick ? PACES.quick : PACES.full
const answered: Answered[] = []
for (const name of names.filter((candidate) => values.only.length === 0 || values.only.includes(candidate))) {
  const { question } = (await import(join(FOLDER, `${name}.ts`))) as { readonly question: Question }
  process.stdout.write(`\n${name}: ${question.asks}\n`)
  try {
    const answer = { name, question, answer: await question.run(pace) }
    answered.push(answer)
    process.stdout.write(inTerminal(rowTable(answer)))
    for (const note of answer.answer.notes) process.stdout.write(`  ${note}\n`)
  } catch (error) {
    process.stdout.write(`  failed: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  }
}

process.stdout.write(`\nGoals, as the median of ${pace.rounds} rounds (± half the distance between the least and the greatest)\n`)
process.stdout.write(inTerminal(goalTable(answered)))
if (whole && process.exitCode === undefined) {
  writeDocs(answered, machine, pace)
  if (values.record) record(answered, machine)
}

function refuse(reason: string): never {
  process.stderr.write(`${reason}\n`)
  process.exit(2)
}
