/** A peer as a child process in the foreground, with a generated configuration in a folder of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { onCores, processTree } from '../processes.ts'

const START_TIMEOUT_MS = 10_000

export interface Server {
  readonly port: number
  /** The main process and its workers. */
  pids(): readonly number[]
  stop(): Promise<void>
}

export interface Program {
  readonly name: string
  /** Whether it stands behind what is measured rather than being it. */
  readonly part: 'measured' | 'load'
  readonly port: number
  /** Text of its configuration file. @param folder of its own, for whatever it writes */
  configuration(folder: string): string
  /** Command line that stays in the foreground. */
  command(folder: string, file: string): readonly string[]
}

/** Children to end and folders to remove when this process ends before `stop()`. */
const running = new Map<ChildProcess, string>()

process.on('exit', () => {
  for (const [child, folder] of running) {
    // Not SIGKILL: that would leave its workers behind.
    child.kill('SIGTERM')
    rmSync(folder, { recursive: true, force: true })
  }
})

/** Starts the program and waits until it listens. @throws with what it printed when it ends before */
export async function startServer({ name, part, port, configuration, command }: Program): Promise<Server> {
  const folder = mkdtempSync(join(tmpdir(), `sallyport-bench-${name}-`))
  // Workers may run under another user than the one that started them.
  chmodSync(folder, 0o755)
  const file = join(folder, `${name}.conf`)
  writeFileSync(file, configuration(folder))
  const [executable = '', ...args] = onCores(part, command(folder, file))
  const child = spawn(executable, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  running.set(child, folder)
  let printed = ''
  child.stderr.on('data', (chunk: Buffer) => {
    printed = (printed + chunk).slice(-10_000)
  })
  const ended = new Promise<void>((resolve, reject) => {
    child.once('exit', () => resolve())
    child.once('error', reject)
  })
  async function stop(): Promise<void> {
    child.kill('SIGTERM')
    await ended
    running.delete(child)
    rmSync(folder, { recursive: true, force: true })
  }
  const failed = ended.then(() => Promise.reject(new Error(`${name} did not start\n${printed}`)))
  // It is a failure only while the start is waited for.
  failed.catch(() => undefined)
  try {
    await Promise.race([listening(port), failed])
  } catch (error) {
    await stop()
    throw error
  }
  return { port, pids: () => processTree(child.pid ?? 0), stop }
}

async function listening(port: number): Promise<void> {
  for (const endMs = performance.now() + START_TIMEOUT_MS; performance.now() < endMs; await delay(20)) if (await accepts(port)) return
  throw new Error(`nothing listens on port ${port} after ${START_TIMEOUT_MS} ms`)
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
