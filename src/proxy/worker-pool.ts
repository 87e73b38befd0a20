/**
 * The workers, as the primary sees them. A worker that dies is replaced; a reload starts a new generation beside the old one and drains the old when the new
 * one serves. Every worker always gets the newest frame; `publish` is done when all of them serve it.
 *
 * States of a worker: starting (loads plugins) > ready > serving (its listeners are open) > draining > gone.
 */

import type { Worker as ClusterWorker } from 'node:cluster'
import cluster from 'node:cluster'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { extname, join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import type { Log } from '../telemetry/log.ts'
import { lastingMetrics, type MetricSnapshot, mergeMetrics } from '../telemetry/metrics.ts'
import { GatewayError } from '../util/errors.ts'
import { settleHandoffs } from './handoffs.ts'
import type { Frame, FrameObject } from './snapshot.ts'
import { TicketKeys } from './ticket-keys.ts'
import type { FromWorker, ToWorker, WorkerStats } from './worker-protocol.ts'
import type { WorkerSecrets, WorkerSettings } from './worker-settings.ts'

/** The workers cannot be started: a port is taken, a plugin cannot be loaded. */
export class WorkerStartError extends GatewayError {
  readonly code = 'GW_WORKER_START'
  readonly source = 'internal'
  readonly status = 500
}

export interface WorkerPoolOptions {
  readonly settings: WorkerSettings
  readonly secrets: WorkerSecrets
  readonly count: number
  readonly log: Log
  readonly onObject: (object: FrameObject) => void
}

/** An answer to an Admin write waits for the workers at most this long; a worker that is busier than that follows as soon as it can. */
const PUBLISH_PATIENCE_MS = 2_000
/** A worker that dies at once again is replaced after a pause that doubles up to this. */
const MAX_RESPAWN_DELAY_MS = 5_000
/** How long figures are waited for; a worker that is busier than that is shown as it was last seen. */
const STATS_PATIENCE_MS = 250
const METRICS_PATIENCE_MS = 1000

interface Member {
  readonly worker: ClusterWorker
  state: 'starting' | 'ready' | 'serving' | 'draining' | 'gone'
  appliedVersion: number
  readonly startedAtMs: number
  /** As last seen; `metrics` as last asked for. */
  stats: WorkerStats | null
}

/** What ended workers counted: nothing that grows ever goes down while the primary lives. */
interface EndedStats {
  accepted: number
  handled: number
  requests: number
  metricErrors: number
  metrics: readonly MetricSnapshot[]
}

/** What all workers count together. */
export interface PoolStats {
  /** Those that live. */
  readonly workers: readonly WorkerStats[]
  /** Since the primary started, those that ended included. */
  readonly accepted: number
  readonly handled: number
  readonly requests: number
  readonly metricErrors: number
  readonly metrics: readonly MetricSnapshot[]
}

/** A question to the workers, and who has not answered yet. */
interface StatsQuestion {
  readonly open: Set<Member>
  readonly done: () => void
}

export class WorkerPool {
  readonly #options: WorkerPoolOptions
  readonly #ticketKeys = new TicketKeys()
  #settings: WorkerSettings
  #secrets: WorkerSecrets
  #count: number
  /** Listeners as configured, before ports were chosen. */
  #asked: WorkerSettings['proxy_listen']
  #members = new Set<Member>()
  #frame: Frame | null = null
  #addresses: readonly string[] = []
  #ending = false
  #respawnDelayMs = 100
  #waiting = new Set<() => void>()
  #questions = new Map<number, StatsQuestion>()
  #lastStatsId = 0
  #ended: EndedStats = { accepted: 0, handled: 0, requests: 0, metricErrors: 0, metrics: [] }
  #starting: { readonly reject: (error: Error) => void } | null = null
  /** Why a worker refused the newest frame; null when all took it. */
  #refusal: string | null = null

  constructor(options: WorkerPoolOptions) {
    this.#options = options
    this.#settings = options.settings
    this.#secrets = options.secrets
    this.#count = options.count
    this.#asked = options.settings.proxy_listen
    this.#rotateTicketKeys()
    cluster.setupPrimary({
      exec: join(import.meta.dirname, '..', `worker-main${extname(import.meta.filename)}`),
      serialization: 'advanced',
      args: [],
    })
  }

  #rotateTicketKeys(): void {
    this.#ticketKeys.rotate(this.#settings.ssl_session_timeout, () => {
      for (const member of this.#members) this.#tell(member, { type: 'ticket-keys', keys: this.#ticketKeys.current })
    })
  }

  /** Where the proxy listens, with real ports. */
  get addresses(): readonly string[] {
    return this.#addresses
  }

  /** True while a worker routes by a configuration. */
  get routing(): boolean {
    return [...this.#members].some(({ state, appliedVersion }) => state === 'serving' && appliedVersion > 0)
  }

  get pids(): number[] {
    return [...this.#members].flatMap(({ worker }) => worker.process.pid ?? [])
  }

  get refusal(): string | null {
    return this.#refusal
  }

  /** Starts the workers with their first frame; resolves when all listeners are open. @throws {WorkerStartError} */
  async start(frame: Frame): Promise<void> {
    this.#frame = frame
    const chosen = this.#settings.proxy_listen.some(({ port }) => port === 0)
    for (let attempt = 1; ; attempt++) {
      this.#settings = { ...this.#options.settings, proxy_listen: await choosePorts(this.#options.settings.proxy_listen) }
      try {
        return await this.#startGeneration()
      } catch (error) {
        await this.#killAll()
        // A port that we chose a moment ago may have been taken by somebody else since.
        if (!chosen || attempt === 5 || !(error instanceof Error && error.message.includes('EADDRINUSE'))) throw error
      }
    }
  }

  /**
   * A new generation of workers takes over; the old one answers what it has and ends.
   * @throws {WorkerStartError} the new ones cannot start; the old ones serve on
   */
  async replace(settings: WorkerSettings, secrets: WorkerSecrets, count: number): Promise<void> {
    const old = [...this.#members].filter(({ state }) => state !== 'draining')
    const before = { settings: this.#settings, secrets: this.#secrets, count: this.#count }
    const sameListeners = isDeepStrictEqual(settings.proxy_listen, this.#asked)
    this.#settings = sameListeners ? { ...settings, proxy_listen: this.#settings.proxy_listen } : settings
    this.#secrets = secrets
    this.#count = count
    try {
      await this.#startGeneration()
    } catch (error) {
      this.#settings = before.settings
      this.#secrets = before.secrets
      this.#count = before.count
      for (const member of this.#members) if (!old.includes(member)) this.#kill(member)
      throw error
    }
    this.#asked = settings.proxy_listen
    this.#rotateTicketKeys()
    for (const member of old) this.#drainMember(member)
  }

  async #startGeneration(): Promise<void> {
    const failed = Promise.withResolvers<never>()
    this.#starting = failed
    try {
      const members = Array.from({ length: this.#count }, () => this.#spawn())
      await Promise.race([this.#until(() => members.every(({ state }) => state === 'serving')), failed.promise])
      if (this.#refusal !== null) throw new WorkerStartError(this.#refusal)
    } finally {
      this.#starting = null
      failed.promise.catch(() => {})
    }
  }

  #spawn(): Member {
    const worker = cluster.fork()
    const member: Member = { worker, state: 'starting', appliedVersion: 0, startedAtMs: Date.now(), stats: null }
    this.#members.add(member)
    settleHandoffs(worker.process, () => [...this.#members].some((other) => other !== member && other.state === 'serving'))
    worker.on('message', (message: FromWorker) => this.#receive(member, message))
    worker.on('exit', (code, signal) => this.#lose(member, code, signal))
    worker.on('error', (error) => this.#options.log.error('worker failed', { pid: worker.process.pid, reason: error.message }))
    this.#tell(member, {
      type: 'start',
      settings: this.#settings,
      secrets: this.#secrets,
      ticketKeys: this.#ticketKeys.current,
    })
    return member
  }

  #receive(member: Member, message: FromWorker): void {
    switch (message.type) {
      case 'ready':
        member.state = 'ready'
        if (this.#frame !== null) this.#tell(member, { type: 'frame', frame: this.#frame })
        break
      case 'listening':
        member.state = 'serving'
        this.#addresses = message.addresses
        this.#respawnDelayMs = 100
        break
      case 'applied':
        member.appliedVersion = message.version
        if (message.version === this.#frame?.version) this.#refusal = null
        break
      case 'failed':
        member.appliedVersion = message.version
        this.#refusal = message.reason
        break
      case 'drained':
        member.stats = message.stats
        this.#tell(member, { type: 'stop' })
        break
      case 'object':
        this.#options.onObject(message)
        break
      case 'stats':
        this.#collectStats(member, message.id, message.stats)
        break
      case 'fatal':
        this.#fail(member, message.reason)
        break
    }
    this.#wake()
  }

  #fail(member: Member, reason: string): void {
    this.#options.log.error('worker cannot start', { pid: member.worker.process.pid, reason })
    this.#starting?.reject(new WorkerStartError(reason))
    member.worker.process.kill('SIGKILL')
  }

  #lose(member: Member, code: number | null, signal: string | null): void {
    const expected = member.state === 'draining' || this.#ending
    member.state = 'gone'
    this.#members.delete(member)
    this.#keepStats(member)
    this.#wake()
    if (expected) return
    this.#options.log.error('worker died', { pid: member.worker.process.pid, code, signal })
    if (this.#starting !== null)
      return this.#starting.reject(new WorkerStartError(`a worker ended while starting (code ${code ?? signal})`))
    const delayMs = Date.now() - member.startedAtMs > 10_000 ? 0 : this.#respawnDelayMs
    this.#respawnDelayMs = Math.min(this.#respawnDelayMs * 2, MAX_RESPAWN_DELAY_MS)
    setTimeout(() => {
      if (!this.#ending) this.#spawn()
    }, delayMs)
  }

  /** Sends a frame to all workers; resolves when they serve it, or when patience ends. */
  async publish(frame: Frame): Promise<void> {
    this.#frame = frame
    this.#refusal = null
    for (const member of this.#members)
      if (member.state !== 'starting' && member.state !== 'gone') this.#tell(member, { type: 'frame', frame })
    const serving = [...this.#members].filter(({ state }) => state === 'serving')
    await this.#until(
      () => serving.every(({ state, appliedVersion }) => state === 'gone' || appliedVersion >= frame.version),
      PUBLISH_PATIENCE_MS,
    )
  }

  /** Drops all caches in all workers. */
  purge(): void {
    for (const member of this.#members) this.#tell(member, { type: 'purge' })
  }

  /** True while the newest frame has an enabled configuration of this plugin. */
  configures(plugin: string): boolean {
    return this.#frame?.plugins.some(({ name, enabled }) => name === plugin && enabled) ?? false
  }

  /** What the workers count; one that does not answer in time is shown as it was last seen. @param withMetrics whether `metrics` are wanted */
  async stats(withMetrics = false): Promise<PoolStats> {
    await this.#askForStats(withMetrics)
    const workers = [...this.#members].flatMap(({ stats }) => stats ?? [])
    const sum = (read: (one: WorkerStats | EndedStats) => number): number =>
      workers.reduce((total, one) => total + read(one), read(this.#ended))
    return {
      workers,
      accepted: sum(({ accepted }) => accepted),
      handled: sum(({ handled }) => handled),
      requests: sum(({ requests }) => requests),
      metricErrors: sum(({ metricErrors }) => metricErrors),
      metrics: withMetrics ? mergeMetrics([this.#ended.metrics, ...workers.map(({ metrics }) => metrics)]) : [],
    }
  }

  #askForStats(metrics: boolean): Promise<void> {
    const open = new Set([...this.#members].filter(({ state, stats }) => state === 'serving' || (state === 'draining' && stats !== null)))
    if (open.size === 0) return Promise.resolve()
    const id = ++this.#lastStatsId
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        this.#questions.delete(id)
        resolve()
      }
      const timer = setTimeout(done, metrics ? METRICS_PATIENCE_MS : STATS_PATIENCE_MS)
      this.#questions.set(id, { open, done })
      for (const member of open) this.#tell(member, { type: 'stats', id, metrics })
    })
  }

  #collectStats(member: Member, id: number, stats: WorkerStats): void {
    const { metrics } = member.stats ?? { metrics: [] }
    member.stats = stats.metrics.length === 0 ? { ...stats, metrics } : stats
    const question = this.#questions.get(id)
    if (question !== undefined) this.#settle(question, member)
  }

  #settle({ open, done }: StatsQuestion, member: Member): void {
    if (open.delete(member) && open.size === 0) done()
  }

  /** A worker is gone, what it counted is not: all of it where it had time to say so, else what was last seen. */
  #keepStats(member: Member): void {
    const { stats } = member
    member.stats = null
    if (stats !== null) {
      const { accepted, handled, requests, metricErrors, metrics } = this.#ended
      this.#ended = {
        accepted: accepted + stats.accepted,
        handled: handled + stats.handled,
        requests: requests + stats.requests,
        metricErrors: metricErrors + stats.metricErrors,
        metrics: mergeMetrics([metrics, lastingMetrics(stats.metrics)]),
      }
    }
    for (const question of [...this.#questions.values()]) this.#settle(question, member)
  }

  /** Ends all workers when what they have is answered. */
  async drain(): Promise<void> {
    this.#ending = true
    this.#ticketKeys.stop()
    for (const member of this.#members) this.#drainMember(member)
    await this.#until(() => this.#members.size === 0)
  }

  /** Ends all workers at once. */
  async stop(): Promise<void> {
    this.#ending = true
    this.#ticketKeys.stop()
    for (const member of this.#members) this.#tell(member, { type: 'stop' })
    await this.#until(() => this.#members.size === 0, 1_000)
    await this.#killAll()
  }

  async #killAll(): Promise<void> {
    for (const member of this.#members) this.#kill(member)
    await this.#until(() => this.#members.size === 0)
  }

  #kill(member: Member): void {
    member.state = 'draining'
    member.worker.process.kill('SIGKILL')
  }

  #drainMember(member: Member): void {
    if (member.state === 'starting' || member.state === 'ready') member.worker.process.kill('SIGKILL')
    member.state = 'draining'
    this.#tell(member, { type: 'drain' })
  }

  #tell(member: Member, message: ToWorker): void {
    if (member.worker.isConnected()) member.worker.send(message)
  }

  #wake(): void {
    for (const check of [...this.#waiting]) check()
  }

  /** Resolves when `condition` holds, looked at after each message and exit; or when `patienceMs` is over. */
  #until(condition: () => boolean, patienceMs?: number): Promise<void> {
    if (condition()) return Promise.resolve()
    return new Promise((resolve) => {
      const finish = (): void => {
        clearTimeout(timer)
        this.#waiting.delete(check)
        resolve()
      }
      const check = (): void => {
        if (condition()) finish()
      }
      const timer = patienceMs === undefined ? undefined : setTimeout(finish, patienceMs)
      this.#waiting.add(check)
    })
  }
}

/** Port 0 is resolved here, so that all workers, and those that replace them, share one port. */
async function choosePorts(listeners: WorkerSettings['proxy_listen']): Promise<WorkerSettings['proxy_listen']> {
  return Promise.all(
    listeners.map(async (listener) => (listener.port === 0 ? { ...listener, port: await freePort(listener.ip) } : listener)),
  )
}

function freePort(host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen({ host, port: 0 }, () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}
