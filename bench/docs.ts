/** docs/benchmarks/: the page and the picture of a whole run. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { barChart } from './bar-chart.ts'
import { version } from './history.ts'
import { busy, type Machine } from './machine.ts'
import type { Pace } from './question.ts'
import { type Answered, goalTable, inMarkdown, rowTable } from './report.ts'

const FOLDER = join(import.meta.dirname, '../docs/benchmarks')
const PICTURED = 'cached-introspection'

export function writeDocs(all: readonly Answered[], machine: Machine, pace: Pace): void {
  mkdirSync(FOLDER, { recursive: true })
  writeFileSync(join(FOLDER, 'README.md'), page(all, machine, pace))
  const pictured = all.find(({ name }) => name === PICTURED)
  if (pictured !== undefined) writeFileSync(join(FOLDER, `${PICTURED}.svg`), picture(pictured))
}

function picture({ question, answer }: Answered): string {
  const bars = answer.rows.flatMap((row) => ('figure' in row ? [{ label: row.subject, value: row.figure.median }] : []))
  return barChart({
    title: 'A request with cached introspection',
    caption: `${question.unit}, one worker; shorter is better`,
    bars: bars.map((bar) => ({ ...bar, emphasised: bar.label.startsWith('Sallyport') })),
  })
}

function page(all: readonly Answered[], machine: Machine, { rounds, seconds }: Pace): string {
  const { cpu, cores, node, peers } = machine
  const questions = all.map((answered) => {
    const { name, question, answer } = answered
    return [`## ${name}`, question.asks, inMarkdown(rowTable(answered)), ...answer.notes].join('\n\n')
  })
  return `<!-- Written by \`npm run bench\`; edit there (bench/). -->

# Benchmarks

Sallyport ${version()} on ${cores} cores of ${cpu}, Node.js ${node}; ${peers.join(', ')}; ${new Date().toISOString().slice(0, 10)}. ${busy(machine)}

\`npm run bench\` measures all of this again. What is compared is CPU time per request, taken in ${rounds} rounds of ${seconds} s in which every subject has its turn: throughput on a
machine that also makes the load says less. Figures are medians, ± half the distance between the least and the greatest; ratios are formed within each round.

![CPU time of a request with cached introspection, beside other proxies](${PICTURED}.svg)

## Goals

${inMarkdown(goalTable(all))}

${questions.join('\n\n')}
`
}
