/** A gateway, and behind it an upstream and an introspection endpoint that answer at once: what the questions of the bench are asked on. */
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { type Gateway, GatewayStartError, startGateway } from '../test/support/gateway.ts'
import type { Subject } from './measure.ts'
import { startBackend } from './peers/nginx.ts'
import type { Server } from './peers/server.ts'
import { pinMeasured, processTree } from './processes.ts'

/** The token of all requests but those that need new ones. */
export const AUTHORIZATION: Readonly<Record<string, string>> = { Authorization: 'Bearer bench-token-of-a-usual-length-0123456789' }

export interface PluginEntity {
  readonly name: string
  readonly config: Readonly<Record<string, unknown>>
}

/** What configurations of plugins point to. */
export interface Endpoints {
  /** `http://127.0.0.1:<port>` of the upstream, which answers 200 to everything. */
  readonly upstream: string
  readonly introspection: string
}

export interface StageOptions {
  /** Plugins of each route, by the route's name; its path is `/` and the name. Default: `plain` without any and `orders` with introspection. */
  readonly routes?: (endpoints: Endpoints) => Readonly<Record<string, readonly PluginEntity[]>>
  /** Default 1. */
  readonly workers?: number
  /** Whether the gateway has one core to itself, by default; without, it shares all cores with the load. */
  readonly ownCore?: boolean
  /** Further settings. */
  readonly env?: Readonly<Record<string, string>>
  /** An introspection endpoint instead of the one that answers at once. */
  readonly introspectionUrl?: string
}

export interface Stage extends AsyncDisposable {
  readonly gateway: Gateway
  readonly backend: Server
  /** Processes that serve requests. */
  readonly workers: readonly number[]
  /** Where a route is reached. */
  url(route: string): string
  /** A route as something to measure: requests with the one token, CPU time of all processes of the gateway. */
  subject(name: string, route: string): Subject
  stop(): Promise<void>
}

/** oauth2-introspection as the questions use it: the answer is kept, a consumer is found by it, claims are passed on. */
export function introspectionPlugin({ introspection }: Endpoints): PluginEntity {
  const config = { introspection_url: introspection, authorization_value: 'Basic Zzpz', ttl: 600, custom_claims_forward: ['email'] }
  return { name: 'oauth2-introspection', config }
}

const DEFAULT_ROUTES: NonNullable<StageOptions['routes']> = (endpoints) => ({ plain: [], orders: [introspectionPlugin(endpoints)] })

/** @throws {GatewayStartError} the gateway refuses its settings or plugins */
export async function startStage(options: StageOptions = {}): Promise<Stage> {
  const { routes = DEFAULT_ROUTES, workers = 1, ownCore = true, env = {} } = options
  const backend = await startBackend()
  const upstream = `http://127.0.0.1:${backend.port}`
  const endpoints = { upstream, introspection: options.introspectionUrl ?? `${upstream}/introspect` }
  const services = Object.entries(routes(endpoints)).map(([name, plugins]) => ({
    name,
    url: upstream,
    routes: [{ name, paths: [`/${name}`] }],
    plugins,
  }))
  const gateway = await startGateway({
    database: 'off',
    logLevel: 'warn',
    workers,
    env: {
      SALLYPORT_PROXY_ACCESS_LOG: 'off',
      // Peers are told the same: a connection that is made anew would be measured with the requests.
      SALLYPORT_KEEPALIVE_REQUESTS: '10000000',
      SALLYPORT_UPSTREAM_KEEPALIVE_MAX_REQUESTS: '0',
      ...env,
    },
    declarative: { _format_version: '3.0', services, consumers: [{ username: 'john', custom_id: 'c1' }] },
  }).catch(async (error: unknown) => {
    await backend.stop()
    throw error
  })
  const pids = () => processTree(gateway.pid)
  if (ownCore) pinMeasured(pids())
  const scheme = env['SALLYPORT_PROXY_LISTEN']?.includes(' ssl') ? 'https' : 'http'
  const url = (route: string) => `${scheme}://127.0.0.1:${gateway.proxyPort}/${route}`
  async function stop(): Promise<void> {
    await gateway.stop()
    await backend.stop()
  }
  return {
    gateway,
    backend,
    workers: pids().slice(1),
    url,
    subject: (name, route) => ({ name, url: url(route), headers: AUTHORIZATION, pids }),
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/** That a subject does the work it is measured at: no token, no entry; with one, the upstream is told the claims. @throws when not */
export async function assertIntrospects({ name, url, headers = {} }: Subject): Promise<void> {
  const refused = await get(`${url}/echo`, {})
  const allowed = await get(`${url}/echo`, headers)
  if (refused.status !== 401) throw new Error(`${name} answers ${refused.status} to a request without token`)
  if (allowed.status !== 200 || !allowed.text.includes('"scope":"read write","email":"john@example.com"')) {
    throw new Error(`${name} does not pass claims on: ${allowed.status} ${allowed.text}`)
  }
}

function get(url: string, headers: Readonly<Record<string, string>>): Promise<{ readonly status: number; readonly text: string }> {
  const options = { headers, agent: false as const }
  return new Promise((resolve, reject) => {
    const request = url.startsWith('https:') ? httpsRequest(url, { ...options, rejectUnauthorized: false }) : httpRequest(url, options)
    request.once('error', reject).once('response', (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => {
        text += chunk
      })
      response.once('end', () => resolve({ status: response.statusCode ?? 0, text })).once('error', reject)
    })
    request.end()
  })
}

/** Why the gateway did not start, in its own words; rethrows whatever else went wrong. */
export function refusal(error: unknown): string {
  if (!(error instanceof GatewayStartError)) throw error
  const [paragraph = ''] = error.output.slice(Math.max(0, error.output.indexOf('Error: '))).split('\n\n')
  const reason = paragraph.trim().split('\n').at(-1) ?? ''
  return reason
    .replace(/^Error: /, '')
    .replace(/ \(line \d+, column \d+\)$/, '')
    .trim()
}
