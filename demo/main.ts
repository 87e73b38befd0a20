/**
 * `npm run demo`: a gateway, an authorization server and an upstream on this machine, provisioned through the public Admin API, and a tour of the main job.
 * Afterwards everything stays up, with commands to paste, until Ctrl-C.
 *
 *   npm run demo                     ports 8000 (proxy), 8001 (Admin API), 8090 (authorization server), 9080 (upstream)
 *   npm run demo -- --ports auto     any free ports
 *   npm run demo -- --exit           ends after the tour: 0 when every step answered as it should, else 1
 */
import { parseArgs } from 'node:util'
import { startAuthorizationServer } from './authorization-server.ts'
import { startEchoUpstream } from './echo-upstream.ts'
import { startDemoGateway } from './gateway.ts'
import { choosePorts, PortInUseError } from './ports.ts'
import { provision } from './provision.ts'
import { printCommands, runTour } from './tour.ts'

const USAGE = `Usage: npm run demo -- [--exit] [--ports auto]

  --exit         end after the tour: with 0 when every step answered as it should, else with 1
  --ports auto   take free ports instead of 8000, 8001, 8090 and 9080
`

/** The command line does not say what to do. */
class UsageError extends Error {}

const closers: (() => Promise<void>)[] = []
let closing: Promise<void> | null = null

/** Ends everything that was started, last first; once. */
function close(): Promise<void> {
  closing ??= (async () => {
    for (const closer of closers.reverse()) await closer().catch(() => {})
  })()
  return closing
}

/** Starts a part; whenever the demo ends, even while it starts, that is stopped too. */
function open<Part extends { stop(): Promise<void> }>(starting: Promise<Part>): Promise<Part> {
  closers.push(async () => (await starting).stop())
  return starting
}

function say(line: string): void {
  // What goes wrong because the parts are being stopped is nobody's business.
  if (closing === null) process.stdout.write(`${line}\n`)
}

function readOptions(): { readonly help: boolean; readonly exit: boolean; readonly ports: string } {
  try {
    const { values } = parseArgs({
      options: {
        exit: { type: 'boolean', default: false },
        ports: { type: 'string', default: 'fixed' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    if (!['auto', 'fixed'].includes(values.ports)) throw new UsageError(`--ports is 'auto' or left out, not '${values.ports}'`)
    return values
  } catch (error) {
    if (error instanceof Error) throw new UsageError(error.message)
    throw error
  }
}

async function main(): Promise<number> {
  const options = readOptions()
  if (options.help) {
    process.stdout.write(USAGE)
    return 0
  }
  const ports = await choosePorts(options.ports === 'auto')
  const started = performance.now()

  const upstream = await open(startEchoUpstream({ port: ports.upstream }))
  say(`upstream              ${upstream.origin}/anything`)
  const server = await open(startAuthorizationServer({ port: ports.authorizationServer }))
  say(`authorization server  ${server.issuer}  (user john, password doe)`)
  const gateway = await open(startDemoGateway(ports))
  say(`gateway               ${gateway.proxy}  (proxy),  ${gateway.admin}  (Admin API)\n`)

  await provision(gateway.admin, server, upstream.origin, say)
  const passed = await runTour({ gateway, server, say, started })
  if (options.exit) return passed ? 0 : 1
  printCommands({ gateway, server, say })
  await Promise.race([stopped, gateway.ended])
  if (closing === null) throw new Error('the gateway has ended')
  return 0
}

/** What a person has to know of a failure; a fault of our own comes with the place where it happened. */
function failureText(error: unknown): string {
  if (error instanceof UsageError) return `Error: ${error.message}\n\n${USAGE}`
  if (error instanceof PortInUseError) return `Error: ${error.message}\n`
  return `${error instanceof Error ? (error.stack ?? error.message) : error}\n`
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
  if (closing === null) process.stderr.write(failureText(error))
  process.exitCode = 1
} finally {
  await close()
}
// Sockets kept for reuse would hold the process for a while.
process.exit()
