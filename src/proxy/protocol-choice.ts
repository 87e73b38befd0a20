/** Which HTTP a connection in clear speaks, by its first bytes: a client that knows begins with the preface of HTTP/2 (RFC 9113 sections 3.3, 3.4). */
import type { Socket } from 'node:net'
import { FirstBytes } from './first-bytes.ts'

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')

/** A connection of which too little has come to tell. */
export class ProtocolChoice extends FirstBytes {
  readonly #choose: (http2: boolean) => void

  /**
   * @param choose called once, unless the connection ends before; all bytes are in the socket again, which does not flow
   * @param closed called instead
   */
  constructor(socket: Socket, sinceMs: number, limitMs: number, choose: (http2: boolean) => void, closed: () => void) {
    super(socket, sinceMs, limitMs, closed)
    this.#choose = choose
  }

  protected override look(bytes: Buffer): void {
    const size = Math.min(bytes.length, PREFACE.length)
    const matches = bytes.compare(PREFACE, 0, size, 0, size) === 0
    if (matches && size < PREFACE.length) return
    this.settle(0)
    this.#choose(matches)
  }
}
