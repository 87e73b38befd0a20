/** CPU time per request, subject beside subject in the same rounds. */
import { flood, type Load, type Outcome } from './load.ts'
import { cpuSeconds } from './processes.ts'
import type { Pace, Row } from './question.ts'
import { format, type Summary, summarise, summarisePairs } from './summary.ts'

/** Connections that the load is sent over where a subject does not say: enough to keep one worker busy. */
export const CONNECTIONS = 32

/** Something that answers requests. */
export interface Subject extends Omit<Load, 'connections' | 'seconds'> {
  readonly name: string
  readonly connections?: number
  /** The processes whose CPU time counts: all that serve, none that only start them. */
  pids(): readonly number[]
}

export interface Sample extends Outcome {
  /** CPU time, user and system, that the subject's processes took for one request. */
  readonly cpuUsPerRequest: number
}

/** Sends the load and measures the CPU time of the subject while it lasts. */
export async function measure(subject: Subject, seconds: number): Promise<Sample> {
  const pids = subject.pids()
  const before = cpuSeconds(pids)
  const outcome = await flood({ connections: CONNECTIONS, ...subject, seconds })
  const spent = cpuSeconds(pids) - before
  if (outcome.requests === 0) throw new Error(`${subject.name}: no request was answered`)
  return { ...outcome, cpuUsPerRequest: (spent * 1e6) / outcome.requests }
}

/** Measures all subjects in every round, each round beginning with another one. The samples of a subject stand in the order of the rounds. */
export async function measureInRounds<T extends Subject>(subjects: readonly T[], pace: Pace): Promise<Map<T, Sample[]>> {
  const samples = new Map<T, Sample[]>(subjects.map((subject) => [subject, []]))
  if (pace.warmUpSeconds > 0) for (const subject of subjects) await measure(subject, pace.warmUpSeconds)
  for (let round = 0; round < pace.rounds; round++) {
    for (let turn = 0; turn < subjects.length; turn++) {
      const subject = subjects[(round + turn) % subjects.length] as T
      samples.get(subject)?.push(await measure(subject, pace.seconds))
    }
  }
  return samples
}

/** CPU time of a request in microseconds, with the throughput beside it. */
export function cpuRow(subject: string, samples: readonly Sample[]): Row {
  return {
    subject,
    figure: summarise(samples.map(({ cpuUsPerRequest }) => cpuUsPerRequest)),
    details: { 'requests/s': format(summarise(samples.map(({ requestsPerS }) => requestsPerS)).median) },
  }
}

/** How many requests `ours` serves in the CPU time in which `theirs` serves one. */
export function timesAsFast(ours: readonly Sample[], theirs: readonly Sample[]): Summary {
  return summarisePairs(ours, theirs, (our, their) => their.cpuUsPerRequest / our.cpuUsPerRequest)
}
