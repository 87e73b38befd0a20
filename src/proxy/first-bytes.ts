/** A connection whose first bytes decide how it goes on. They are only looked at: what is not used up is in the socket again for whoever reads next. */
import type { Socket } from 'node:net'
import type { FrontConnection } from './client-connection.ts'

export abstract class FirstBytes implements FrontConnection {
  readonly sinceMs: number
  readonly deadlineMs: number
  readonly isIdle = true
  readonly isReading = false
  protected readonly socket: Socket
  readonly #closed: () => void
  #bytes: Buffer = Buffer.alloc(0)

  /**
   * @param sinceMs when it came, by the clock of whoever keeps it
   * @param limitMs milliseconds that the bytes may take
   * @param closed  called when the connection is closed before {@link settle}
   */
  constructor(socket: Socket, sinceMs: number, limitMs: number, closed: () => void) {
    this.socket = socket
    this.sinceMs = sinceMs
    this.deadlineMs = sinceMs + limitMs
    this.#closed = closed
    socket.on('data', this.#receive)
    socket.on('error', this.#destroy)
    socket.on('end', this.#end)
    socket.on('close', closed)
  }

  /** Looks at all bytes that have come: settles, destroys, or waits for more. */
  protected abstract look(bytes: Buffer): void

  /** The client closed its side with only these bytes sent. */
  protected ended(_bytes: Buffer): void {
    this.destroy()
  }

  expire(): void {
    this.destroy()
  }

  destroy(): void {
    this.socket.off('data', this.#receive)
    this.socket.destroy()
  }

  /** It is known how the connection goes on. The socket is somebody else's and does not flow. @param used bytes that nobody needs any more */
  protected settle(used: number): void {
    const { socket } = this
    socket.off('data', this.#receive)
    socket.off('error', this.#destroy)
    socket.off('end', this.#end)
    socket.off('close', this.#closed)
    socket.pause()
    if (this.#bytes.length > used) socket.unshift(this.#bytes.subarray(used))
  }

  readonly #receive = (chunk: Buffer): void => {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
    this.look(this.#bytes)
  }

  readonly #end = (): void => this.ended(this.#bytes)

  readonly #destroy = (): void => this.destroy()
}
