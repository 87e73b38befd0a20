import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Changes } from './changes.ts'
import { createHttpClient, type HttpResponse } from './http-client.ts'
import { cleanEnvironment, runProgram } from './run-program.ts'
import { temporaryFolder } from './temp.ts'

const REPOSITORY = resolve(import.meta.dirname, '../..')
/** What the program prints once its listeners are open and `run/state.json` is written. */
const STARTED = /^Sallyport started$/m
/** Output kept at most, in characters; the oldest is dropped. */
const MAX_OUTPUT = 32 * 1024 * 1024
const START_TIMEOUT_MS = 30_000
const STOP_TIMEOUT_MS = 20_000
/** How long processes of the gateway may outlive its main process. */
const ORPHAN_TIMEOUT_MS = 3000

export type GatewayOptions = {
  /** Further environment, for instance `SALLYPORT_PROXY_LISTEN`; wins over what follows from the other options. */
  env?: Record<string, string>
  /** Text of a configuration file, given by `-c`. */
  conf?: string
  /** A declarative configuration: YAML or JSON text, or an object. Only with `database: 'off'`. */
  declarative?: string | object
  /** Default `sqlite`, in the prefix. */
  database?: 'sqlite' | 'off'
  /** Default 1. */
  workers?: number
  /** Value of the setting `plugins`, default: the gateway's own. */
  plugins?: string[]
  /** Default `debug`. */
  logLevel?: string
  /** Arguments for Node.js in front of `start`; default: this repository's `bin/sallyport.js`. */
  program?: string[]
}

export type Gateway = AsyncDisposable & {
  /** Of the first proxy listener, and so on; they stay the same after `restart()`. */
  readonly proxyPort: number
  readonly adminPort: number
  readonly statusPort: number
  /** `http://127.0.0.1:<port>` */
  readonly proxyOrigin: string
  readonly adminOrigin: string
  readonly statusOrigin: string
  /** A fresh folder for this gateway's data, logs and sockets. */
  readonly prefix: string
  /** Process id of the main process. */
  readonly pid: number
  /** Everything printed to standard output and standard error since the first start, logs included. */
  readonly output: string
  /** Undefined while it runs, null when it was killed by a signal. */
  readonly exitCode: number | null | undefined
  /** Resolves with the exit code when the process has ended; rejects when it still runs a minute later. */
  readonly exited: Promise<number | null>
  /** What was printed, then the files in the prefix's `logs` folder. */
  logText(): Promise<string>
  /** An Admin API request; a body that is no string is sent as JSON. */
  admin(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<HttpResponse>
  /**
   * The first match in the output from character `from` on, as soon as it is there. Rejects when the process ends first, or after a minute.
   */
  waitForOutput(pattern: RegExp, from?: number): Promise<RegExpExecArray>
  /** Runs another command of the program (`reload`, `health`, …) on this prefix. */
  command(...parameters: string[]): Promise<{ exitCode: number | null; output: string }>
  signal(signal: NodeJS.Signals): void
  /** SIGTERM, waits for the end, checks that no process is left behind, removes the prefix. */
  stop(): Promise<void>
  /** SIGQUIT (graceful); waits for the end and gives the exit code. The prefix stays until `stop()`. */
  quit(): Promise<number | null>
  /** SIGKILL to the main process only, as a crash would be; waits for the end. The prefix stays until `stop()`. */
  kill9(): Promise<void>
  /** Stops the process if it runs and starts it again on the same prefix and ports. */
  restart(options?: { env?: Record<string, string> }): Promise<void>
}

/** The gateway ended or did not come up; `output` is what it printed. */
export class GatewayStartError extends Error {
  override readonly name = 'GatewayStartError'
  readonly output: string
  readonly exitCode: number | null | undefined
  constructor(message: string, output: string, exitCode: number | null | undefined) {
    super(`${message}\n${output}`)
    this.output = output
    this.exitCode = exitCode
  }
}

/** Addresses as `host:port`, by kind of listener. */
type Addresses = { proxy: string[]; admin: string[]; status: string[] }

async function settingsFor(options: GatewayOptions, prefix: string): Promise<Record<string, string>> {
  const { declarative, database = 'sqlite' } = options
  const settings: Record<string, string> = {
    SALLYPORT_NGINX_DAEMON: 'off',
    SALLYPORT_PREFIX: prefix,
    SALLYPORT_DATABASE: database,
    SALLYPORT_PROXY_LISTEN: '127.0.0.1:0',
    SALLYPORT_ADMIN_LISTEN: '127.0.0.1:0',
    SALLYPORT_STATUS_LISTEN: '127.0.0.1:0',
    SALLYPORT_NGINX_WORKER_PROCESSES: String(options.workers ?? 1),
    SALLYPORT_LOG_LEVEL: options.logLevel ?? 'debug',
    SALLYPORT_PROXY_ACCESS_LOG: '/dev/stdout',
    SALLYPORT_ADMIN_ACCESS_LOG: '/dev/stdout',
    SALLYPORT_PROXY_ERROR_LOG: '/dev/stderr',
    SALLYPORT_ADMIN_ERROR_LOG: '/dev/stderr',
  }
  if (options.plugins !== undefined) settings['SALLYPORT_PLUGINS'] = options.plugins.join(',')
  if (declarative !== undefined) {
    const file = join(prefix, typeof declarative === 'string' ? 'declarative.yml' : 'declarative.json')
    await writeFile(file, typeof declarative === 'string' ? declarative : JSON.stringify(declarative))
    settings['SALLYPORT_DECLARATIVE_CONFIG'] = file
  }
  return { ...settings, ...options.env }
}

/** Processes of a group that have not ended; none where there is no `/proc` to look them up. */
async function livingMembers(group: number): Promise<number[]> {
  const names = await readdir('/proc').catch(() => [])
  const living: number[] = []
  for (const name of names.filter((candidate) => /^\d+$/.test(candidate))) {
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '')
    // The command may hold spaces and parentheses: fields are counted from behind it.
    const [state, , processGroup] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (Number(processGroup) === group && state !== 'Z' && state !== 'X') living.push(Number(name))
  }
  return living
}

function killGroup(group: number): void {
  try {
    process.kill(-group, 'SIGKILL')
  } catch {
    // Nobody is left in it.
  }
}

/** One run of the program, with what it printed. */
class Run {
  readonly child: ChildProcess
  readonly pid: number
  readonly exited: Promise<number | null>
  exitCode: number | null | undefined
  /** Characters printed by this run. */
  output = ''

  constructor(args: string[], env: NodeJS.ProcessEnv, onOutput: (text: string) => void, onEnd: () => void) {
    // A process group of its own, so that nothing is left running when a test goes wrong.
    this.child = spawn(process.execPath, args, { cwd: REPOSITORY, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    this.pid = this.child.pid ?? 0
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output = (this.output + text).slice(-MAX_OUTPUT)
        onOutput(text)
      })
    }
    const closed = once(this.child, 'close')
    this.exited = once(this.child, 'exit').then(async ([code]: (number | null)[]) => {
      // What was printed last comes before `close`; workers that outlive a killed main process would hold that up.
      await Promise.race([closed, delay(ORPHAN_TIMEOUT_MS, undefined, { ref: false })])
      this.exitCode = code ?? null
      onEnd()
      return this.exitCode
    })
  }

  get running(): boolean {
    return this.exitCode === undefined && this.child.exitCode === null && this.child.signalCode === null
  }

  /** Sends a signal and waits for the end; a process that stays is killed and reported. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    if (this.running) process.kill(this.pid, signal)
    const deadline = new AbortController()
    const late = delay(STOP_TIMEOUT_MS, 'late' as const, { signal: deadline.signal }).catch(() => 'late' as const)
    const code = await Promise.race([this.exited, late])
    deadline.abort()
    if (code !== 'late') return code
    killGroup(this.pid)
    throw new Error(`the gateway did not end within ${STOP_TIMEOUT_MS} ms of ${signal}\n${this.output}`)
  }

  /** @throws when processes outlive the main one; they are killed */
  async assertAlone(): Promise<void> {
    const deadlineMs = performance.now() + ORPHAN_TIMEOUT_MS
    for (;;) {
      const left = await livingMembers(this.pid)
      if (left.length === 0) return
      if (performance.now() > deadlineMs) {
        killGroup(this.pid)
        throw new Error(`processes ${left.join(', ')} outlived the gateway\n${this.output}`)
      }
      // The end of a process that is not our child cannot be waited for.
      await delay(20)
    }
  }
}

function portOf(addresses: string[] | undefined): number {
  return Number(addresses?.[0]?.match(/:(\d+)(?=\s|$)/)?.[1] ?? 0)
}

/** Ports of a running gateway's listeners of a kind, in the order of its setting. */
export async function portsOf(gateway: Pick<Gateway, 'prefix'>, kind: keyof Addresses = 'proxy'): Promise<number[]> {
  const { addresses } = JSON.parse(await readFile(join(gateway.prefix, 'run', 'state.json'), 'utf8')) as { addresses: Addresses }
  return addresses[kind].map((address) => portOf([address]))
}

/** Prefixes and process groups to clear away when the test process ends without `stop()`. */
const leftovers = new Map<string, number>()

function clearLeftovers(): void {
  for (const [prefix, group] of leftovers) {
    killGroup(group)
    rmSync(prefix, { recursive: true, force: true })
  }
}

/**
 * Starts the gateway as its own process on free ports of the loopback address, in a fresh prefix, and resolves when it serves.
 *
 * @throws {GatewayStartError} it ended, or was not ready within 30 s; with what it printed
 * @throws {TypeError} options that do not fit together
 */
export async function startGateway(options: GatewayOptions = {}): Promise<Gateway> {
  if (options.declarative !== undefined && options.database !== 'off') {
    throw new TypeError("a declarative configuration needs database: 'off'")
  }
  const { path: prefix } = await temporaryFolder()
  const stateFile = join(prefix, 'run', 'state.json')
  const changes = new Changes()
  const client = createHttpClient()
  const program = options.program ?? [join(REPOSITORY, 'bin', 'sallyport.js')]
  let settings = await settingsFor(options, prefix)
  let output = ''
  let run: Run
  let state: Addresses = { proxy: [], admin: [], status: [] }
  const confFile = join(prefix, 'sallyport.conf')
  if (options.conf !== undefined) await writeFile(confFile, options.conf)
  const confArguments = options.conf === undefined ? [] : ['-c', confFile]

  /** The ports of the last run, unless the test chose the addresses itself. */
  function portsOfLastRun(): Record<string, string> {
    const listeners = { SALLYPORT_PROXY_LISTEN: state.proxy, SALLYPORT_ADMIN_LISTEN: state.admin, SALLYPORT_STATUS_LISTEN: state.status }
    const known = Object.entries(listeners).filter(([name, addresses]) => settings[name] === '127.0.0.1:0' && addresses?.[0] !== undefined)
    return Object.fromEntries(known.map(([name, addresses]) => [name, `127.0.0.1:${portOf(addresses)}`]))
  }

  async function start(): Promise<void> {
    await rm(stateFile, { force: true })
    run = new Run(
      [...program, 'start', ...confArguments],
      { ...cleanEnvironment(), ...settings, ...portsOfLastRun() },
      (text) => {
        output = (output + text).slice(-MAX_OUTPUT)
        changes.announce()
      },
      () => changes.announce(),
    )
    if (leftovers.size === 0) process.once('exit', clearLeftovers)
    leftovers.set(prefix, run.pid)
    const failed = (how: string) => new GatewayStartError(`the gateway ${how}`, run.output, run.exitCode)
    const started = () => {
      if (STARTED.test(run.output)) return true
      if (run.exitCode !== undefined) throw failed(`ended with ${run.exitCode}`)
      return undefined
    }
    const late = () => {
      killGroup(run.pid)
      return failed(`was not ready within ${START_TIMEOUT_MS} ms`)
    }
    await changes.until(started, late, START_TIMEOUT_MS)
    state = JSON.parse(await readFile(stateFile, 'utf8')).addresses
  }

  async function clearAway(): Promise<void> {
    await client.close()
    leftovers.delete(prefix)
    if (leftovers.size === 0) process.removeListener('exit', clearLeftovers)
    await rm(prefix, { recursive: true, force: true })
  }

  let stopping: Promise<void> | undefined
  const stop = () => (stopping ??= terminate())

  async function terminate(): Promise<void> {
    try {
      await run.end('SIGTERM')
      await run.assertAlone()
    } finally {
      await clearAway()
    }
  }

  try {
    await start()
  } catch (error) {
    killGroup(run!.pid)
    await clearAway()
    throw error
  }

  const proxyPort = () => portOf(state.proxy)
  const adminPort = () => portOf(state.admin)
  const statusPort = () => portOf(state.status)
  const originOf = (port: number) => `http://127.0.0.1:${port}`

  return {
    get proxyPort() {
      return proxyPort()
    },
    get adminPort() {
      return adminPort()
    },
    get statusPort() {
      return statusPort()
    },
    get proxyOrigin() {
      return originOf(proxyPort())
    },
    get adminOrigin() {
      return originOf(adminPort())
    },
    get statusOrigin() {
      return originOf(statusPort())
    },
    prefix,
    get pid() {
      return run.pid
    },
    get output() {
      return output
    },
    get exitCode() {
      return run.exitCode
    },
    get exited() {
      const watched = run
      return changes.until(
        () => watched.exitCode,
        (timeoutMs) => new Error(`the gateway still runs after ${timeoutMs} ms\n${output}`),
      )
    },
    async logText() {
      const folder = join(prefix, 'logs')
      const files = await readdir(folder).catch(() => [])
      return [output, ...(await Promise.all(files.sort().map((file) => readFile(join(folder, file), 'utf8'))))].join('')
    },
    admin(method, path, body, headers = {}) {
      return client.request(method, originOf(adminPort()) + path, { body, headers })
    },
    async waitForOutput(pattern, from = 0) {
      const search = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ''))
      const watched = run
      const find = () => {
        const match = search.exec(output.slice(from))
        if (match === null && watched.exitCode !== undefined) throw new Error(`the gateway ended before it printed ${pattern}\n${output}`)
        return match ?? undefined
      }
      return changes.until(find, (timeoutMs) => new Error(`the gateway did not print ${pattern} within ${timeoutMs} ms\n${output}`))
    },
    async command(...parameters) {
      const env = { ...cleanEnvironment(), ...settings }
      const { exitCode, out, err } = await runProgram(process.execPath, [...program, ...parameters, ...confArguments], {
        cwd: REPOSITORY,
        env,
      })
      return { exitCode, output: out + err }
    },
    signal(signal) {
      process.kill(run.pid, signal)
    },
    stop,
    quit: () => run.end('SIGQUIT'),
    async kill9() {
      await run.end('SIGKILL')
    },
    async restart({ env = {} } = {}) {
      await run.end('SIGTERM')
      await run.assertAlone()
      settings = { ...settings, ...env }
      await start()
    },
    [Symbol.asyncDispose]: stop,
  }
}
