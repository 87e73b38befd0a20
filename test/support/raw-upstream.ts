import { once } from 'node:events'
import { createServer } from 'node:net'
import { listen } from '../../demo/listening.ts'
import { Counter } from './changes.ts'
import { parseRequest, type RawRequest } from './raw-message.ts'
import { RawSocket } from './raw-socket.ts'

/** A connection that somebody opened to the raw upstream; the script decides every byte of the answer. */
export class RawUpstreamConnection extends RawSocket {
  #read = 0

  /** Every byte received so far. */
  get received(): Buffer {
    return this.bytes
  }

  /** Resolves when that many bytes, or that text, have come since the connection was opened. Rejects when it ends before. */
  async waitFor(what: number | string): Promise<void> {
    await this.#wait(
      JSON.stringify(what),
      () => (typeof what === 'number' ? this.bytes.length >= what : this.bytes.includes(what, 0, 'latin1')) || undefined,
    )
  }

  /**
   * The next whole request. Rejects when the connection ends before.
   *
   * @throws {MalformedMessageError}
   */
  async readRequest(): Promise<RawRequest> {
    const { request } = await this.#wait('request', () => parseRequest(this.bytes.subarray(this.#read)))
    this.#read += request.raw.length
    return request
  }

  /** Sends bytes, a string as Latin-1; resolves when they are handed to the system, also when the other side is gone. */
  async respond(bytes: string | Uint8Array): Promise<void> {
    const data = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes
    if (!this.socket.destroyed) await new Promise<void>((resolve) => void this.socket.write(data, () => resolve()))
  }

  /** Closes our direction after what was sent. */
  close(): void {
    this.socket.end()
  }

  #wait<Value>(what: string, find: () => Value | undefined): Promise<Value> {
    const received = () => JSON.stringify(this.bytes.toString('latin1'))
    return this.wait(
      find,
      () => new Error(`the connection ended after ${received()}`),
      (timeoutMs) => new Error(`no ${what} within ${timeoutMs} ms, but ${received()}`),
    )
  }
}

export type RawUpstream = AsyncDisposable & {
  readonly port: number
  readonly origin: string
  /** All connections since the start, open or not. */
  readonly connections: readonly RawUpstreamConnection[]
  /** What scripts threw. */
  readonly failures: readonly unknown[]
  /** Resolves when `count` connections have been opened since the start. */
  connected(count: number): Promise<void>
  /** Takes the place of the script for connections opened from now on. */
  setScript(script: UpstreamScript): void
  /** Resets every connection, so that the next request comes over a new one; waits for their end. */
  disconnect(): Promise<void>
  stop(): Promise<void>
}

export type UpstreamScript = (connection: RawUpstreamConnection, index: number) => Promise<void> | void

/** Starts a TCP server that runs `script` for each connection (index from 0); a script that throws resets its connection. */
export async function startRawUpstream(script: UpstreamScript): Promise<RawUpstream> {
  const connections: RawUpstreamConnection[] = []
  const failures: unknown[] = []
  const counter = new Counter()
  let current = script
  const run = async (connection: RawUpstreamConnection, index: number) => current(connection, index)
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    const connection = new RawUpstreamConnection(socket)
    const index = connections.push(connection) - 1
    counter.increment()
    run(connection, index).catch((error: unknown) => {
      failures.push(error)
      connection.reset()
    })
  })
  const port = await listen(server)

  async function disconnect(): Promise<void> {
    for (const connection of connections) connection.reset()
    await Promise.all(connections.map(({ closed }) => closed))
  }

  async function stop(): Promise<void> {
    if (!server.listening) return
    const closed = once(server, 'close')
    server.close()
    await disconnect()
    await closed
  }

  return {
    port,
    origin: `http://127.0.0.1:${port}`,
    connections,
    failures,
    connected: (count) => counter.reached(count),
    setScript(next) {
      current = next
    },
    disconnect,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
