/** What is done to the gateway, and to the servers that it depends on, while it serves. */
import { setTimeout as delay } from 'node:timers/promises'
import { processTree } from '../../bench/processes.ts'
import type { Gateway } from '../support/gateway.ts'
import { createHttpClient } from '../support/http-client.ts'
import type { ServerProcess } from './endpoint.ts'
import { configuration, EXTRA_PATH } from './requests.ts'
import type { Tally } from './tally.ts'
import type { Disturbances } from './verdict.ts'

const CONFIGURATION_EVERY_MS = 3000
const UPSTREAM_EVERY_MS = 20_000
const SERVER_EVERY_MS = 25_000
/** When in the run workers are replaced and one is killed: early, so that those that follow live long enough to be watched, and once more at the end. */
const RELOADS_AT = [0.08, 0.97] as const
const WORKER_KILL_AT = 0.14
/** From here to there memory is watched. */
export const WATCHED = [0.22, 0.96] as const

/** How long a server stays away. */
const AWAY_MS = 700
/** After its return: what the machine takes to notice that it listens. */
const UPSTREAM_GRACE_MS = 1000
/** Calls are made again at most two seconds after the authorization server's return; the rest is a busy machine's. */
const SERVER_GRACE_MS = 3000
/** Workers that were replaced leave their idle connections open for a moment. */
const RELOAD_GRACE_MS = 2000
const WORKER_GRACE_MS = 1000
/** An answer to a change waits for the workers, up to two seconds; one that took nearly as long promises nothing. */
const PROMPT_MS = 1500
/** Connections by which a change is looked at, so that each worker is asked. */
const LOOKS = 4

export interface Stage {
  readonly gateway: Gateway
  readonly upstream: ServerProcess
  readonly identityProvider: ServerProcess
  readonly introspectionUrl: string
  readonly disturbances: Disturbances
  readonly tally: Tally
}

export class Events {
  readonly #stage: Stage
  readonly #signal: AbortSignal
  #reloading: Promise<void> = Promise.resolve()
  readonly done: Record<string, number> = { 'configurations loaded': 0, 'reloads with new workers': 0, 'workers killed': 0 }

  constructor(stage: Stage, signal: AbortSignal) {
    this.#stage = stage
    this.#signal = signal
  }

  /** Runs until the signal says so; what is under way is finished. @param seconds of the whole run */
  async run(seconds: number): Promise<void> {
    const { upstream, identityProvider } = this.#stage
    const at = (part: number): number => part * seconds * 1000
    await Promise.all([
      this.#every(CONFIGURATION_EVERY_MS, CONFIGURATION_EVERY_MS, () => this.#loadConfiguration()),
      this.#every(UPSTREAM_EVERY_MS / 2, UPSTREAM_EVERY_MS, () => this.#restart('upstream', upstream, UPSTREAM_GRACE_MS)),
      this.#every(SERVER_EVERY_MS - 3000, SERVER_EVERY_MS, () => this.#restart('identity-provider', identityProvider, SERVER_GRACE_MS)),
      ...RELOADS_AT.map((part) => this.#once(at(part), () => (this.#reloading = this.#reload()))),
      this.#once(at(WORKER_KILL_AT), () => this.#killWorker()),
    ])
  }

  async #once(afterMs: number, act: () => Promise<void>): Promise<void> {
    const waited = await delay(afterMs, true, { signal: this.#signal }).catch(() => false)
    if (waited) await act()
  }

  async #every(firstMs: number, thenMs: number, act: () => Promise<void>): Promise<void> {
    await this.#once(firstMs, act)
    while (!this.#signal.aborted) await this.#once(thenMs, act)
  }

  #count(what: string): void {
    this.done[what] = (this.done[what] ?? 0) + 1
  }

  async #restart(kind: 'upstream' | 'identity-provider', server: ServerProcess, graceMs: number): Promise<void> {
    const end = this.#stage.disturbances.begin(kind)
    await server.kill()
    await delay(AWAY_MS)
    await server.start()
    end(graceMs)
    this.#count(`restarts of the ${kind}`)
  }

  /** Adds a route, or takes it away again; every worker has to know when the answer is there. */
  async #loadConfiguration(): Promise<void> {
    const { gateway, upstream, introspectionUrl, tally } = this.#stage
    const extra = (this.done['configurations loaded'] ?? 0) % 2 === 0
    const startMs = performance.now()
    const answer = await gateway.admin('POST', '/config', configuration(upstream.port, introspectionUrl, extra))
    this.#count('configurations loaded')
    if (answer.status !== 201) return tally.violate(`a configuration was answered with ${answer.status}`)
    if (performance.now() - startMs > PROMPT_MS) return this.#count('configurations that took long')
    const looks = Array.from({ length: LOOKS }, () => this.#lookForExtra())
    for (const status of await Promise.all(looks)) {
      const expected = extra ? 200 : 404
      if (status !== expected && !this.#isUnsettled(startMs)) tally.violate(`after a change was answered, the route gave ${status}`)
    }
  }

  #isUnsettled(sinceMs: number): boolean {
    const nowMs = performance.now()
    return (['worker', 'reload'] as const).some((kind) => this.#stage.disturbances.during(kind, sinceMs, nowMs))
  }

  async #lookForExtra(): Promise<number> {
    await using client = createHttpClient(this.#stage.gateway.proxyOrigin)
    return await client.get(EXTRA_PATH).then(
      ({ status }) => status,
      () => 0,
    )
  }

  async #reload(): Promise<void> {
    const end = this.#stage.disturbances.begin('reload')
    const { exitCode, output } = await this.#stage.gateway.command('reload')
    end(RELOAD_GRACE_MS)
    this.#count('reloads with new workers')
    if (exitCode !== 0) this.#stage.tally.violate(`reload ended with ${exitCode}`, output)
  }

  async #killWorker(): Promise<void> {
    // A worker that dies while it starts ends a reload, and one that is being replaced would not be missed.
    await this.#reloading
    await delay(RELOAD_GRACE_MS)
    const [, worker] = processTree(this.#stage.gateway.pid)
    if (worker === undefined) return this.#stage.tally.violate('there was no worker to kill')
    const end = this.#stage.disturbances.begin('worker')
    process.kill(worker, 'SIGKILL')
    end(WORKER_GRACE_MS)
    this.#count('workers killed')
  }
}
