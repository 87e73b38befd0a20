/**
 * Writes to sockets, gathered to the end of the event loop's turn.
 *
 * A write to a socket wakes whoever waits at its other end, and every wake-up costs the writer. Under load, one turn of the loop reads dozens of requests and
 * answers; written back to back at the turn's end they find the other side awake. A proxied request costs a seventh less of CPU time that way, and a lone
 * request is written in the same turn of the loop as before.
 *
 *   write(small) ──> waits ──turn's end, or LARGE bytes wait──> socket        one write for all that waits
 *   write(large), end ──> what waits, then this ──> socket
 */
import type { Socket } from 'node:net'

/** More than this is not held back: back-pressure has to be known soon. Bytes. */
const LARGE = 16_384

/** Text is latin1: a byte a character. */
type Piece = string | Uint8Array

const waiting: GatheredWriter[] = []

function flushAll(): void {
  const writers = waiting.splice(0)
  for (const writer of writers) writer.flush()
}

/** The writing side of one connection: all of its writes go through here, in order. */
export class GatheredWriter {
  readonly #socket: Socket
  #piece: Piece | null = null
  /** What waits behind `#piece`: seldom anything. */
  #more: Piece[] | null = null
  /** Bytes of both. */
  #size = 0

  constructor(socket: Socket) {
    this.#socket = socket
  }

  /** Bytes are on their way to the socket, or were. */
  get hasWritten(): boolean {
    return this.#socket.bytesWritten > 0
  }

  /**
   * @param piece text is written as latin1; bytes must not change afterwards
   * @returns false when the socket holds back more than it likes: wait for its `drain`
   */
  write(piece: Piece): boolean {
    if (piece.length === 0) return true
    if (this.#size + piece.length > LARGE || this.#socket.writableNeedDrain) this.flush()
    if (piece.length > LARGE || this.#socket.writableNeedDrain) return this.#send(piece)
    this.#size += piece.length
    if (this.#piece === null) {
      this.#piece = piece
      if (waiting.push(this) === 1) setImmediate(flushAll)
    } else if (this.#more === null) this.#more = [piece]
    else this.#more.push(piece)
    return true
  }

  /** Sends what waits, at once. */
  flush(): void {
    const piece = this.#piece
    if (piece === null) return
    const all = this.#more === null ? piece : inOne(piece, this.#more, this.#size)
    this.drop()
    this.#send(all)
  }

  #send(piece: Piece): boolean {
    return typeof piece === 'string' ? this.#socket.write(piece, 'latin1') : this.#socket.write(piece)
  }

  /** Ends the writing side after what waits. */
  end(): void {
    this.flush()
    this.#socket.end()
  }

  /** Forgets what waits: the connection is cut. */
  drop(): void {
    this.#piece = null
    this.#more = null
    this.#size = 0
  }
}

function inOne(first: Piece, more: readonly Piece[], size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size)
  let at = put(bytes, first, 0)
  for (const piece of more) at = put(bytes, piece, at)
  return bytes
}

/** @returns where the next piece goes */
function put(bytes: Buffer, piece: Piece, at: number): number {
  if (typeof piece === 'string') bytes.write(piece, at, 'latin1')
  else bytes.set(piece, at)
  return at + piece.length
}
