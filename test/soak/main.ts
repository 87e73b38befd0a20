/**
 * `npm run soak`: a gateway under load for a long time, while configurations are loaded, workers replaced, and the upstream and the authorization server killed
 * and started again. Every answer is checked to be that of its request and of its token. Ends with 1 where one was not, where memory grew, or where a connection
 * was left behind.
 *
 *   npm run soak                            two minutes at a calm rate
 *   npm run soak -- --seconds 1800 --load 0.7    half an hour at 70 % of what goes through
 *   npm run soak -- --rate 500 --seed 7     another rate, another order of requests
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { errorText } from '../../src/util/errors.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { h1Place, h2Places, type Place } from './connections.ts'
import { ServerProcess } from './endpoint.ts'
import { Events, WATCHED } from './events.ts'
import { Load } from './load.ts'
import { report } from './report.ts'
import { configuration } from './requests.ts'
import { type Course, courseOf, type Sample, sample } from './resources.ts'
import { Tally } from './tally.ts'
import { holdsToken } from './tokens.ts'
import { Disturbances } from './verdict.ts'

const MIB = 1024 * 1024
const WORKERS = 2
const PLAIN_CONNECTIONS = 48
const TLS_CONNECTIONS = 12
const H2_CONNECTIONS = 4
const STREAMS = 8
const CAPACITY_S = 8
const SAMPLE_EVERY_MS = 1000
/** Idle connections to the upstream that a worker keeps. */
const POOL_SIZE = 64
/** Most requests at a time: places, and sockets of their own. */
const MOST_AT_A_TIME = PLAIN_CONNECTIONS + TLS_CONNECTIONS + H2_CONNECTIONS * STREAMS + 200
/** Idle connections to the servers behind the gateway are closed after five seconds. */
const SETTLE_MS = 20_000
/** Descriptors that a process may have opened once and for all since it was idle. */
const SPARE_DESCRIPTORS = 4
/** A long run is to be flat; in a short one the heap is still finding its size. */
const LONG_RUN_S = 600
const GROWTH = { long: { share: 0.15, bytes: 20 * MIB }, short: { share: 0.3, bytes: 60 * MIB } } as const

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '120' },
    rate: { type: 'string' },
    load: { type: 'string' },
    seed: { type: 'string', default: '1' },
  },
})
const seconds = numberOf('seconds', values.seconds)
const seed = numberOf('seed', values.seed)
const CALM_RATE = 250

// The gateway is in a process group of its own; it is ended with everything else when this process exits.
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)
  process.once(signal, () => process.exit(code))

process.exitCode = await soak()

async function soak(): Promise<number> {
  await using upstream = await ServerProcess.start('upstream.ts')
  await using identityProvider = await ServerProcess.start('identity-provider.ts')
  const introspectionUrl = `http://127.0.0.1:${identityProvider.port}/introspect`
  await using gateway = await startGateway({
    database: 'off',
    workers: WORKERS,
    // What is said at each restart of the upstream would push out of the output that a worker died.
    logLevel: 'error',
    declarative: configuration(upstream.port, introspectionUrl, false),
    env: {
      SALLYPORT_PROXY_LISTEN: '127.0.0.1:0, 127.0.0.1:0 ssl http2',
      SALLYPORT_PROXY_ACCESS_LOG: 'off',
      SALLYPORT_ADMIN_ACCESS_LOG: 'off',
      SALLYPORT_UPSTREAM_KEEPALIVE_POOL_SIZE: String(POOL_SIZE),
      SALLYPORT_UPSTREAM_KEEPALIVE_IDLE_TIMEOUT: '5',
      // Full before memory is watched.
      SALLYPORT_INTROSPECTION_CACHE_MAX_ENTRIES: '1000',
      SALLYPORT_INTROSPECTION_CACHE_NEGATIVE_MAX_ENTRIES: '200',
    },
  })
  const ports = { upstream: upstream.port, own: [gateway.adminPort, gateway.statusPort] }
  const look = (): Sample => sample(gateway.pid, ports)
  const tlsOrigin = `https://127.0.0.1:${await tlsPortOf(gateway)}`
  const idle = look()
  const places = openPlaces(gateway.proxyOrigin, tlsOrigin)
  const disturbances = new Disturbances()
  const tally = new Tally()
  const load = new Load({ places, plainPort: gateway.proxyPort, tlsOrigin, disturbances, tally, random: seeded(seed) })

  const capacity = values.load === undefined ? null : await load.flood(CAPACITY_S)
  const rate = capacity === null ? numberOf('rate', values.rate ?? String(CALM_RATE)) : capacity * numberOf('load', values.load ?? '')
  process.stdout.write(`${seconds} s at ${Math.round(rate)} requests a second\n`)

  const over = AbortSignal.timeout(seconds * 1000)
  const events = new Events({ gateway, upstream, identityProvider, introspectionUrl, disturbances, tally }, over)
  const startMs = performance.now()
  const samples: Sample[] = []
  await Promise.all([load.run(rate, over), events.run(seconds), watch(samples, look, over)]).catch(giveUp)
  const [fromMs, untilMs] = WATCHED.map((part) => startMs + part * seconds * 1000) as [number, number]
  const watched = samples.filter(({ atMs }) => atMs >= fromMs && atMs <= untilMs)
  const memory = courseOf(watched, ({ rssBytes }) => rssBytes)
  const toUpstream = courseOf(samples, (one) => one.toUpstream)
  const descriptors = courseOf(watched, (one) => one.descriptors)

  await Promise.all(places.map((place) => place.close()))
  const end = await settled(gateway, look, idle, tally)
  assertFlat(memory, tally)
  if (toUpstream.most > WORKERS * POOL_SIZE + MOST_AT_A_TIME) tally.violate(`${toUpstream.most} connections to the upstream`)
  const log = readLog(gateway, events.done['workers killed'] ?? 0, tally)
  const results = { seconds, rate, capacity, tally, events: events.done, memory, descriptors, toUpstream, idle, end, log }
  process.stdout.write(`\n${report({ ...results, mostWaiting: load.mostWaiting })}`)
  return tally.wrong === 0 ? 0 : 1
}

/** At once: what is cut together with the gateway would be reported as answers that are wrong. */
function giveUp(error: unknown): never {
  process.stderr.write(`${errorText(error)}\n`)
  process.exit(1)
}

function openPlaces(plainOrigin: string, tlsOrigin: string): Place[] {
  return [
    ...Array.from({ length: PLAIN_CONNECTIONS }, () => h1Place(plainOrigin)),
    ...Array.from({ length: TLS_CONNECTIONS }, () => h1Place(tlsOrigin)),
    ...Array.from({ length: H2_CONNECTIONS }, () => h2Places(tlsOrigin, STREAMS)).flat(),
  ]
}

async function watch(samples: Sample[], look: () => Sample, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    samples.push(look())
    await delay(SAMPLE_EVERY_MS, undefined, { signal }).catch(() => undefined)
  }
}

/** Waits until the gateway has as little open as before the load. */
async function settled(gateway: Gateway, look: () => Sample, idle: Sample, tally: Tally): Promise<Sample> {
  const isIdle = ({ connections, descriptors }: Sample): boolean =>
    connections.length <= idle.connections.length && descriptors <= idle.descriptors + SPARE_DESCRIPTORS
  // The Admin API is not what is looked at: its connection comes with each question, and goes.
  const active = async (): Promise<number> => {
    const response = await fetch(`${gateway.statusOrigin}/status`, { headers: { connection: 'close' } })
    const { server } = (await response.json()) as { readonly server: { readonly connections_active: number } }
    return server.connections_active
  }
  let connectionsActive = await active()
  let last = look()
  for (
    const endMs = performance.now() + SETTLE_MS;
    performance.now() < endMs && !(isIdle(last) && connectionsActive === 0);
    last = look()
  ) {
    await delay(250)
    connectionsActive = await active()
  }
  if (connectionsActive > 0) tally.violate(`${connectionsActive} connections of clients are counted after all have left`)
  if (last.connections.length > idle.connections.length) {
    tally.violate(
      `${last.connections.length} connections stay open, before the load it was ${idle.connections.length}:`,
      last.connections.join('; '),
    )
  }
  if (last.descriptors > idle.descriptors + SPARE_DESCRIPTORS) {
    tally.violate(`${last.descriptors} descriptors stay open, before the load it was ${idle.descriptors}`)
  }
  return last
}

function assertFlat({ first, last }: Course, tally: Tally): void {
  const { share, bytes } = seconds >= LONG_RUN_S ? GROWTH.long : GROWTH.short
  if (last > first * (1 + share) + bytes) tally.violate('memory grew', `from ${Math.round(first / MIB)} to ${Math.round(last / MIB)} MiB`)
}

/** What the gateway wrote, by level and text, and that it names no token and no death but those that were wanted. */
function readLog({ output }: Gateway, killed: number, tally: Tally): ReadonlyMap<string, number> {
  const lines = new Map<string, number>()
  for (const line of output.split('\n').filter((text) => text.startsWith('{'))) {
    const { level, msg } = JSON.parse(line) as { readonly level: unknown; readonly msg: unknown }
    const text = `${level} ${msg}`
    lines.set(text, (lines.get(text) ?? 0) + 1)
  }
  if (holdsToken(output)) tally.violate('a token is in the log')
  const deaths = output.split('worker died').length - 1
  if (deaths !== killed) tally.violate(`${deaths} workers died, ${killed} were killed`)
  return lines
}

/** Port of the second listener. */
async function tlsPortOf({ prefix }: Gateway): Promise<number> {
  const state = JSON.parse(await readFile(join(prefix, 'run', 'state.json'), 'utf8')) as {
    readonly addresses: { readonly proxy: readonly string[] }
  }
  return Number(/:(\d+)(?=\s|$)/.exec(state.addresses.proxy[1] ?? '')?.[1])
}

/** Numbers from 0 up to 1, the same for the same seed (mulberry32). */
function seeded(start: number): () => number {
  let state = start
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function numberOf(name: string, text: string): number {
  const value = Number(text)
  if (text !== '' && Number.isFinite(value) && value > 0) return value
  process.stderr.write(`--${name} takes a number above 0\n`)
  process.exit(2)
}
