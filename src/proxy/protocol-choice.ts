/** Which HTTP a connection in clear speaks, by its first bytes: a client that knows begins with the preface of HTTP/2 (RFC 9113 sections 3.3, 3.4). */
import type { Socket } from 'node:net'
import type { FrontConnection } from './client-connection.ts'

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')

/** A connection of which too little has come to tell. */
export class ProtocolChoice implements FrontConnection {
  readonly sinceMs: number
  readonly deadlineMs: number
  readonly isIdle = true
  readonly isReading = false
  readonly #socket: Socket
  readonly #choose: (http2: boolean) => void
  readonly #closed: () => void
  #bytes: Buffer = Buffer.alloc(0)

  /**
   * @param sinceMs when it came, by the front's clock
   * @param limitMs milliseconds that its first bytes may take
   * @param choose called once, unless the connection ends before; the bytes that were read are in the socket again, which does not flow
   * @param closed called instead
   */
  constructor(socket: Socket, sinceMs: number, limitMs: number, choose: (http2: boolean) => void, closed: () => void) {
    this.#socket = socket
    this.sinceMs = sinceMs
    this.deadlineMs = sinceMs + limitMs
    this.#choose = choose
    this.#closed = closed
    socket.on('data', this.#receive)
    socket.on('error', this.#destroy)
    socket.on('end', this.#destroy)
    socket.on('close', closed)
  }

  readonly #receive = (chunk: Buffer): void => {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
    const size = Math.min(this.#bytes.length, PREFACE.length)
    const matches = this.#bytes.compare(PREFACE, 0, size, 0, size) === 0
    if (matches && size < PREFACE.length) return
    const socket = this.#socket
    socket.off('data', this.#receive)
    socket.off('error', this.#destroy)
    socket.off('end', this.#destroy)
    socket.off('close', this.#closed)
    socket.pause()
    socket.unshift(this.#bytes)
    this.#choose(matches)
  }

  readonly #destroy = (): void => {
    this.#socket.destroy()
  }

  expire(): void {
    this.destroy()
  }

  destroy(): void {
    this.#destroy()
  }
}
