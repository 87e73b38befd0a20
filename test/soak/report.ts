/** What a run came to, for people. */
import type { Course, Sample } from './resources.ts'
import type { Tally } from './tally.ts'

const MIB = 1024 * 1024

export interface Results {
  readonly seconds: number
  readonly rate: number
  /** Requests per second that went through, where that was measured. */
  readonly capacity: number | null
  readonly tally: Tally
  readonly events: Readonly<Record<string, number>>
  readonly memory: Course
  readonly descriptors: Course
  readonly toUpstream: Course
  readonly idle: Sample
  readonly end: Sample
  readonly mostWaiting: number
  /** Lines of the log by level and text. */
  readonly log: ReadonlyMap<string, number>
}

export function report(results: Results): string {
  const { seconds, rate, capacity, tally, events, memory, descriptors, toUpstream, idle, end, mostWaiting, log } = results
  const share = capacity === null ? '' : `, ${Math.round((100 * rate) / capacity)} % of ${Math.round(capacity)}`
  const mib = (bytes: number): string => `${(bytes / MIB).toFixed(1)} MiB`
  const rows = [...tally.kinds].map(([name, { outcomes, latency }]) => {
    const counts = [...outcomes].sort(([, a], [, b]) => b - a).map(([outcome, count]) => `${count} × ${outcome}`)
    const ms = (percentile: number): string => (latency.count === 0 ? '' : (latency.percentile(percentile) / 1000).toFixed(1))
    return `${name.padEnd(28)}${ms(50).padStart(8)}${ms(99).padStart(9)}   ${counts.join(', ')}`
  })
  return [
    `Soak of ${Math.round(seconds)} s at ${Math.round(rate)} requests a second${share}`,
    '',
    `${'requests'.padEnd(28)}${'p50 ms'.padStart(8)}${'p99 ms'.padStart(9)}   outcomes`,
    ...rows,
    '',
    `${tally.requests} judged; ${tally.known} with a token that the connection's worker had to know; ${mostWaiting} waited for a connection at most`,
    `done meanwhile: ${Object.entries(events)
      .map(([name, count]) => `${count} ${name}`)
      .join(', ')}`,
    `memory: first quarter ${mib(memory.first)}, last ${mib(memory.last)}, ${mib(memory.perMinute)} a minute, most ${mib(memory.most)}`,
    `descriptors of a process: first quarter ${descriptors.first}, last ${descriptors.last}, most ${descriptors.most}; idle ${idle.descriptors} before and ${end.descriptors} after`,
    `connections to the upstream: first quarter ${toUpstream.first}, last ${toUpstream.last}, most ${toUpstream.most}`,
    `connections of the gateway: ${idle.connections.length} before and ${end.connections.length} after the load`,
    `log: ${[...log].map(([line, count]) => `${count} × ${line}`).join('; ') || 'nothing'}`,
    '',
    ...(tally.wrong === 0 ? ['No violation.'] : [`${tally.wrong} VIOLATIONS, among them`, ...tally.violations.map((line) => `  ${line}`)]),
    '',
  ].join('\n')
}
