/** Bytes read from a socket at a time, at most. */
const READ_BYTES = 65_536
/** Views of up to this size are kept for the next read of the same size: most messages are a head and little more. */
const KEPT_VIEW_BYTES = 2048

/**
 * A buffer that many sockets read into, one at a time: what is in it is lent until the reader returns. Node.js would make a new one for each read otherwise, and a
 * collector would have to take it away; a proxied request costs a fifteenth less of CPU time that way.
 */
export class ReadBuffer {
  readonly bytes = Buffer.allocUnsafeSlow(READ_BYTES)
  readonly #views: Buffer[] = []

  /** The first `size` bytes. */
  view(size: number): Buffer {
    if (size >= KEPT_VIEW_BYTES) return this.bytes.subarray(0, size)
    let view = this.#views[size]
    if (view === undefined) {
      view = this.bytes.subarray(0, size)
      this.#views[size] = view
    }
    return view
  }
}
