import { errorText } from '../util/errors.ts'
import { type Addresses, claimPrefix, releasePrefix, writeState } from './process-files.ts'
import { type ReloadOutcome, ReloadRequests } from './reload-requests.ts'

/** What the command line needs of a gateway that serves. */
export interface ServingGateway {
  readonly addresses: Addresses
  /** Re-reads the configuration; a rejection means that the old one goes on serving. */
  reload(): Promise<void>
  /** Ends at once. */
  stop(): Promise<void>
  /** Ends when the requests under way are answered. */
  drain(): Promise<void>
  /** Settles when the gateway has ended, for whatever reason. */
  readonly closed: Promise<void>
}

/** What to run, and whom to tell. */
export interface ForegroundOptions {
  /** Absolute; made by `preparePrefix`. */
  readonly prefix: string
  readonly start: () => Promise<ServingGateway>
  /** Checks what a reload would read, before the gateway reloads. @param file conf file instead of the one of the start, or null */
  readonly beforeReload: (file: string | null) => Pick<ReloadOutcome, 'needRestart'>
  readonly onReady: (addresses: Addresses) => void
  /** A line for the operator about something that failed while nobody waited for an answer. */
  readonly complain: (line: string) => void
  /** Ends the process at once: the operator asked twice. */
  readonly force: () => void
}

/**
 * Runs a gateway in this process until it ends. SIGTERM and SIGINT stop it, SIGQUIT drains it (SIGTERM then still stops it), SIGHUP
 * reloads it; a second SIGINT forces the end. The meaning of the signals is nginx's, and so Kong's.
 *
 * @throws {CommandError} another process runs in the prefix
 * @throws what `start` throws, or how the gateway failed
 */
export async function runForeground(options: ForegroundOptions): Promise<void> {
  const run = new ForegroundRun(options)
  // Before the pid file is there: whoever finds it may send signals, whose default is to end the process.
  const uninstall = run.installSignals()
  try {
    claimPrefix(options.prefix)
    try {
      await run.serve()
    } finally {
      releasePrefix(options.prefix)
    }
  } finally {
    uninstall()
  }
}

type Ending = 'stop' | 'drain'

class ForegroundRun {
  readonly #options: ForegroundOptions
  readonly #reloads: ReloadRequests
  readonly #failed = Promise.withResolvers<never>()
  readonly #ended = Promise.withResolvers<void>()
  #gateway: ServingGateway | null = null
  #ending: Ending | null = null
  #interrupts = 0
  #reloadWanted = false

  constructor(options: ForegroundOptions) {
    this.#options = options
    this.#reloads = new ReloadRequests(options.prefix, (file) => this.#reload(file))
  }

  installSignals(): () => void {
    const handlers: readonly (readonly [NodeJS.Signals, () => void])[] = [
      ['SIGTERM', () => this.#end('stop')],
      ['SIGINT', () => this.#interrupt()],
      ['SIGQUIT', () => this.#end('drain')],
      ['SIGHUP', () => this.#wantReload()],
    ]
    for (const [signal, handler] of handlers) process.on(signal, handler)
    return () => {
      for (const [signal, handler] of handlers) process.off(signal, handler)
    }
  }

  async serve(): Promise<void> {
    this.#reloads.clear()
    this.#gateway = await this.#options.start()
    writeState(this.#options.prefix, this.#gateway.addresses)
    if (this.#ending === null) this.#options.onReady(this.#gateway.addresses)
    else this.#finish(this.#gateway, this.#ending)
    if (this.#reloadWanted) this.#wantReload()
    const closed = this.#gateway.closed.then(() => (this.#ending === null ? undefined : this.#ended.promise))
    await Promise.race([closed, this.#ended.promise, this.#failed.promise])
  }

  /** A stop overtakes a drain, never the other way round. A signal that comes before the gateway serves is obeyed when it does. */
  #end(ending: Ending): void {
    if (this.#ending === 'stop' || this.#ending === ending) return
    this.#ending = ending
    if (this.#gateway !== null) this.#finish(this.#gateway, ending)
  }

  #finish(gateway: ServingGateway, ending: Ending): void {
    const work = ending === 'stop' ? gateway.stop() : gateway.drain()
    work.then(
      () => this.#ended.resolve(),
      (error: unknown) => this.#failed.reject(error),
    )
  }

  #interrupt(): void {
    this.#interrupts += 1
    if (this.#interrupts > 1) this.#options.force()
    else this.#end('stop')
  }

  #wantReload(): void {
    this.#reloadWanted = true
    if (this.#gateway === null || this.#ending !== null) return
    this.#reloads.handle().catch((error: unknown) => this.#options.complain(`reload failed: ${errorText(error)}`))
  }

  async #reload(file: string | null): Promise<ReloadOutcome> {
    try {
      const { needRestart } = this.#options.beforeReload(file)
      await this.#gateway?.reload()
      return { error: null, needRestart }
    } catch (error) {
      this.#options.complain(`reload failed, the old configuration goes on serving: ${errorText(error)}`)
      return { error: errorText(error), needRestart: [] }
    }
  }
}
