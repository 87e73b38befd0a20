import { type ChildProcess, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { rmSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

/** Includes the code generation of the first start on a slow machine. */
const START_TIMEOUT_MS = 180_000
const STOP_TIMEOUT_MS = 20_000
/** Output kept, in characters; the oldest is dropped. */
const MAX_OUTPUT = 256 * 1024
const LISTENING = /Listening on: http:\/\/127\.0\.0\.1:(\d+)/

/**
 * Runs Keycloak in a process group that ends with us whatever happens to us: a reader waits for the end of a pipe of which we hold
 * the other side, then tells the group to end. `kc.sh` itself starts Java as its child.
 */
const LAUNCH = '(read -r _ <&3; kill -TERM 0) >/dev/null 2>&1 & exec sh bin/kc.sh "$@" 3<&-'

/** The environment without what would change how `kc.sh` runs. */
function environment(password: string): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(KC_|JAVA_OPTS|DEBUG)/.test(name))
  return {
    ...Object.fromEntries(kept),
    KC_BOOTSTRAP_ADMIN_USERNAME: 'admin',
    KC_BOOTSTRAP_ADMIN_PASSWORD: password,
    // A short life: the optimising compiler takes longer than it saves.
    JAVA_OPTS_APPEND: '-XX:TieredStopAtLevel=1',
  }
}

function killGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal)
  } catch {
    // Nobody is left in it.
  }
}

/** Keycloak in development mode (`kc.sh start-dev`) with its embedded database, in a home folder of its own, on the loopback address. */
export class ServerProcess {
  readonly #home: string
  readonly #password: string
  readonly #events = new EventEmitter<{ changed: [] }>()
  readonly #clearAway: () => void
  #child: ChildProcess | undefined
  #output = ''
  #port: number

  /** @param port 0: any free one at the first start, the same one at later starts */
  constructor(home: string, password: string, port: number) {
    this.#home = home
    this.#password = password
    this.#port = port
    this.#clearAway = () => {
      if (this.#child?.pid !== undefined) killGroup(this.#child.pid, 'SIGKILL')
      rmSync(this.#home, { recursive: true, force: true })
    }
    process.once('exit', this.#clearAway)
  }

  get port(): number {
    return this.#port
  }

  /** The last part of what the server printed. */
  get output(): string {
    return this.#output
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Resolves when the server listens. @throws with what it printed, when it ends or takes longer than 180 s */
  async start(): Promise<void> {
    this.#output = ''
    const options = [
      'start-dev',
      '--http-host=127.0.0.1',
      `--http-port=${this.#port}`,
      '--http-relative-path=/auth',
      '--hostname-strict=false',
      '--log-console-color=false',
    ]
    const child = spawn('sh', ['-c', LAUNCH, 'keycloak', ...options], {
      cwd: this.#home,
      env: environment(this.#password),
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      detached: true,
    })
    this.#child = child
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-MAX_OUTPUT)
        this.#events.emit('changed')
      })
    }
    child.once('exit', () => this.#events.emit('changed'))
    const signal = AbortSignal.timeout(START_TIMEOUT_MS)
    while (!LISTENING.test(this.#output)) {
      if (!this.running) throw await this.#failure('Keycloak ended while it started')
      await once(this.#events, 'changed', { signal }).catch(async () => {
        throw await this.#failure(`Keycloak did not listen within ${START_TIMEOUT_MS / 1000} s`)
      })
    }
    this.#port = Number(LISTENING.exec(this.#output)?.[1])
  }

  async #failure(message: string): Promise<Error> {
    await this.end()
    return new Error(`${message}\n${this.#output}`.trimEnd())
  }

  /** Ends the server and waits for it; its home stays, for another start. */
  async end(): Promise<void> {
    const child = this.#child
    if (child?.pid === undefined) return
    const done = new AbortController()
    const ended = this.running ? once(child, 'exit', { signal: done.signal }) : Promise.resolve()
    // The end of the pipe is the word to end, for `kc.sh`, Java and the reader alike.
    child.stdio[3]?.destroy()
    const late = await Promise.race([ended.then(() => false), delay(STOP_TIMEOUT_MS, true, { signal: done.signal })])
    if (late) {
      const killed = once(child, 'exit')
      killGroup(child.pid, 'SIGKILL')
      await killed
    }
    done.abort()
    killGroup(child.pid, 'SIGKILL')
    this.#child = undefined
  }

  /** Ends the server and removes its home. */
  async remove(): Promise<void> {
    await this.end()
    process.removeListener('exit', this.#clearAway)
    rmSync(this.#home, { recursive: true, force: true })
  }
}
