import type { Socket } from 'node:net'
import { Changes } from './changes.ts'

/** One end of a TCP connection on which a test decides every byte: what came, and whether more can come. */
export abstract class RawSocket {
  protected readonly socket: Socket
  readonly #changes = new Changes()
  /** What has come, as far as a reader has not cut it off. */
  protected bytes: Buffer = Buffer.alloc(0)
  #ended = false
  #closed = false
  /** For instance `ECONNRESET`, when the connection ended with an error. */
  errorCode: string | undefined

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.bytes = Buffer.concat([this.bytes, chunk])
      this.#changes.announce()
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.errorCode = error.code ?? error.message
    })
    socket.on('end', () => {
      this.#ended = true
      this.#changes.announce()
    })
    socket.once('close', () => {
      this.#ended = true
      this.#closed = true
      this.#changes.announce()
    })
  }

  /** True once the other side has closed its direction or the connection is gone. */
  get ended(): boolean {
    return this.#ended
  }

  /** Resolves when the connection is closed, by whichever side; rejects when it still is open a minute later. */
  get closed(): Promise<void> {
    return this.#changes
      .until(
        () => this.#closed || undefined,
        (timeoutMs) => new Error(`the connection is still open after ${timeoutMs} ms`),
      )
      .then(() => undefined)
  }

  /** Closes with a TCP reset. */
  reset(): void {
    this.socket.resetAndDestroy()
  }

  /** Stops reading, so that the other side meets a full window; `resume` goes on. */
  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  /** What `find` gives, as soon as it is not undefined. Rejects with `early` when the connection ends before, with `late` when it takes too long. */
  protected wait<Value>(
    find: () => Value | undefined,
    early: () => Error,
    late: (timeoutMs: number) => Error,
    timeoutMs?: number,
  ): Promise<Value> {
    const look = () => {
      const found = find()
      if (found === undefined && this.#ended) throw early()
      return found
    }
    return this.#changes.until(look, late, timeoutMs)
  }
}
