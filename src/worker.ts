/** One worker: listeners, the current snapshot, and what outlives it. Talks to the primary by worker-protocol.ts. */
import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { rootCertificates } from 'node:tls'
import type { Listener } from './config/listeners.ts'
import { readCertificate } from './config/setting.ts'
import { type TlsProfile, tlsProfile } from './config/tls-profile.ts'
import { readEnvVault } from './config/vault-reference.ts'
import { KONG_VERSION } from './config/version.ts'
import { createAccessLog } from './observability/access-log.ts'
import type { AnyPlugin } from './plugin/define.ts'
import type { PluginKit } from './plugin/kit.ts'
import { loadPlugins } from './plugin/loader.ts'
import { automaticLimit, Capacity } from './proxy/capacity.ts'
import { type CertificateStore, createCertificateStore, createIdentity, type ServerIdentity } from './proxy/certificates.ts'
import type { FrontOptions } from './proxy/client-connection.ts'
import { REPLAY_BYTES } from './proxy/forward.ts'
import { createTrust } from './proxy/forwarded.ts'
import { resolveFrame } from './proxy/frame-references.ts'
import type { FrontTls } from './proxy/handshake.ts'
import { handle, logBadRequest } from './proxy/lifecycle.ts'
import { createRefusalLog } from './proxy/proxy-protocol-step.ts'
import type { ProxyRuntime } from './proxy/runtime.ts'
import { readShownHeaders } from './proxy/runtime.ts'
import type { Front } from './proxy/server.ts'
import { createFront } from './proxy/server.ts'
import type { Frame } from './proxy/snapshot.ts'
import { buildSnapshot, PluginInstances } from './proxy/snapshot.ts'
import type { UpstreamTlsDefaults } from './proxy/upstream-tls.ts'
import type { FromWorker, ToWorker, WorkerStats } from './proxy/worker-protocol.ts'
import type { WorkerSettings } from './proxy/worker-settings.ts'
import { openLineWriter } from './telemetry/line-writer.ts'
import type { Log } from './telemetry/log.ts'
import { createLogger } from './telemetry/logger.ts'
import { METRICS_NAME, MetricRegistry } from './telemetry/metrics.ts'
import { readTraceSettings } from './telemetry/trace.ts'
import { createUpstreamClient } from './upstream/client.ts'
import { createHttpClientFactory } from './upstream/http-client.ts'
import { createResolver } from './upstream/resolver.ts'
import { shownAddress } from './util/authority.ts'
import { errorText } from './util/errors.ts'
import { turnMs } from './util/turn-clock.ts'

/** Product token that Kong's clients know, and the version they negotiate on. */
const PRODUCT = `kong/${KONG_VERSION}`

/** Header lines of one request. */
const MAX_HEADER_LINES = 1000

/** Time for what plugins have queued: after the last answer of a drain, and of a stop, which the primary waits for no longer than a second. */
const DRAIN_FLUSH_MS = 5_000
const STOP_FLUSH_MS = 700

/** What a worker is made of, apart from the process that it lives in. */
export interface WorkerPort {
  send(message: FromWorker): void
  onMessage(listener: (message: ToWorker) => void): void
  /** Ends the process. */
  exit(code: number): void
}

/** Runs a worker until it is told to stop. */
export function runWorker(port: WorkerPort): void {
  let worker: Worker | undefined
  port.onMessage((message) => {
    if (message.type === 'start') {
      createWorker(message, port).then(
        (created) => {
          worker = created
          port.send({ type: 'ready' })
        },
        (error: unknown) => port.send({ type: 'fatal', reason: errorText(error) }),
      )
    } else worker?.receive(message)
  })
}

type Start = Extract<ToWorker, { readonly type: 'start' }>

async function createWorker(start: Start, port: WorkerPort): Promise<Worker> {
  const { settings } = start
  const log = createLogger({ level: settings.log_level, path: settings.proxy_error_log, process: 'worker' })
  return new Worker(start, port, log, await loadPlugins(settings.plugins_dir))
}

class Worker {
  readonly #settings: WorkerSettings
  readonly #upstreamTls: UpstreamTlsDefaults
  readonly #port: WorkerPort
  readonly #log: Log
  readonly #refusedProxyHeader: (reason: string, peer: string) => void
  readonly #runtime: ProxyRuntime
  readonly #instances: PluginInstances
  readonly #front: Front[]
  readonly #tls: WorkerTls | null
  readonly #closers: (() => Promise<void> | void)[]
  readonly #metrics = new MetricRegistry()
  readonly #shared = new Map<string, unknown>([[METRICS_NAME, this.#metrics]])
  /** What plugins still have to send. */
  readonly #flushers: ((withinMs: number) => Promise<void>)[] = []
  #objects = new Map<string, Readonly<Record<string, unknown>>>()
  #listening = false
  #lastFrame: Frame | null = null

  constructor(start: Start, port: WorkerPort, log: Log, plugins: ReadonlyMap<string, AnyPlugin>) {
    const { settings, secrets } = start
    this.#settings = settings
    this.#upstreamTls = { verify: settings.nginx_proxy_proxy_ssl_verify, clientCertificate: secrets.clientCertificate }
    this.#port = port
    this.#log = log
    this.#refusedProxyHeader = createRefusalLog(log)
    const resolver = createResolver({
      hostsFile: settings.dns_hostsfile,
      staleTtlMs: settings.dns_stale_ttl * 1000,
      errorTtlMs: settings.dns_error_ttl * 1000,
      notFoundTtlMs: settings.dns_not_found_ttl * 1000,
      ...(settings.dns_valid_ttl === null ? {} : { validTtlMs: settings.dns_valid_ttl * 1000 }),
    })
    const trustedCertificates = readTrusted(settings.lua_ssl_trusted_certificate)
    const upstream = createUpstreamClient({
      resolver,
      poolSize: settings.upstream_keepalive_pool_size,
      keepaliveIdleMs: settings.upstream_keepalive_idle_timeout * 1000,
      keepaliveMaxRequests: settings.upstream_keepalive_max_requests,
      trustedCertificates,
    })
    const clients = createHttpClientFactory({ resolver, trustedCertificates, userAgent: 'Sallyport' })
    const accessLog = openLineWriter(settings.proxy_access_log)
    this.#instances = new PluginInstances(
      plugins,
      (plugin, pluginId) => this.#kit(plugin, pluginId, clients.create),
      (reference) => this.#resolve(reference),
    )
    const { nginx_events_worker_connections: connections } = settings
    const limit = connections === 'auto' ? automaticLimit(maxOpenFiles()) : connections
    const capacity = new Capacity(limit, (total) => {
      log.warn('turned away: nginx_events_worker_connections is reached', { limit, turned_away: total })
    })
    const shown = readShownHeaders(settings.headers, settings.headers_upstream)
    this.#runtime = {
      snapshot: null,
      upstream,
      capacity,
      trust: createTrust(settings),
      shown,
      log,
      tracing: readTraceSettings(settings.tracing_instrumentations, settings.tracing_sampling_rate),
      onFinished: createAccessLog(accessLog),
      product: PRODUCT,
      errorDefaultType: settings.error_default_type,
      trustedIdentityHeaders: settings.trusted_identity_headers,
      strictPaths: settings.strict_paths,
      earlyHints: settings.nginx_proxy_early_hints,
      maxBodyBytes: settings.client_max_body_size,
      replayBytes: Math.max(REPLAY_BYTES, settings.client_body_buffer_size),
      portMap: new Map(settings.port_maps.map((pair) => pair.split(':').map(Number)).map(([seen, own]) => [own as number, seen as number])),
    }
    this.#tls = secrets.certificates.length === 0 ? null : new WorkerTls(start, log)
    this.#front = settings.proxy_listen.map((listener) => this.#createFront(listener))
    this.#closers = [() => upstream.close(), () => clients.close(), () => accessLog.close()]
  }

  #createFront({ ssl, http2, proxy_protocol: proxyProtocol }: Listener): Front {
    const tls = ssl ? (this.#tls?.front(http2) ?? null) : null
    const { large_client_header_buffers: buffers } = this.#settings
    const options: FrontOptions = {
      limits: { lineBytes: buffers.size, headBytes: buffers.count * buffers.size, lines: MAX_HEADER_LINES },
      deadlines: {
        headMs: this.#settings.client_header_timeout,
        bodyMs: this.#settings.client_body_timeout,
        sendMs: this.#settings.send_timeout,
        keepaliveMs: this.#settings.keepalive_timeout,
        lingeringMs: this.#settings.lingering_timeout,
      },
      capacity: this.#runtime.capacity,
      maxRequests: this.#settings.keepalive_requests,
      handle: (downstream) => handle(downstream, this.#runtime),
      onBadRequest: (bad) => {
        const { client, status, requestId } = bad
        this.#log.info(status === 503 ? 'connection turned away' : 'bad request', {
          status,
          peer: client.peer.address,
          request_id: requestId,
        })
        logBadRequest(bad, this.#runtime)
      },
      onHandshakeFailed: (reason, peer) => this.#log.info('TLS handshake failed', { reason, peer }),
      onFlood: (peer) => this.#log.warn('client reset too many HTTP/2 streams', { peer }),
      proxyProtocol,
      onProxyHeaderRefused: this.#refusedProxyHeader,
      priorKnowledge: http2,
      maxConcurrentStreams: this.#settings.http2_max_concurrent_streams,
      product: PRODUCT,
      shown: this.#runtime.shown,
      errorDefaultType: this.#settings.error_default_type,
    }
    return createFront(options, tls)
  }

  #kit(plugin: string, pluginId: string, httpClient: PluginKit['httpClient']): PluginKit {
    return {
      pluginId,
      log: this.#log,
      node: { id: this.#settings.node_id, version: KONG_VERSION },
      now: turnMs,
      settings: this.#settings,
      httpClient,
      onExit: (flush) => {
        this.#flushers.push(flush)
      },
      shared: <T>(name: string, make: () => T): T => {
        if (!this.#shared.has(name)) this.#shared.set(name, make())
        return this.#shared.get(name) as T
      },
      objects: {
        find: (kind, key) => this.#objects.get(objectKey(plugin, kind, key)),
        publish: (kind, key, value) => {
          this.#objects.set(objectKey(plugin, kind, key), value)
          this.#port.send({ type: 'object', plugin, kind, key, value })
        },
      },
    }
  }

  /** Kong's rule: what cannot be resolved is a warning and the empty text, so that the plugin behaves as with an empty secret. */
  #resolve(reference: string): string {
    try {
      return readEnvVault(reference, process.env, this.#settings.vault_env_prefix)
    } catch (error) {
      this.#log.warn('vault reference cannot be resolved', { reason: errorText(error) })
      return ''
    }
  }

  receive(message: Exclude<ToWorker, { type: 'start' }>): void {
    switch (message.type) {
      case 'frame':
        return this.#apply(message.frame)
      case 'purge':
        this.#instances.forget()
        if (this.#lastFrame !== null) this.#apply(this.#lastFrame)
        return
      case 'ticket-keys':
        for (const front of this.#front) front.setTicketKeys(Buffer.from(message.keys))
        return
      case 'stats':
        return this.#port.send({ type: 'stats', id: message.id, stats: this.#stats(message.metrics) })
      case 'drain':
        return this.#drain()
      case 'stop':
        return this.#exit()
    }
  }

  #apply(received: Frame): void {
    const frame = resolveFrame(received, (reference) => this.#resolve(reference))
    const objects = this.#objects
    this.#objects = new Map(frame.objects.map(({ plugin, kind, key, value }) => [objectKey(plugin, kind, key), value]))
    try {
      const prepared = this.#instances.prepare(frame.plugins)
      try {
        this.#runtime.snapshot = buildSnapshot(frame, prepared.instances, {
          calculation: this.#settings.route_match_calculation,
          upstreamTls: this.#upstreamTls,
        })
      } catch (error) {
        prepared.discard()
        throw error
      }
      prepared.commit()
      this.#tls?.use(frame)
      this.#lastFrame = received
      this.#port.send({ type: 'applied', version: frame.version })
    } catch (error) {
      this.#objects = objects
      this.#log.error('configuration refused, the old one serves on', { version: frame.version, reason: errorText(error) })
      this.#port.send({ type: 'failed', version: frame.version, reason: errorText(error) })
    }
    if (!this.#listening) this.#listen()
  }

  #listen(): void {
    this.#listening = true
    const opened = this.#front.map(
      ({ server }, index) =>
        new Promise<string>((resolve, reject) => {
          const listener = this.#settings.proxy_listen[index] as WorkerSettings['proxy_listen'][number]
          server.once('error', reject)
          server.listen(
            { host: listener.ip, port: listener.port, ...(listener.backlog === null ? {} : { backlog: listener.backlog }) },
            () => {
              server.off('error', reject)
              resolve(shownAddress(server.address() as AddressInfo, listener))
            },
          )
        }),
    )
    Promise.all(opened).then(
      (addresses) => this.#port.send({ type: 'listening', addresses }),
      (error: unknown) => this.#port.send({ type: 'fatal', reason: errorText(error) }),
    )
  }

  #stats(withMetrics: boolean): WorkerStats {
    const sum = (read: (front: Front) => number): number => this.#front.reduce((total, front) => total + read(front), 0)
    const activities = this.#front.map((front) => front.activity())
    return {
      pid: process.pid,
      heapBytes: process.memoryUsage().heapUsed,
      accepted: sum(({ counters }) => counters.accepted),
      handled: sum(({ counters }) => counters.handled),
      active: sum(({ counters }) => counters.active),
      reading: activities.reduce((total, { reading }) => total + reading, 0),
      waiting: activities.reduce((total, { waiting }) => total + waiting, 0),
      requests: sum(({ counters }) => counters.requests),
      timers: withMetrics ? process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length : 0,
      metricErrors: this.#metrics.dropped,
      metrics: withMetrics ? this.#metrics.snapshot() : [],
    }
  }

  /** No new connections; requests in flight are answered; then the primary says when to end. */
  #drain(): void {
    Promise.all(this.#front.map((front) => front.drain()))
      .then(() => this.#flush(DRAIN_FLUSH_MS))
      .then(() => this.#port.send({ type: 'drained', stats: this.#stats(true) }))
  }

  /** What is under way is cut; its log phase still runs, and what plugins then have queued goes out. */
  #exit(): void {
    Promise.all(this.#front.map((front) => front.destroy()))
      .then(() => this.#flush(STOP_FLUSH_MS))
      .then(() => Promise.allSettled(this.#closers.map(async (closer) => closer())))
      .then(() => this.#port.exit(0))
  }

  /** What plugins have queued goes out, as far as the time allows. */
  async #flush(withinMs: number): Promise<void> {
    if (this.#flushers.length === 0) return
    const late = new Promise((resolve) => setTimeout(resolve, withinMs))
    await Promise.race([late, Promise.allSettled(this.#flushers.map((flush) => flush(withinMs)))])
  }
}

/** TLS of this worker's listeners: the certificates in force. */
class WorkerTls {
  readonly #front: FrontTls
  readonly #log: Log
  readonly #shared: TlsProfile
  readonly #own: ServerIdentity
  #store: CertificateStore | null = null

  /** @throws OpenSSL's error when the node's own certificate cannot be used */
  constructor({ settings, secrets, ticketKeys }: Start, log: Log) {
    this.#log = log
    this.#shared = tlsProfile(settings)
    this.#own = createIdentity(secrets.certificates, this.#shared)
    this.#front = {
      choose: (serverName) => this.#store?.choose(serverName) ?? this.#own,
      alpn: ['http/1.1'],
      ticketKeys: Buffer.from(ticketKeys),
    }
  }

  /** For a listener, with HTTP/2 or without. */
  front(http2: boolean): FrontTls {
    return http2 ? { ...this.#front, alpn: ['h2', 'http/1.1'] } : this.#front
  }

  /** Handshakes from now on are answered with the certificates of `frame`. */
  use({ certificates, snis }: Frame): void {
    this.#store = createCertificateStore({
      certificates,
      snis,
      fallback: this.#own,
      shared: this.#shared,
      onUnusable: (certificate, reason) =>
        this.#log.error('certificate cannot be used, the one of the node serves', { certificate, reason }),
      previous: this.#store,
    })
  }
}

/** The system's limit of open files for this process; null where it has none or does not say. */
function maxOpenFiles(): number | null {
  try {
    const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
    return soft === undefined ? null : Number(soft)
  } catch {
    return null
  }
}

function objectKey(plugin: string, kind: string, key: string): string {
  return `${plugin}\n${kind}\n${key}`
}

/** PEM texts of the authorities to trust; undefined leaves the system's. `system` among others adds those that come with the runtime. */
function readTrusted(entries: readonly string[]): readonly string[] | undefined {
  if (entries.every((entry) => entry === 'system')) return undefined
  return entries.flatMap((entry) => (entry === 'system' ? rootCertificates : readCertificate(entry)))
}
