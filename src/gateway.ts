/**
 * Composition root: settings → database → workers → Admin and Status API; start, reload, drain, stop. The only file that knows all parts.
 */
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { Server as HttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { SecureContextOptions } from 'node:tls'
import type { FastifyInstance } from 'fastify'
import type { AdminDeps, StatusFigures } from './admin/deps.ts'
import { type AdminTransport, createAdminServer, createStatusServer } from './admin/server.ts'
import { displaySettings } from './config/display.ts'
import type { Listener } from './config/listeners.ts'
import type { Settings } from './config/settings.ts'
import { tlsProfile } from './config/tls-profile.ts'
import { KONG_VERSION, SALLYPORT_VERSION } from './config/version.ts'
import { Configuration } from './configuration.ts'
import { loadEnabledPlugins, openOffDatabase, openSqliteDatabase } from './configured-database.ts'
import type { Database } from './db/database.ts'
import { loadDeclarativeFile, loadDeclarativeText } from './db/declarative/load.ts'
import { nodeCertificates, type TlsListeners } from './node-certificates.ts'
import { EXPOSITION_TYPE, renderMetrics } from './observability/exposition.ts'
import { nodeMetrics } from './observability/node-metrics.ts'
import type { AdminRoute, PluginAdminKit } from './plugin/admin-route.ts'
import type { AnyPlugin } from './plugin/define.ts'
import { loadPluginAdmins } from './plugin/loader.ts'
import type { CertificatePair } from './proxy/certificates.ts'
import { createRefusalLog } from './proxy/proxy-protocol-step.ts'
import { type PoolStats, WorkerPool } from './proxy/worker-pool.ts'
import { workerSecrets, workerSettings } from './proxy/worker-settings.ts'
import { type LineWriter, openLineWriter } from './telemetry/line-writer.ts'
import type { Log } from './telemetry/log.ts'
import { createLogger } from './telemetry/logger.ts'
import { shownAddress } from './util/authority.ts'
import { errorText } from './util/errors.ts'

export interface GatewayAddresses {
  readonly proxy: readonly string[]
  readonly admin: readonly string[]
  readonly status: readonly string[]
}

/** A running gateway. */
export interface Gateway {
  readonly addresses: GatewayAddresses
  /**
   * Reads a declarative file again and replaces the workers by ones with `settings`, without a pause in service; rejects, and leaves all as it was, when
   * the file is bad or new workers cannot start. Settings that are not the workers' stay as they were (`RELOADED` in proxy/worker-settings.ts).
   */
  reload(settings: Settings): Promise<void>
  /** Ends at once. */
  stop(): Promise<void>
  /** Ends when the requests under way are answered. */
  drain(): Promise<void>
  readonly closed: Promise<void>
}

export interface GatewayOptions {
  /** Called once everything listens. */
  readonly onReady?: () => void
}

/**
 * Starts a gateway in this process.
 * @throws with a message for the operator when it cannot start; nothing is left behind then
 */
export async function startGateway(settings: Settings, options: GatewayOptions = {}): Promise<Gateway> {
  const log = createLogger({ level: settings.log_level, path: settings.admin_error_log, process: 'primary' })
  const running = new RunningGateway(settings, log)
  try {
    await running.start()
  } catch (error) {
    await running.stop()
    throw error
  }
  options.onReady?.()
  return running
}

class RunningGateway implements Gateway {
  readonly #settings: Settings
  readonly #log: Log
  readonly #ended = Promise.withResolvers<void>()
  #nodeId = ''
  #database: Database | null = null
  #pool: WorkerPool | null = null
  #configuration: Configuration | null = null
  #servers: FastifyInstance[] = []
  readonly #tlsServers: { readonly kind: 'admin' | 'status'; readonly server: HttpsServer }[] = []
  readonly #logs: LineWriter[] = []
  #plugins: ReadonlyMap<string, AnyPlugin> = new Map()
  #addresses: GatewayAddresses = { proxy: [], admin: [], status: [] }
  #draining = false

  constructor(settings: Settings, log: Log) {
    this.#settings = settings
    this.#log = log
  }

  get addresses(): GatewayAddresses {
    return this.#addresses
  }

  get closed(): Promise<void> {
    return this.#ended.promise
  }

  async start(): Promise<void> {
    const settings = this.#settings
    mkdirSync(settings.prefix, { recursive: true })
    const nodeId = settings.node_id ?? keepNodeId(settings.prefix)
    this.#nodeId = nodeId
    // Keys that are made at the first start take as long as the plugins do.
    const [plugins, certificates] = await Promise.all([loadEnabledPlugins(settings), allCertificates(settings)])
    this.#plugins = plugins
    const database = await this.#openDatabase()
    this.#database = database
    const pool = new WorkerPool({
      settings: workerSettings(settings, nodeId),
      secrets: workerSecrets(settings, certificates.proxy),
      count: workerCount(settings),
      log: this.#log,
      onObject: ({ plugin, kind, key, value }) => {
        database.objects.put(plugin, kind, key, value).catch((error: unknown) => {
          this.#log.warn('object of a plugin could not be kept', { plugin, kind, reason: errorText(error) })
        })
      },
    })
    this.#pool = pool
    const configuration = new Configuration(database, this.#log, (frame) => pool.publish(frame))
    this.#configuration = configuration
    const routes = await this.#prepareAdmins(database, configuration)
    await pool.start(await configuration.read())
    database.onChange(() => configuration.changed())
    const deps = this.#adminDeps(database, pool, configuration, nodeId, routes)
    const admin = await this.#listen(settings.admin_listen, 'admin', certificates.admin, (transport) => createAdminServer(deps, transport))
    const statusDeps = { ...deps, accessLog: this.#openLog(settings.status_access_log), log: this.#logTo(settings.status_error_log) }
    const status = await this.#listen(settings.status_listen, 'status', certificates.status, (transport) =>
      createStatusServer(statusDeps, transport),
    )
    this.#addresses = { proxy: pool.addresses, admin, status }
    this.#log.notice('gateway started', { proxy: pool.addresses.join(', '), admin: admin.join(', '), database: database.kind })
  }

  #adminDeps(database: Database, pool: WorkerPool, configuration: Configuration, nodeId: string, routes: readonly AdminRoute[]): AdminDeps {
    const settings = this.#settings
    const shows = (...names: readonly string[]): boolean => names.some((name) => settings.headers.some((token) => token === name))
    return {
      database,
      plugins: this.#plugins,
      routes,
      configuration: displaySettings(settings),
      nodeId,
      version: KONG_VERSION,
      ownVersion: SALLYPORT_VERSION,
      processes: () => ({ master: process.pid, workers: pool.pids }),
      status: async () => readFigures(await pool.stats()),
      metrics: () => this.#metrics(database, pool, nodeId),
      routing: () => pool.routing,
      unreadiness: () => this.#unreadiness(pool),
      drain: () => {
        this.#draining = true
      },
      token: settings.admin_token?.reveal() ?? null,
      headers: { server: shows('server_tokens', 'server'), latency: shows('latency_tokens', 'x-kong-admin-latency') },
      guiOrigins: settings.admin_gui_url,
      maxBodyBytes: settings.nginx_admin_client_max_body_size,
      applyChange: () => configuration.settled(),
      purge: async () => pool.purge(),
      accessLog: this.#openLog(settings.admin_access_log),
      log: this.#log,
    }
  }

  /** For Prometheus, while the plugin of that name is configured. */
  async #metrics(database: Database, pool: WorkerPool, nodeId: string): Promise<{ type: string; text: string } | null> {
    if (!pool.configures('prometheus')) return null
    const [stats, datastoreReachable] = await Promise.all([pool.stats(true), database.reachable()])
    const { server, workers } = readFigures(stats)
    const own = nodeMetrics({
      nodeId,
      version: KONG_VERSION,
      connections: {
        accepted: server.connections_accepted,
        handled: server.connections_handled,
        active: server.connections_active,
        reading: server.connections_reading,
        writing: server.connections_writing,
        waiting: server.connections_waiting,
      },
      requests: server.total_requests,
      timers: { running: 0, pending: stats.workers.reduce((total, { timers }) => total + timers, 0) },
      datastoreReachable,
      metricErrors: stats.metricErrors,
      processes: [{ pid: process.pid, heapBytes: process.memoryUsage().heapUsed }, ...workers],
    })
    return { type: EXPOSITION_TYPE, text: renderMetrics([...own, ...stats.metrics]) }
  }

  #openLog(path: string): LineWriter {
    const writer = openLineWriter(path)
    this.#logs.push(writer)
    return writer
  }

  #logTo(path: string): Log {
    return createLogger({ level: this.#settings.log_level, path, process: 'primary' })
  }

  /** Kong's texts, so that probes that look at them go on working. */
  #unreadiness(pool: WorkerPool): string | null {
    if (this.#draining) return 'draining'
    return pool.routing ? null : 'router builds not yet complete'
  }

  /** Lets plugins make what must be there before the first request, and collects their endpoints. */
  async #prepareAdmins(database: Database, configuration: Configuration): Promise<readonly AdminRoute[]> {
    const admins = await loadPluginAdmins(this.#plugins, this.#settings.plugins_dir)
    const routes: AdminRoute[] = []
    for (const [name, admin] of admins) {
      const kit = adminKit(name, database, configuration, this.#log)
      await admin.prepare?.(kit)
      routes.push(...admin.routes(kit))
    }
    return routes
  }

  async #listen(
    listeners: readonly Listener[],
    kind: 'admin' | 'status',
    certificates: readonly CertificatePair[],
    create: (transport: AdminTransport) => Promise<FastifyInstance>,
  ): Promise<string[]> {
    const addresses: string[] = []
    const rule = { timeoutMs: this.#settings.client_header_timeout, onRefused: createRefusalLog(this.#log) }
    for (const listener of listeners) {
      const { ip, port, ssl, backlog } = listener
      const tls = ssl ? secureOptions(this.#settings, certificates) : null
      const server = await create({ tls, proxyHeader: listener.proxy_protocol ? rule : null })
      this.#servers.push(server)
      if (server.server instanceof HttpsServer) this.#tlsServers.push({ kind, server: server.server })
      await server.listen({ host: ip, port, ...(backlog === null ? {} : { backlog }) })
      addresses.push(shownAddress(server.server.address() as AddressInfo, listener))
    }
    return addresses
  }

  async #openDatabase(): Promise<Database> {
    const settings = this.#settings
    if (settings.database === 'sqlite') return await openSqliteDatabase(settings, this.#plugins)
    // Not a name that an operator would give to a file of their own in the prefix.
    const database = await openOffDatabase(this.#plugins, join(settings.prefix, 'last-configuration.json'))
    await this.#loadDeclarative(database, settings)
    return database
  }

  /** A configured file or text wins over what was loaded last. @throws {DeclarativeError} */
  async #loadDeclarative(database: Database, settings: Settings): Promise<void> {
    const { declarative_config: file, declarative_config_string: text } = settings
    const loaded = file !== null ? loadDeclarativeFile(file, database) : text !== null ? loadDeclarativeText(text.reveal(), database) : null
    if (loaded !== null) await database.replace(loaded.tree, loaded.hash)
  }

  async reload(settings: Settings): Promise<void> {
    const { database, pool, configuration } = this.#parts()
    if (database.kind === 'off') await this.#loadDeclarative(database, settings)
    await configuration.settled()
    const certificates = await allCertificates({
      ...settings,
      admin_listen: this.#settings.admin_listen,
      status_listen: this.#settings.status_listen,
    })
    await pool.replace(workerSettings(settings, this.#nodeId), workerSecrets(settings, certificates.proxy), workerCount(settings))
    for (const { kind, server } of this.#tlsServers) server.setSecureContext(secureOptions(this.#settings, certificates[kind]))
    this.#addresses = { ...this.#addresses, proxy: pool.addresses }
    this.#log.notice('gateway reloaded')
  }

  #parts(): { database: Database; pool: WorkerPool; configuration: Configuration } {
    if (this.#database === null || this.#pool === null || this.#configuration === null) throw new Error('the gateway does not run')
    return { database: this.#database, pool: this.#pool, configuration: this.#configuration }
  }

  async drain(): Promise<void> {
    this.#draining = true
    await this.#pool?.drain()
    await this.#close()
  }

  async stop(): Promise<void> {
    await this.#pool?.stop()
    await this.#close()
  }

  async #close(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.close()))
    this.#servers = []
    for (const writer of this.#logs.splice(0)) writer.close()
    await this.#database?.close()
    this.#database = null
    this.#ended.resolve()
  }
}

/** The node's own certificates, each as its files are now. */
async function allCertificates(settings: Settings): Promise<Readonly<Record<TlsListeners, readonly CertificatePair[]>>> {
  const [proxy, admin, status] = await Promise.all([
    nodeCertificates('proxy', settings),
    nodeCertificates('admin', settings),
    nodeCertificates('status', settings),
  ])
  return { proxy, admin, status }
}

function secureOptions(settings: Settings, certificates: readonly CertificatePair[]): SecureContextOptions {
  return { ...tlsProfile(settings), cert: certificates.map(({ cert }) => cert), key: certificates.map(({ key }) => key) }
}

/** A plugin's own view of the stored objects. */
function adminKit(plugin: string, database: Database, configuration: Configuration, log: Log): PluginAdminKit {
  const { objects } = database
  return {
    log,
    list: (kind) => objects.list(plugin, kind),
    get: (kind, key) => objects.get(plugin, kind, key),
    async put(kind, key, value) {
      const object = await objects.put(plugin, kind, key, value)
      await configuration.settled()
      return object
    },
    delete: (kind, key) => objects.delete(plugin, kind, key),
  }
}

function readFigures({ workers, accepted, handled, requests }: PoolStats): StatusFigures {
  const sum = (read: (one: PoolStats['workers'][number]) => number): number => workers.reduce((total, one) => total + read(one), 0)
  const [active, reading, waiting] = [sum((one) => one.active), sum((one) => one.reading), sum((one) => one.waiting)]
  return {
    server: {
      connections_accepted: accepted,
      connections_active: active,
      connections_handled: handled,
      connections_reading: reading,
      connections_waiting: waiting,
      connections_writing: active - reading - waiting,
      total_requests: requests,
    },
    workers: workers.map(({ pid, heapBytes }) => ({ pid, heapBytes })),
  }
}

function workerCount({ nginx_worker_processes: count }: Settings): number {
  return count === 'auto' ? availableParallelism() : count
}

/** The node's UUID, made at the first start. */
function keepNodeId(prefix: string): string {
  const file = join(prefix, 'node.id')
  if (existsSync(file)) return readFileSync(file, 'utf8').trim()
  const id = randomUUID()
  writeFileSync(file, `${id}\n`, { mode: 0o640 })
  return id
}
