/**
 * What a running process leaves in its data directory, and how others read it.
 *
 *   pids/sallyport.pid   process id; made with O_EXCL, so that of two starts one wins
 *   run/state.json       the same id, when that process began, and its addresses once it serves
 *
 * A process id alone may have passed to another process since (in containers it nearly always has: everything is process 1 there). So the
 * moment a process began is kept beside the id, where the system tells it (Linux), and the file counts as stale if the two do not agree.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { errorCode, errorText } from '../util/errors.ts'
import { parseJson } from '../util/json.ts'
import { CommandError } from './command.ts'

/** Addresses that a process serves, as `host:port`. */
export interface Addresses {
  readonly proxy: readonly string[]
  readonly admin: readonly string[]
  readonly status: readonly string[]
}

/** A process, as `run/state.json` describes it. */
export interface RunningProcess {
  readonly pid: number
  /** When the process began, in the system's own terms; null where the system does not tell. */
  readonly began: string | null
  /** null until the process serves. */
  readonly addresses: Addresses | null
}

const POLL_MS = 25

/** Folder for logs. */
export function logsFolder(prefix: string): string {
  return join(prefix, 'logs')
}

/** Folder for what the command line and the running process tell each other. */
export function runFolder(prefix: string): string {
  return join(prefix, 'run')
}

/**
 * Makes the data directory and its folders.
 *
 * @throws {CommandError} it cannot be made
 */
export function preparePrefix(prefix: string): void {
  try {
    mkdirSync(prefix, { recursive: true, mode: 0o750 })
    for (const folder of [join(prefix, 'pids'), logsFolder(prefix)]) mkdirSync(folder, { recursive: true })
    // Who may write here may ask the running process to reload.
    mkdirSync(runFolder(prefix), { recursive: true, mode: 0o700 })
  } catch (error) {
    throw new CommandError(`could not prepare the prefix ${prefix}: ${errorText(error)}`)
  }
}

/** The process that runs in this data directory, or null; a stale pid file is as good as none. */
export function findRunning(prefix: string): RunningProcess | null {
  const pid = readPid(prefix)
  if (pid === null || pid === process.pid) return null
  const state = readState(prefix)
  const own = state?.pid === pid ? state : null
  const running = { pid, began: own?.began ?? beganAt(pid), addresses: own?.addresses ?? null }
  return isAlive(running) ? running : null
}

/**
 * Enters this process as the one that runs in the data directory.
 *
 * @throws {CommandError} another one runs there
 */
export function claimPrefix(prefix: string): void {
  if (!writePid(prefix)) {
    if (findRunning(prefix) !== null) throw new CommandError(`Sallyport is already running in ${prefix}`)
    rmSync(pidFile(prefix), { force: true })
    if (!writePid(prefix)) throw new CommandError(`Sallyport is already running in ${prefix}`)
  }
  writeState(prefix, null)
}

/** Takes this process's entry away, unless another one has taken its place. */
export function releasePrefix(prefix: string): void {
  if (readPid(prefix) !== process.pid) return
  rmSync(stateFile(prefix), { force: true })
  rmSync(pidFile(prefix), { force: true })
}

/** Notes the addresses of this process, or that it does not serve yet. */
export function writeState(prefix: string, addresses: Addresses | null): void {
  const state: RunningProcess = { pid: process.pid, began: beganAt(process.pid), addresses }
  writeAtomically(stateFile(prefix), JSON.stringify(state))
}

/** Writes a file so that a reader sees all of it or nothing. */
export function writeAtomically(file: string, text: string): void {
  const draft = `${file}.${process.pid}.tmp`
  writeFileSync(draft, text, { mode: 0o600 })
  renameSync(draft, file)
}

/** The text of a file, or null if there is none. */
function readIfThere(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
}

/** The value in a JSON file; undefined if there is no such file or it holds something else. */
export function readJsonIfThere(file: string): unknown {
  return parseJson(readIfThere(file) ?? '')
}

/** Whether a process is still the one that was found, and not a zombie. */
export function isAlive({ pid, began }: Pick<RunningProcess, 'pid' | 'began'>): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    // EPERM: it exists and belongs to someone else.
    if (errorCode(error) !== 'EPERM') return false
  }
  const stat = readStat(pid)
  if (stat === null) return true
  return !'ZX'.includes(stat.state) && (began === null || began === stat.began)
}

/** Waits until a process is gone. @returns false if it still lives after that many milliseconds */
export async function waitUntilGone(running: RunningProcess, timeoutMs: number): Promise<boolean> {
  return (await pollUntil(() => (isAlive(running) ? null : true), timeoutMs)) ?? false
}

/** Asks again and again for something. @returns null if there is nothing after that many milliseconds */
export async function pollUntil<T>(look: () => T | null, timeoutMs: number): Promise<T | null> {
  const end = performance.now() + timeoutMs
  for (;;) {
    const found = look()
    if (found !== null || performance.now() >= end) return found
    await sleep(POLL_MS)
  }
}

function pidFile(prefix: string): string {
  return join(prefix, 'pids', 'sallyport.pid')
}

function stateFile(prefix: string): string {
  return join(runFolder(prefix), 'state.json')
}

function readPid(prefix: string): number | null {
  const text = readIfThere(pidFile(prefix))?.trim() ?? ''
  return /^[1-9]\d{0,9}$/.test(text) ? Number(text) : null
}

function writePid(prefix: string): boolean {
  try {
    writeFileSync(pidFile(prefix), `${process.pid}\n`, { flag: 'wx' })
    return true
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false
    throw error
  }
}

function readState(prefix: string): RunningProcess | null {
  const value = readJsonIfThere(stateFile(prefix))
  if (typeof value !== 'object' || value === null || !('pid' in value) || typeof value.pid !== 'number') return null
  const began = 'began' in value && typeof value.began === 'string' ? value.began : null
  return { pid: value.pid, began, addresses: 'addresses' in value ? readAddresses(value.addresses) : null }
}

function readAddresses(value: unknown): Addresses | null {
  if (typeof value !== 'object' || value === null) return null
  const members = new Map<string, unknown>(Object.entries(value))
  const texts = (name: string): string[] => {
    const list = members.get(name)
    return Array.isArray(list) ? list.filter((item) => typeof item === 'string') : []
  }
  return { proxy: texts('proxy'), admin: texts('admin'), status: texts('status') }
}

function beganAt(pid: number): string | null {
  return readStat(pid)?.began ?? null
}

/** State letter and start time of a process (Linux: proc_pid_stat(5), fields 3 and 22), the latter made unique by the boot. */
function readStat(pid: number): { state: string; began: string } | null {
  const text = readIfThere(`/proc/${pid}/stat`)
  if (text === null) return null
  // The second field is the program's name in parentheses, which may hold spaces and parentheses of its own.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const boot = readIfThere('/proc/sys/kernel/random/boot_id')?.trim() ?? ''
  const [state, ticks] = [fields[0], fields[19]]
  return state === undefined || ticks === undefined ? null : { state, began: `${boot}/${ticks}` }
}
