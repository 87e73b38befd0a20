import { EventEmitter, once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { Counter, listen } from './listener.ts'
import { parseRequest, type RawRequest } from './raw-message.ts'

/** A connection that somebody opened to the raw upstream; the script decides every byte of the answer. */
export class RawUpstreamConnection {
  readonly #socket: Socket
  readonly #events = new EventEmitter<{ changed: [] }>().setMaxListeners(0)
  #received: Buffer = Buffer.alloc(0)
  #read = 0
  #ended = false
  /** Resolves when the connection is closed, by whichever side. */
  readonly closed: Promise<void>

  constructor(socket: Socket) {
    this.#socket = socket
    const changed = () => void this.#events.emit('changed')
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk])
      changed()
    })
    // A reset by the other side is an end like any other to a script.
    socket.on('error', () => {})
    socket.on('end', () => {
      this.#ended = true
      changed()
    })
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#ended = true
        changed()
        resolve()
      })
    })
  }

  /** Every byte received so far. */
  get received(): Buffer {
    return this.#received
  }

  /** True once the other side has closed its direction or the connection is gone. */
  get ended(): boolean {
    return this.#ended
  }

  /** Resolves when that many bytes, or that text, have come since the connection was opened. Rejects when it ends before. */
  async waitFor(what: number | string): Promise<void> {
    await this.#wait(
      () => (typeof what === 'number' ? this.#received.length >= what : this.#received.includes(what, 0, 'latin1')) || undefined,
    )
  }

  /**
   * The next whole request. Rejects when the connection ends before.
   *
   * @throws {MalformedMessageError}
   */
  async readRequest(): Promise<RawRequest> {
    const { request } = await this.#wait(() => parseRequest(this.#received.subarray(this.#read)))
    this.#read += request.raw.length
    return request
  }

  /** Sends bytes, a string as Latin-1; resolves when they are handed to the system, also when the other side is gone. */
  async respond(bytes: string | Uint8Array): Promise<void> {
    const data = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes
    if (!this.#socket.destroyed) await new Promise<void>((resolve) => void this.#socket.write(data, () => resolve()))
  }

  /** Closes our direction after what was sent. */
  close(): void {
    this.#socket.end()
  }

  /** Closes with a TCP reset. */
  reset(): void {
    this.#socket.resetAndDestroy()
  }

  /** Stops reading, so that the other side meets a full window. */
  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  async #wait<Value>(find: () => Value | undefined): Promise<Value> {
    for (;;) {
      const found = find()
      if (found !== undefined) return found
      if (this.#ended) throw new Error(`the connection ended after ${JSON.stringify(this.#received.toString('latin1'))}`)
      await once(this.#events, 'changed')
    }
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

  async function stop(): Promise<void> {
    if (!server.listening) return
    const closed = once(server, 'close')
    server.close()
    for (const connection of connections) connection.reset()
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
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
