/** Load by wrk and CPU time from /proc: what every question of the bench needs. Linux only. */
import { spawn, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

/** What one run of the load came to. */
export interface Sample {
  readonly requestsPerS: number
  /** CPU time, user and system, that the measured processes took for one request. */
  readonly cpuUsPerRequest: number
  readonly p99Ms: number
  readonly errors: number
}

export interface Load {
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  readonly connections: number
  readonly seconds: number
}

/** Clock ticks of /proc per second (`getconf CLK_TCK`). */
const TICKS_PER_S = Number(spawnSync('getconf', ['CLK_TCK']).stdout.toString()) || 100

/** Whether a program is on the PATH. */
export function isInstalled(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`]).status === 0
}

/** Processes below `pid`, itself included. */
export function processTree(pid: number): number[] {
  const children = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && parentOf(Number(name)) === pid)
  return [pid, ...children.flatMap((child) => processTree(Number(child)))]
}

function parentOf(pid: number): number {
  return Number(statOf(pid)?.[1] ?? 0)
}

/** Fields after the name: state, ppid, …; user and system time are the 12th and 13th of them. */
function statOf(pid: number): string[] | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    return null
  }
}

function cpuSeconds(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const fields = statOf(pid)
    return fields === null ? sum : sum + (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S
  }, 0)
}

/** Sends the load and measures the CPU time of `pids` while it lasts. */
export async function measure(load: Load, pids: readonly number[]): Promise<Sample> {
  const before = cpuSeconds(pids)
  const output = await wrk(load)
  const seconds = cpuSeconds(pids) - before
  const requests = Number(/(\d+) requests in/.exec(output)?.[1] ?? 0)
  const errors = Number(/Non-2xx or 3xx responses: (\d+)/.exec(output)?.[1] ?? 0)
  return {
    requestsPerS: Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1] ?? 0),
    cpuUsPerRequest: requests === 0 ? 0 : (seconds * 1e6) / requests,
    p99Ms: milliseconds(/99%\s+([\d.]+)(us|ms|s)/.exec(output)),
    errors,
  }
}

function milliseconds(match: RegExpExecArray | null): number {
  if (match === null) return 0
  return Number(match[1]) * { us: 0.001, ms: 1, s: 1000 }[match[2] as 'us' | 'ms' | 's']
}

function wrk({ url, headers = {}, connections, seconds }: Load): Promise<string> {
  const given = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
  const child = spawn('wrk', ['-t1', `-c${connections}`, `-d${seconds}s`, '--latency', ...given, url], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', () => resolve(output))
  })
}

/** Middle value, and how far the others are from it in percent. */
export function median(values: readonly number[]): { readonly value: number; readonly spreadPercent: number } {
  const sorted = [...values].sort((a, b) => a - b)
  const value = sorted[Math.floor(sorted.length / 2)] ?? 0
  const [first = 0, last = 0] = [sorted[0], sorted.at(-1)]
  return { value, spreadPercent: value === 0 ? 0 : (100 * (last - first)) / 2 / value }
}
