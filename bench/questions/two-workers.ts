import { availableParallelism } from 'node:os'
import { CONNECTIONS, cpuRow, measureInRounds, type Subject, timesAsFast } from '../measure.ts'
import type { Question } from '../question.ts'
import { startStage } from '../stage.ts'
import { format, scale, summarisePairs } from '../summary.ts'

/** Two workers, the upstream and the load. */
const CORES_NEEDED = 4

export const question: Question = {
  asks: 'Do two workers serve twice as much as one?',
  unit: 'CPU µs per request',
  async run(pace) {
    await using one = await startStage({ ownCore: false })
    await using two = await startStage({ workers: 2, ownCore: false })
    const single = one.subject('one worker', 'orders')
    // As many for each worker.
    const double: Subject = { ...two.subject('two workers', 'orders'), connections: 2 * CONNECTIONS }
    const samples = await measureInRounds([single, double], pace)
    const [alone = [], together = []] = [samples.get(single), samples.get(double)]
    const throughput = summarisePairs(together, alone, (both, first) => both.requestsPerS / first.requestsPerS)
    const cores = availableParallelism()
    const limit =
      cores < CORES_NEEDED
        ? `the ${cores} cores of this machine, on which two workers, the upstream and the load run: two workers cannot have a core each`
        : `nothing but the gateway: ${cores} cores are enough for two workers, the upstream and the load`
    return {
      rows: [cpuRow(single.name, alone), cpuRow(double.name, together)],
      goals: [
        {
          of: '× the requests of one worker, from the CPU time of a request',
          value: scale(timesAsFast(together, alone), 2),
          sense: 'at least',
          bound: 1.8,
        },
      ],
      notes: [
        `${CONNECTIONS} connections for each worker.`,
        `Throughput as measured: ${format(throughput.median)} × one worker; what limits it is ${limit}.`,
      ],
    }
  },
}
