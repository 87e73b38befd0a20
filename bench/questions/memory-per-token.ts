import { setTimeout as delay } from 'node:timers/promises'
import { flood, type Load } from '../load.ts'
import { CONNECTIONS } from '../measure.ts'
import { memoryBytes } from '../processes.ts'
import type { Question } from '../question.ts'
import { AUTHORIZATION, startStage } from '../stage.ts'
import { format, summarise } from '../summary.ts'

/** The cache's default bound: more tokens than that push each other out. */
const MOST_TOKENS = 100_000
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
    for (let round = 0; round < rounds; round++) fillings.push(await fill(Math.min(seconds, 2), seconds))
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
        'Proportional set size of the worker after a load with new tokens, less that after the same load with one token before; a fresh gateway each time, no forced garbage collection: what the collector has not yet given back is in it.',
      ],
    }
  },
}

/** @param restSeconds time for the collector after each load */
async function fill(restSeconds: number, seconds: number): Promise<Filling> {
  await using stage = await startStage()
  const load: Load = { url: stage.url('orders'), headers: AUTHORIZATION, connections: CONNECTIONS, seconds }
  await flood(load)
  await delay(restSeconds * 1000)
  const before = memoryBytes(stage.workers)
  const { requests } = await flood({ ...load, newTokens: true })
  await delay(restSeconds * 1000)
  return { tokens: Math.min(requests, MOST_TOKENS), bytes: memoryBytes(stage.workers) - before }
}
