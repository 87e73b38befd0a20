import { cpuRow, measureInRounds, type Subject, timesAsFast } from '../measure.ts'
import type { Question } from '../question.ts'
import { startStage } from '../stage.ts'
import { scale } from '../summary.ts'

export const question: Question = {
  asks: 'What does a request cost whose token was never seen before?',
  unit: 'CPU µs per request',
  async run(pace) {
    await using stage = await startStage()
    const cached = stage.subject('the same token every time', 'orders')
    const uncached: Subject = { ...stage.subject('a new token every time', 'orders'), newTokens: true }
    const samples = await measureInRounds([cached, uncached], pace)
    const [same = [], new_ = []] = [samples.get(cached), samples.get(uncached)]
    return {
      rows: [cpuRow(cached.name, same), cpuRow(uncached.name, new_)],
      goals: [{ of: '% of the requests of the cache', value: scale(timesAsFast(new_, same), 100), sense: 'at least', bound: 45 }],
      notes: ['The introspection endpoint answers at once; its CPU time and that of making tokens are not in the figures.'],
    }
  },
}
