/**
 * How `sallyport reload` learns whether its reload worked. A signal carries no answer, so each request has a file of its own:
 *
 *   command                                     running process
 *   writes run/reload-<id>.request
 *   sends SIGHUP  ───────────────────────────►  reads every request there is, reloads once for each,
 *   waits for run/reload-<id>.json  ◄─────────  writes the answer (rename, so it is whole), removes the request
 *   removes the answer
 *
 * Signals that come during a reload merge into one more round, which finds all requests written before them: none is lost, none is answered
 * by a reload that began before it was made. A SIGHUP without a request (`kill -HUP`) reloads as well; its outcome is in the log.
 */
import { randomUUID } from 'node:crypto'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { errorText } from '../util/errors.ts'
import { CommandError } from './command.ts'
import { isAlive, pollUntil, type RunningProcess, readJsonIfThere, runFolder, writeAtomically } from './process-files.ts'

/** What a reload came to. */
export interface ReloadOutcome {
  /** Why the old configuration goes on serving, or null if the new one serves. */
  readonly error: string | null
  /** Settings that changed and that only a restart puts in force. */
  readonly needRestart: readonly string[]
}

const REQUEST = /^reload-([0-9a-f-]{36})\.request$/

/**
 * Asks a running process to reload, and waits for its answer.
 *
 * @param file conf file to read instead of the one the process was started with, absolute; or null
 * @throws {CommandError} the process ended or did not answer in time
 */
export async function requestReload(
  prefix: string,
  running: RunningProcess,
  file: string | null,
  timeoutMs: number,
): Promise<ReloadOutcome> {
  const id = randomUUID()
  const request = join(runFolder(prefix), `reload-${id}.request`)
  const answer = join(runFolder(prefix), `reload-${id}.json`)
  try {
    writeAtomically(request, JSON.stringify({ file }))
    process.kill(running.pid, 'SIGHUP')
    const outcome = await pollUntil(() => readOutcome(answer) ?? (isAlive(running) ? null : 'gone'), timeoutMs)
    if (outcome === null) throw new CommandError(`the running process did not answer within ${timeoutMs / 1000} s`)
    if (outcome === 'gone') throw new CommandError('the running process ended before it answered')
    return outcome
  } finally {
    rmSync(request, { force: true })
    rmSync(answer, { force: true })
  }
}

/** The running process's side: at most one reload at a time, every request answered. */
export class ReloadRequests {
  readonly #prefix: string
  readonly #reload: (file: string | null) => Promise<ReloadOutcome>
  #busy = false
  #again = false

  /** @param reload does the work; a rejection counts as a failed reload */
  constructor(prefix: string, reload: (file: string | null) => Promise<ReloadOutcome>) {
    this.#prefix = prefix
    this.#reload = reload
  }

  /** To be called for each SIGHUP. */
  async handle(): Promise<void> {
    this.#again = true
    if (this.#busy) return
    this.#busy = true
    try {
      while (this.#again) {
        this.#again = false
        await this.#round()
      }
    } finally {
      this.#busy = false
    }
  }

  /** Removes what earlier processes left. */
  clear(): void {
    for (const name of readdirSync(runFolder(this.#prefix))) {
      if (name.startsWith('reload-')) rmSync(join(runFolder(this.#prefix), name), { force: true })
    }
  }

  async #round(): Promise<void> {
    const ids = readdirSync(runFolder(this.#prefix)).flatMap((name) => REQUEST.exec(name)?.[1] ?? [])
    if (ids.length === 0) await this.#attempt(null)
    for (const id of ids) {
      const request = join(runFolder(this.#prefix), `reload-${id}.request`)
      const outcome = await this.#attempt(readFile(request))
      rmSync(request, { force: true })
      writeAtomically(join(runFolder(this.#prefix), `reload-${id}.json`), JSON.stringify(outcome))
    }
  }

  async #attempt(file: string | null): Promise<ReloadOutcome> {
    try {
      return await this.#reload(file)
    } catch (error) {
      return { error: errorText(error), needRestart: [] }
    }
  }
}

function readFile(request: string): string | null {
  const value = readJsonIfThere(request)
  return typeof value === 'object' && value !== null && 'file' in value && typeof value.file === 'string' ? value.file : null
}

function readOutcome(answer: string): ReloadOutcome | null {
  const value = readJsonIfThere(answer)
  if (typeof value !== 'object' || value === null || !('error' in value) || !('needRestart' in value)) return null
  const needRestart = Array.isArray(value.needRestart) ? value.needRestart.filter((name) => typeof name === 'string') : []
  return { error: typeof value.error === 'string' ? value.error : null, needRestart }
}
