/** Answers as tables, for the terminal and for Markdown. */
import type { Answer, Question } from './question.ts'
import { isMet } from './question.ts'
import { format, type Summary } from './summary.ts'

/** A question with the answer that it got. */
export interface Answered {
  readonly name: string
  readonly question: Question
  readonly answer: Answer
}

export interface Table {
  readonly columns: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

/** What the subjects of a question came to. */
export function rowTable({ question, answer }: Answered): Table {
  const details = new Set(answer.rows.flatMap((row) => ('details' in row ? Object.keys(row.details ?? {}) : [])))
  const rows = answer.rows.map((row) =>
    'missing' in row
      ? [row.subject, row.missing]
      : [row.subject, withSpread(row.figure), ...[...details].map((column) => row.details?.[column] ?? '')],
  )
  return { columns: ['', question.unit, ...details], rows }
}

/** Every goal, and whether it is met. */
export function goalTable(all: readonly Answered[]): Table {
  const rows = all.flatMap(({ name, answer }) =>
    answer.goals.map((goal) => [
      isMet(goal) ? '✓' : '✗',
      name,
      `${withSpread(goal.value)} ${goal.of}`,
      `${goal.sense} ${goal.bound.toLocaleString('en-US')}`,
    ]),
  )
  return { columns: ['', 'question', 'measured', 'goal'], rows }
}

/** Columns of equal width; a cell without others behind it may be longer. */
export function inTerminal({ columns, rows }: Table): string {
  const lines = [columns, ...rows]
  const widths = columns.map((_, column) => Math.max(...lines.map((cells) => (column < cells.length - 1 ? cells[column]?.length : 0) ?? 0)))
  return `${lines.map((cells) => `  ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd()).join('\n')}\n`
}

export function inMarkdown({ columns, rows }: Table): string {
  const line = (cells: readonly string[]) => `| ${columns.map((_, column) => cells[column] ?? '').join(' | ')} |`
  return [line(columns), `|${columns.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n')
}

function withSpread({ median, spread }: Summary): string {
  return spread === 0 ? format(median) : `${format(median)} ±${format(spread)}`
}
