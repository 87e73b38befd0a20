/** One worker: listeners, the current snapshot, and what outlives it. Talks to the primary by worker-protocol.ts. */
import type { AddressInfo } from 'node:net'
import { rootCertificates } from 'node:tls'
import { readCertificate } from './config/setting.ts'
import { readEnvVault } from './config/vault-reference.ts'
import { KONG_VERSION } from './config/version.ts'
import { createAccessLog } from './observability/access-log.ts'
import type { AnyPlugin } from './plugin/define.ts'
import type { PluginKit } from './plugin/kit.ts'
import { loadPlugins } from './plugin/loader.ts'
import { REPLAY_BYTES } from './proxy/forward.ts'
import { createTrust } from './proxy/forwarded.ts'
import { handle } from './proxy/lifecycle.ts'
import type { ProxyRuntime } from './proxy/runtime.ts'
import { readShownHeaders } from './proxy/runtime.ts'
import type { Front } from './proxy/server.ts'
import { createFront } from './proxy/server.ts'
import type { Frame } from './proxy/snapshot.ts'
import { buildSnapshot, PluginInstances } from './proxy/snapshot.ts'
import type { FromWorker, ToWorker, WorkerStats } from './proxy/worker-protocol.ts'
import type { WorkerSettings } from './proxy/worker-settings.ts'
import { openLineWriter } from './telemetry/line-writer.ts'
import type { Log } from './telemetry/log.ts'
import { createLogger } from './telemetry/logger.ts'
import { createUpstreamClient } from './upstream/client.ts'
import { createHttpClientFactory } from './upstream/http-client.ts'
import { createResolver } from './upstream/resolver.ts'
import { formatAuthority } from './util/authority.ts'
import { errorText } from './util/errors.ts'

/** Product token that Kong's clients know, and the version they negotiate on. */
const PRODUCT = `kong/${KONG_VERSION}`

/** Header lines of one request. */
const MAX_HEADER_LINES = 1000

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
      createWorker(message.settings, port).then(
        (created) => {
          worker = created
          port.send({ type: 'ready' })
        },
        (error: unknown) => port.send({ type: 'fatal', reason: errorText(error) }),
      )
    } else worker?.receive(message)
  })
}

async function createWorker(settings: WorkerSettings, port: WorkerPort): Promise<Worker> {
  const log = createLogger({ level: settings.log_level, path: settings.proxy_error_log, process: 'worker' })
  return new Worker(settings, port, log, await loadPlugins(settings.plugins_dir))
}

class Worker {
  readonly #settings: WorkerSettings
  readonly #port: WorkerPort
  readonly #log: Log
  readonly #runtime: ProxyRuntime
  readonly #instances: PluginInstances
  readonly #front: Front[]
  readonly #closers: (() => Promise<void> | void)[]
  readonly #shared = new Map<string, unknown>()
  #objects = new Map<string, Readonly<Record<string, unknown>>>()
  #listening = false
  #lastFrame: Frame | null = null

  constructor(settings: WorkerSettings, port: WorkerPort, log: Log, plugins: ReadonlyMap<string, AnyPlugin>) {
    this.#settings = settings
    this.#port = port
    this.#log = log
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
    const shown = readShownHeaders(settings.headers, settings.headers_upstream)
    this.#runtime = {
      snapshot: null,
      upstream,
      trust: createTrust(settings),
      shown,
      log,
      onFinished: createAccessLog(accessLog),
      product: PRODUCT,
      errorDefaultType: settings.error_default_type,
      trustedIdentityHeaders: settings.trusted_identity_headers,
      strictPaths: settings.strict_paths,
      verifyUpstreamTls: settings.nginx_proxy_proxy_ssl_verify,
      maxBodyBytes: settings.client_max_body_size,
      replayBytes: Math.max(REPLAY_BYTES, settings.client_body_buffer_size),
      portMap: new Map(settings.port_maps.map((pair) => pair.split(':').map(Number)).map(([seen, own]) => [own as number, seen as number])),
    }
    this.#front = settings.proxy_listen.map(({ http2 }) => this.#createFront(http2))
    this.#closers = [() => upstream.close(), () => clients.close(), () => accessLog.close()]
  }

  #createFront(priorKnowledge: boolean): Front {
    const { large_client_header_buffers: buffers } = this.#settings
    return createFront({
      limits: { lineBytes: buffers.size, headBytes: buffers.count * buffers.size, lines: MAX_HEADER_LINES },
      deadlines: {
        headMs: this.#settings.client_header_timeout,
        bodyMs: this.#settings.client_body_timeout,
        sendMs: this.#settings.send_timeout,
        keepaliveMs: this.#settings.keepalive_timeout,
        lingeringMs: this.#settings.lingering_timeout,
      },
      maxRequests: this.#settings.keepalive_requests,
      handle: (downstream) => handle(downstream, this.#runtime),
      onBadRequest: (status, peer, requestId) => this.#log.info('bad request', { status, peer, request_id: requestId }),
      onFlood: (peer) => this.#log.warn('client reset too many HTTP/2 streams', { peer }),
      priorKnowledge,
      maxConcurrentStreams: this.#settings.http2_max_concurrent_streams,
      product: PRODUCT,
      shown: this.#runtime.shown,
      errorDefaultType: this.#settings.error_default_type,
    })
  }

  #kit(plugin: string, pluginId: string, httpClient: PluginKit['httpClient']): PluginKit {
    return {
      pluginId,
      log: this.#log,
      now: Date.now,
      settings: this.#settings,
      httpClient,
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
      case 'stats':
        return this.#port.send({ type: 'stats', id: message.id, stats: this.#stats() })
      case 'drain':
        return this.#drain()
      case 'stop':
        return this.#exit()
    }
  }

  #apply(frame: Frame): void {
    const objects = this.#objects
    this.#objects = new Map(frame.objects.map(({ plugin, kind, key, value }) => [objectKey(plugin, kind, key), value]))
    try {
      const prepared = this.#instances.prepare(frame.plugins)
      try {
        this.#runtime.snapshot = buildSnapshot(frame, prepared.instances, {
          calculation: this.#settings.route_match_calculation,
          verifyUpstreamTls: this.#settings.nginx_proxy_proxy_ssl_verify,
        })
      } catch (error) {
        prepared.discard()
        throw error
      }
      prepared.commit()
      this.#lastFrame = frame
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
              const { address, port } = server.address() as AddressInfo
              resolve(formatAuthority(address, port))
            },
          )
        }),
    )
    Promise.all(opened).then(
      (addresses) => this.#port.send({ type: 'listening', addresses }),
      (error: unknown) => this.#port.send({ type: 'fatal', reason: errorText(error) }),
    )
  }

  #stats(): WorkerStats {
    const sum = (read: (front: Front) => number): number => this.#front.reduce((total, front) => total + read(front), 0)
    return {
      pid: process.pid,
      heapBytes: process.memoryUsage().heapUsed,
      accepted: sum(({ counters }) => counters.accepted),
      active: sum(({ counters }) => counters.active),
      requests: sum(({ counters }) => counters.requests),
    }
  }

  /** No new connections; requests in flight are answered; then the primary says when to end. */
  #drain(): void {
    Promise.all(this.#front.map((front) => front.drain())).then(() => this.#port.send({ type: 'drained' }))
  }

  #exit(): void {
    for (const front of this.#front) front.destroy()
    Promise.allSettled(this.#closers.map(async (closer) => closer())).then(() => this.#port.exit(0))
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
