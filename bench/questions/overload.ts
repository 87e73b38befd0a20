import { type Pressure, press } from '../load.ts'
import { measure } from '../measure.ts'
import { memoryBytes } from '../processes.ts'
import type { Question } from '../question.ts'
import { AUTHORIZATION, startStage } from '../stage.ts'
import { format, summarise } from '../summary.ts'

/** Connections that the worker takes on. */
const LIMIT = 1000
const LOADS = [1, 2, 5]
/** In less time so many connections are hardly open. */
const LEAST_SECONDS = 4
const MB = 1_000_000

interface Outcome extends Pressure {
  readonly memoryMb: number
}

export const question: Question = {
  asks: `What becomes of a worker that takes on ${LIMIT.toLocaleString('en-US')} connections when more of them want all that they can get?`,
  unit: 'requests/s served',
  async run({ rounds, seconds, warmUpSeconds }) {
    await using stage = await startStage({ env: { SALLYPORT_NGINX_EVENTS_WORKER_CONNECTIONS: String(LIMIT) } })
    if (warmUpSeconds > 0) await measure(stage.subject('warm-up', 'orders'), warmUpSeconds)
    const outcomes = new Map<number, Outcome[]>(LOADS.map((times) => [times, []]))
    for (let round = 0; round < rounds; round++) {
      for (const [times, own] of outcomes) {
        const pressure = await press({
          url: stage.url('orders'),
          headers: AUTHORIZATION,
          connections: times * LIMIT,
          seconds: Math.max(seconds, LEAST_SECONDS),
        })
        own.push({ ...pressure, memoryMb: memoryBytes(stage.workers) / MB })
      }
    }
    const median = (own: readonly Outcome[], read: (outcome: Outcome) => number): string => format(summarise(own.map(read)).median)
    return {
      rows: [...outcomes].map(([times, own]) => ({
        subject: times === 1 ? 'as many connections as it takes on' : `${times} times as many`,
        figure: summarise(own.map(({ requestsPerS, requests, refused }) => requestsPerS * (1 - refused / Math.max(requests, 1)))),
        details: {
          'p99 ms': median(own, ({ p99Ms }) => p99Ms),
          'told 503': median(own, ({ refused }) => refused),
          'closed at once': median(own, ({ broken }) => broken),
          'worker MB': median(own, ({ memoryMb }) => memoryMb),
        },
      })),
      goals: [],
      notes: [
        'Each connection sends its next request as soon as it has an answer, and whoever is turned away comes back at once, which real clients seldom do: what it costs to turn them away is taken from those that are served.',
      ],
    }
  },
}
