/** Memory, file descriptors and connections of the gateway's processes, from /proc. Linux only. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { processTree } from '../../bench/processes.ts'

export interface Sample {
  readonly atMs: number
  /** Resident memory of all processes. */
  readonly rssBytes: number
  /** Of the process that has most. */
  readonly descriptors: number
  /** TCP connections of all processes, whatever their state: whose they are, and where they lead. Those of the Admin and Status API do not count. */
  readonly connections: readonly string[]
  /** Of these, those to the upstream. */
  readonly toUpstream: number
}

/** Ports that tell connections apart. */
export interface Ports {
  readonly upstream: number
  /** Of the Admin and Status API, which the soak itself asks. */
  readonly own: readonly number[]
}

/** The gateway now. @param pid of its main process */
export function sample(pid: number, ports: Ports): Sample {
  const table = tcpTable()
  let rssBytes = 0
  let descriptors = 0
  const connections: string[] = []
  let toUpstream = 0
  for (const one of processTree(pid)) {
    // One that ends meanwhile has nothing.
    const status = attempt(() => readFileSync(`/proc/${one}/status`, 'utf8')) ?? ''
    rssBytes += Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024
    const names = attempt(() => readdirSync(`/proc/${one}/fd`)) ?? []
    descriptors = Math.max(descriptors, names.length)
    for (const name of names) {
      const target = attempt(() => readlinkSync(`/proc/${one}/fd/${name}`)) ?? ''
      const row = table.get(/^socket:\[(\d+)\]$/.exec(target)?.[1] ?? '')
      if (row === undefined || ports.own.includes(row.localPort)) continue
      connections.push(`${one === pid ? 'primary' : `worker ${one}`} ${row.localPort} to ${row.remotePort}, state ${row.state}`)
      if (row.remotePort === ports.upstream) toUpstream++
    }
  }
  return { atMs: performance.now(), rssBytes, descriptors, connections, toUpstream }
}

interface Connection {
  readonly localPort: number
  readonly remotePort: number
  /** As the kernel numbers it: 01 is established, 08 waits for us to close. */
  readonly state: string
}

/** All TCP connections of the machine, listeners apart, by inode. */
function tcpTable(): Map<string, Connection> {
  const lines = ['tcp', 'tcp6'].flatMap((name) => (attempt(() => readFileSync(`/proc/net/${name}`, 'utf8')) ?? '').split('\n').slice(1))
  const rows = lines.map((line) => line.trim().split(/\s+/)).filter((fields) => fields.length > 9 && fields[3] !== LISTEN)
  return new Map(
    rows.map((fields) => [fields[9] ?? '', { localPort: portIn(fields[1]), remotePort: portIn(fields[2]), state: fields[3] ?? '' }]),
  )
}

/** From `0100007F:1F90`. */
function portIn(address = ''): number {
  return Number.parseInt(address.split(':')[1] ?? '0', 16)
}

const LISTEN = '0A'

function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}

/** How a figure went: medians of the first and of the last quarter, and what a straight line through all of it gains in a minute. */
export interface Course {
  readonly first: number
  readonly last: number
  readonly perMinute: number
  readonly most: number
}

export function courseOf(samples: readonly Sample[], read: (sample: Sample) => number): Course {
  const quarter = Math.max(1, Math.floor(samples.length / 4))
  const values = samples.map(read)
  const minutes = samples.map(({ atMs }) => atMs / 60_000)
  const [x, y] = [mean(minutes), mean(values)]
  const covariance = mean(values.map((value, index) => (value - y) * ((minutes[index] ?? 0) - x)))
  const variance = mean(minutes.map((minute) => (minute - x) ** 2))
  return {
    first: median(values.slice(0, quarter)),
    last: median(values.slice(-quarter)),
    perMinute: variance === 0 ? 0 : covariance / variance,
    most: Math.max(0, ...values),
  }
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length
}
