/** CPU time, memory and cores of processes, from /proc. Linux only. */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'

/** Clock ticks of /proc per second (`getconf CLK_TCK`). */
const TICKS_PER_S = Number(spawnSync('getconf', ['CLK_TCK']).stdout?.toString()) || 100

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

/** User and system time that the processes have taken so far, in seconds. */
export function cpuSeconds(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const fields = statOf(pid)
    return fields === null ? sum : sum + (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S
  }, 0)
}

/** Proportional set size: memory of the processes with shared pages divided among those that share them, in bytes. */
export function memoryBytes(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
    return sum + Number(/^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1] ?? 0) * 1024
  }, 0)
}

const CORES = availableParallelism()

/** What is measured has the first core to itself; what makes the load and what answers behind it have the others. */
const CORES_OF = { measured: '0', load: CORES === 2 ? '1' : `1-${CORES - 1}` } as const

const canPin = CORES > 1 && isInstalled('taskset')

/** A command line that runs on the cores of its part; unchanged where cores cannot be assigned. */
export function onCores(part: keyof typeof CORES_OF, command: readonly string[]): string[] {
  return canPin ? ['taskset', '--cpu-list', CORES_OF[part], ...command] : [...command]
}

/** Moves running processes with all their threads to the cores of what is measured. */
export function pinMeasured(pids: readonly number[]): void {
  if (!canPin) return
  for (const pid of pids) spawnSync('taskset', ['--all-tasks', '--cpu-list', '--pid', CORES_OF.measured, String(pid)])
}
