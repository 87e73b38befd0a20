import { join } from 'node:path'
import { type TemporaryFolder, temporaryFolder } from '../../test/support/temp.ts'
import { measureInRounds } from '../measure.ts'
import type { Pace, Question, Row } from '../question.ts'
import { type Endpoints, introspectionPlugin, type PluginEntity, refusal, startStage } from '../stage.ts'
import { format, summarise, summarisePairs } from '../summary.ts'

/** Plugins that look on, with the least configuration that makes them do their work. */
const OBSERVERS: Readonly<Record<string, (endpoints: Endpoints, folder: string) => PluginEntity['config']>> = {
  prometheus: () => ({}),
  'correlation-id': () => ({}),
  'file-log': (_, folder) => ({ path: join(folder, 'requests.log') }),
  'http-log': ({ upstream }) => ({ http_endpoint: `${upstream}/log` }),
  opentelemetry: ({ upstream }) => ({ traces_endpoint: `${upstream}/v1/traces` }),
}

/** What observers need to be switched on beside their plugin. */
const ENV: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  opentelemetry: { SALLYPORT_TRACING_INSTRUMENTATIONS: 'all' },
}

export const question: Question = {
  asks: 'How much does each observer add to a request with cached introspection?',
  unit: '% of its CPU time',
  async run(pace) {
    await using folder = await temporaryFolder()
    const rows: Row[] = []
    for (const name of Object.keys(OBSERVERS)) rows.push(await observe(name, folder, pace))
    return { rows, goals: [], notes: ['Two routes of one gateway, with the observer and without; its defaults, everything else as it is.'] }
  },
}

async function observe(name: string, folder: TemporaryFolder, pace: Pace): Promise<Row> {
  const routes = (endpoints: Endpoints) => {
    const introspection = introspectionPlugin(endpoints)
    const observer = { name, config: OBSERVERS[name]?.(endpoints, folder.path) ?? {} }
    return { bare: [introspection], observed: [introspection, observer] }
  }
  const started = await startStage({ routes, env: ENV[name] ?? {} }).catch(refusal)
  if (typeof started === 'string') return { subject: name, missing: `not available: ${started}` }
  await using stage = started
  const [bare, observed] = [stage.subject('without', 'bare'), stage.subject(name, 'observed')]
  const samples = await measureInRounds([bare, observed], pace)
  const [without = [], with_ = []] = [samples.get(bare), samples.get(observed)]
  const added = summarisePairs(with_, without, (its, other) => its.cpuUsPerRequest - other.cpuUsPerRequest)
  return {
    subject: name,
    figure: summarisePairs(with_, without, (its, other) => 100 * (its.cpuUsPerRequest / other.cpuUsPerRequest - 1)),
    details: {
      'µs added': format(added.median),
      'µs without': format(summarise(without.map(({ cpuUsPerRequest }) => cpuUsPerRequest)).median),
    },
  }
}
