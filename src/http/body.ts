/** Bodies as they come: pushed by whoever reads a socket, with back-pressure by a return value. */

export interface BodySink {
  /**
   * `chunk` is only lent: keep a copy, not the bytes. False: stop until {@link BodySource.resume}; what was read from the wire together with it still follows, in
   * the same turn, and so may the end.
   */
  onChunk(chunk: Buffer): boolean
  onEnd(): void
  /** The sender broke off or broke the rules: there is no more, and what came is not complete. */
  onError(error: Error): void
}

export interface BodySource {
  /** Begins to push; once. May push before it returns. */
  read(sink: BodySink): void
  /** Goes on after `onChunk` answered false. */
  resume(): void
  /** Nobody wants the rest. */
  discard(): void
}

/**
 * Collects up to `limitBytes`, and what was read from the wire together with the last of them. `complete` is false where the body is longer than the limit: the
 * rest, if there is any, is still to come after the bytes answered. Rejects when the source breaks off.
 */
export function collectBody(source: BodySource, limitBytes: number): Promise<{ readonly bytes: Buffer; readonly complete: boolean }> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    let full = false
    const settle = (): void => resolve({ bytes: Buffer.concat(chunks, size), complete: !full })
    source.read({
      onChunk: (chunk) => {
        chunks.push(Buffer.from(chunk))
        size += chunk.length
        if (size <= limitBytes) return true
        // Not before the turn is over: chunks that lie in the same piece of the wire come whether they are wanted or not.
        if (!full) queueMicrotask(settle)
        full = true
        return false
      },
      onEnd: () => {
        if (!full) settle()
      },
      onError: reject,
    })
  })
}
