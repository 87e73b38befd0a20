import { flood, type Load } from '../load.ts'
import { CONNECTIONS } from '../measure.ts'
import { memoryBytes } from '../processes.ts'
import type { Question } from '../question.ts'
import { startStage } from '../stage.ts'
import { format, summarise } from '../summary.ts'

/** Loads that are counted, after a first one that is not. Together they stay below the bound of the cache, 100,000 tokens. */
const FILLINGS = 2
const PER = 10_000
const MB = 1_000_000

interface Filling {
  readonly tokens: number
  readonly bytes: number
}

export const question: Question = {
  asks: `How much memory do ${PER.toLocaleString('en-US')} cached tokens take?`,
  unit: 'MB',
  async run({ rounds, seconds }) {
    const fillings: Filling[] = []
    for (let round = 0; round < rounds; round++) fillings.push(await fill(seconds))
    return {
      rows: [
        {
          subject: `a worker, per ${PER.toLocaleString('en-US')} tokens`,
          figure: summarise(fillings.map(({ tokens, bytes }) => (bytes * PER) / tokens / MB)),
          details: { 'tokens cached': format(summarise(fillings.map(({ tokens }) => tokens)).median) },
        },
      ],
      goals: [],
      notes: [
        'Growth of the proportional set size of the worker by two loads of new tokens after a first one; a fresh gateway each time, no forced garbage collection: what the first load left behind is out of it, what the others did is in it.',
      ],
    }
  },
}

async function fill(seconds: number): Promise<Filling> {
  await using stage = await startStage()
  const load: Load = { url: stage.url('orders'), connections: CONNECTIONS, seconds, newTokens: true }
  await flood(load)
  const before = memoryBytes(stage.workers)
  let tokens = 0
  for (let filling = 0; filling < FILLINGS; filling++) tokens += (await flood(load)).requests
  return { tokens, bytes: memoryBytes(stage.workers) - before }
}
