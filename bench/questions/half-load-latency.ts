import { trickle } from '../load.ts'
import { CONNECTIONS, measure, type Subject } from '../measure.ts'
import { startNginxProxy } from '../peers/nginx.ts'
import { isInstalled } from '../processes.ts'
import type { Question, Row } from '../question.ts'
import { AUTHORIZATION, startStage } from '../stage.ts'
import { format, summarise, summarisePairs } from '../summary.ts'

const OURS = 'Sallyport, cached introspection'

export const question: Question = {
  asks: 'How long does the slowest of a hundred requests take at half of the load that each can bear?',
  unit: 'p99 ms',
  async run({ rounds, seconds, warmUpSeconds }) {
    if (!isInstalled('h2load')) {
      return { rows: [{ subject: OURS, missing: 'needs h2load (Debian: apt-get install nghttp2-client)' }], goals: [], notes: [] }
    }
    await using cleanup = new AsyncDisposableStack()
    const stage = cleanup.use(await startStage())
    const server = cleanup.adopt(await startNginxProxy(stage.backend), (started) => started.stop())
    const nginx = { name: 'nginx proxy_pass', url: `http://127.0.0.1:${server.port}/orders`, headers: AUTHORIZATION, pids: server.pids }
    const subjects: readonly Subject[] = [stage.subject(OURS, 'orders'), nginx]
    const rates = new Map<Subject, number>()
    for (const subject of subjects) {
      if (warmUpSeconds > 0) await measure(subject, warmUpSeconds)
      rates.set(subject, (await measure(subject, seconds)).requestsPerS / 2)
    }
    const p99s = new Map<Subject, number[]>(subjects.map((subject) => [subject, []]))
    for (let round = 0; round < rounds; round++) {
      for (const [subject, rate] of rates) {
        p99s.get(subject)?.push(percentile99(await trickle({ ...subject, connections: CONNECTIONS, seconds }, rate)))
      }
    }
    const [ours = [], theirs = []] = subjects.map((subject) => p99s.get(subject))
    const row = (subject: Subject): Row => ({
      subject: subject.name,
      figure: summarise(p99s.get(subject) ?? []),
      details: { 'requests/s': format(rates.get(subject) ?? 0) },
    })
    const value = summarisePairs(ours, theirs, (our, their) => our / their)
    return {
      rows: subjects.map(row),
      goals: [{ of: '× the p99 of nginx proxy_pass', value, sense: 'at most', bound: 3 }],
      notes: [
        `h2load sends at a constant rate over ${CONNECTIONS} HTTP/1.1 connections, all of which send at the same moments: part of each figure is the wait behind the others.`,
      ],
    }
  },
}

function percentile99(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.99)] ?? 0
}
