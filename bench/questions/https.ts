import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SELF_SIGNED_CERTIFICATE, SELF_SIGNED_KEY } from '../../test/support/self-signed.ts'
import { temporaryFolder } from '../../test/support/temp.ts'
import { measureInRounds, type Sample, type Subject } from '../measure.ts'
import { startNginxTlsProxy } from '../peers/nginx.ts'
import type { Goal, Question, Row } from '../question.ts'
import { AUTHORIZATION, assertIntrospects, refusal, type Stage, startStage } from '../stage.ts'
import { format, type Summary, summarise } from '../summary.ts'

const PROXY = 'Sallyport, no plugin'
const INTROSPECTION = 'Sallyport, cached introspection'

export const question: Question = {
  asks: 'How many requests over TLS does one core serve?',
  unit: 'requests per second of CPU time',
  async run(pace) {
    await using cleanup = new AsyncDisposableStack()
    const folder = cleanup.use(await temporaryFolder())
    const stage = await startTlsStage(folder.path)
    if (typeof stage === 'string') {
      return { rows: [PROXY, INTROSPECTION].map((subject) => ({ subject, missing: `not available: ${stage}` })), goals: [], notes: [] }
    }
    cleanup.use(stage)
    const server = cleanup.adopt(await startNginxTlsProxy(stage.backend), (started) => started.stop())
    const nginx = { name: 'nginx proxy_pass', url: `https://127.0.0.1:${server.port}/orders`, headers: AUTHORIZATION, pids: server.pids }
    const ours = stage.subject(INTROSPECTION, 'orders')
    await assertIntrospects(ours)
    const samples = await measureInRounds([ours, stage.subject(PROXY, 'plain'), nginx], pace)
    const goal: Goal = { of: 'requests per second of CPU time', value: perCpuSecond(samples.get(ours)), sense: 'at least', bound: 12_000 }
    return {
      rows: [...samples].map(row),
      goals: [goal],
      notes: ['Kept connections: handshakes are not in it. One worker each, an EC P-256 certificate, TLS 1.3.'],
    }
  },
}

/** A gateway that listens with TLS, or why it refuses to. */
async function startTlsStage(folder: string): Promise<Stage | string> {
  const [certificate, key] = [join(folder, 'certificate.pem'), join(folder, 'key.pem')]
  writeFileSync(certificate, SELF_SIGNED_CERTIFICATE)
  writeFileSync(key, SELF_SIGNED_KEY)
  const env = { SALLYPORT_PROXY_LISTEN: '127.0.0.1:0 ssl', SALLYPORT_SSL_CERT: certificate, SALLYPORT_SSL_CERT_KEY: key }
  return await startStage({ env }).catch(refusal)
}

function perCpuSecond(samples: readonly Sample[] = []): Summary {
  return summarise(samples.map(({ cpuUsPerRequest }) => 1e6 / cpuUsPerRequest))
}

function row([{ name }, samples]: readonly [Subject, readonly Sample[]]): Row {
  const cpu = summarise(samples.map(({ cpuUsPerRequest }) => cpuUsPerRequest))
  return { subject: name, figure: perCpuSecond(samples), details: { 'CPU µs': format(cpu.median) } }
}
