/**
 * Where the time of a proxied request goes: a CPU profile of one worker under load, as self time by function.
 *
 *   node bench/profile.ts [/plain | /orders] [seconds] [--new-tokens]
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { measure } from './measure.ts'
import { startStage } from './stage.ts'

interface Profile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

const { positionals, values } = parseArgs({ allowPositionals: true, options: { 'new-tokens': { type: 'boolean', default: false } } })
const [path = '/orders', seconds = '5'] = positionals
const folder = mkdtempSync(join(tmpdir(), 'sallyport-profile-'))
const stage = await startStage({ env: { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${folder} --cpu-prof-interval=250` } })
try {
  const subject = { ...stage.subject('profiled', path.slice(1)), newTokens: values['new-tokens'] }
  await measure(subject, 2)
  const sample = await measure(subject, Number(seconds))
  process.stdout.write(`${sample.cpuUsPerRequest.toFixed(1)} µs CPU per request, profiler included\n`)
  await stage.gateway.quit()
  print(readdirSync(folder).map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Profile))
} finally {
  await stage.stop()
  rmSync(folder, { recursive: true, force: true })
}

function print(profiles: readonly Profile[]): void {
  const worker = profiles.find(({ nodes }) => nodes.some(({ callFrame }) => callFrame.url.endsWith('client-connection.ts')))
  if (worker === undefined) return
  const frames = new Map(worker.nodes.map(({ id, callFrame }) => [id, callFrame]))
  const times = new Map<string, number>()
  let total = 0
  for (const [i, id] of worker.samples.entries()) {
    const frame = frames.get(id)
    if (frame === undefined || frame.functionName === '(idle)') continue
    const name = `${frame.functionName || '(anonymous)'} ${frame.url.split('/').at(-1)}:${frame.lineNumber + 1}`
    const time = worker.timeDeltas[i] ?? 0
    times.set(name, (times.get(name) ?? 0) + time)
    total += time
  }
  const files = new Map<string, number>()
  for (const [name, time] of times) {
    const file = name.slice(name.indexOf(' ') + 1).split(':')[0] || '(native)'
    files.set(file, (files.get(file) ?? 0) + time)
  }
  for (const [file, time] of [...files].sort((a, b) => b[1] - a[1]).slice(0, 30)) {
    process.stdout.write(`${((100 * time) / total).toFixed(1).padStart(5)} %  ${file}\n`)
  }
  process.stdout.write('\n')
  const rows = [...times].sort((a, b) => b[1] - a[1]).slice(0, 60)
  for (const [name, time] of rows) process.stdout.write(`${((100 * time) / total).toFixed(1).padStart(5)} %  ${name}\n`)
}
