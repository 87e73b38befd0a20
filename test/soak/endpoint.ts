/** A server behind the gateway, as a process that can be killed and started again on the same port. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Server } from 'node:http'
import { join } from 'node:path'
import { listen } from '../../demo/listening.ts'
import { unusedPort } from '../support/ports.ts'

const START_TIMEOUT_MS = 20_000

/** In the program: listens on the port that it was given and says so to its parent; ends with it. */
export function announce(server: Server): void {
  process.once('disconnect', () => process.exit(0))
  listen(server, Number(process.argv[2])).then(() => process.send?.('listening'))
}

export class ServerProcess implements AsyncDisposable {
  readonly port: number
  readonly #program: string
  #child: ChildProcess | null = null

  private constructor(program: string, port: number) {
    this.#program = program
    this.port = port
  }

  /** @param program file of this folder */
  static async start(program: string): Promise<ServerProcess> {
    const server = new ServerProcess(join(import.meta.dirname, program), await unusedPort())
    await server.start()
    return server
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  /** Resolves when it listens. @throws when it ends before, or takes longer than 20 s */
  async start(): Promise<void> {
    const child = spawn(process.execPath, [this.#program, String(this.port)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.#child = child
    const signal = AbortSignal.timeout(START_TIMEOUT_MS)
    const ended = once(child, 'exit', { signal }).then(() => Promise.reject(new Error(`${this.#program} ended`)))
    ended.catch(() => undefined)
    await Promise.race([once(child, 'message', { signal }), ended])
  }

  /** SIGKILL: connections break, nothing is answered any more. Resolves when it has ended. */
  async kill(): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill()
  }
}
