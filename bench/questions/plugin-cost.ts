import { cpuRow, measureInRounds } from '../measure.ts'
import type { Question } from '../question.ts'
import { startStage } from '../stage.ts'
import { summarisePairs } from '../summary.ts'

export const question: Question = {
  asks: 'How much of a request with cached introspection is the plugin?',
  unit: 'CPU µs per request',
  async run(pace) {
    await using stage = await startStage()
    const plain = stage.subject('no plugin', 'plain')
    const introspected = stage.subject('oauth2-introspection, cached', 'orders')
    const samples = await measureInRounds([plain, introspected], pace)
    const [without = [], with_ = []] = [samples.get(plain), samples.get(introspected)]
    const share = summarisePairs(without, with_, (cheap, dear) => 100 * (1 - cheap.cpuUsPerRequest / dear.cpuUsPerRequest))
    return {
      rows: [cpuRow(plain.name, without), cpuRow(introspected.name, with_)],
      goals: [{ of: '% cheaper without the plugin', value: share, sense: 'at most', bound: 10 }],
      notes: ['Two routes of one gateway with one worker.'],
    }
  },
}
