/**
 * `npm run demo`: a gateway, an authorization server and an upstream on this machine, provisioned through the public Admin API, and a tour of the main job.
 * Afterwards everything stays up, with commands to paste, until Ctrl-C.
 *
 *   npm run demo                     ports 8000 (proxy), 8001 (Admin API), 8090 (authorization server), 9080 (upstream)
 *   npm run demo -- --ports auto     any free ports
 *   npm run demo -- --exit           ends after the tour: 0 when every step answered as it should, else 1
 */
import { parseArgs } from 'node:util'
import { type AuthorizationServer, startAuthorizationServer } from './authorization-server.ts'
import { startEchoUpstream } from './echo-upstream.ts'
import { type DemoGateway, startDemoGateway } from './gateway.ts'
import { choosePorts, PortInUseError } from './ports.ts'
import { provision } from './provision.ts'
import { printCommands, runTour } from './tour.ts'

const { values: options } = parseArgs({
  options: {
    exit: { type: 'boolean', default: false },
    ports: { type: 'string', default: 'fixed' },
    help: { type: 'boolean', default: false },
  },
})

const closers: (() => Promise<void>)[] = []
let closing: Promise<void> | null = null

/** Ends everything that was started, last first; once. */
function close(): Promise<void> {
  closing ??= (async () => {
    for (const closer of closers.reverse()) await closer().catch(() => {})
  })()
  return closing
}

async function main(): Promise<number> {
  if (options.help) {
    process.stdout.write('Usage: npm run demo -- [--exit] [--ports auto]\n')
    return 0
  }
  const ports = await choosePorts(options.ports === 'auto')
  const started = performance.now()
  const say = (text: string): void => void process.stdout.write(`${text}\n`)

  const upstream = await startEchoUpstream({ port: ports.upstream })
  closers.push(() => upstream.stop())
  say(`upstream              ${upstream.origin}/anything`)
  const server: AuthorizationServer = await startAuthorizationServer({ port: ports.authorizationServer })
  closers.push(() => server.stop())
  say(`authorization server  ${server.issuer}  (user john, password doe)`)
  const gateway: DemoGateway = await startDemoGateway(ports)
  closers.push(() => gateway.stop())
  say(`gateway               ${gateway.proxy}  (proxy),  ${gateway.admin}  (Admin API)\n`)

  await provision(gateway.admin, server, upstream.origin, say)
  const passed = await runTour({ gateway, server, say, started })
  if (options.exit) return passed ? 0 : 1
  printCommands({ gateway, server, say })
  await Promise.race([stopped, gateway.ended])
  return 0
}

const stopped = new Promise<void>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      resolve()
      void close().then(() => process.exit(signal === 'SIGINT' ? 0 : 1))
    })
  }
})

try {
  process.exitCode = await main()
} catch (error) {
  process.stderr.write(
    error instanceof PortInUseError ? `Error: ${error.message}\n` : `${error instanceof Error ? (error.stack ?? error.message) : error}\n`,
  )
  process.exitCode = 1
} finally {
  await close()
}
// Sockets kept for reuse would hold the process for a while.
process.exit()
