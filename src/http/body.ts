/** Bodies as they come: pushed by whoever reads a socket, with back-pressure by a return value. */

export interface BodySink {
  /** `chunk` is only lent: keep a copy, not the bytes. False: stop until {@link BodySource.resume}. */
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
 * Collects up to `limitBytes`. `complete` is false where the body is longer: the rest is still to come, after the bytes answered.
 * Rejects when the source breaks off.
 */
export function collectBody(source: BodySource, limitBytes: number): Promise<{ readonly bytes: Buffer; readonly complete: boolean }> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    const settle = (complete: boolean): void => resolve({ bytes: Buffer.concat(chunks, size), complete })
    source.read({
      onChunk: (chunk) => {
        chunks.push(Buffer.from(chunk))
        size += chunk.length
        if (size <= limitBytes) return true
        settle(false)
        return false
      },
      onEnd: () => settle(true),
      onError: reject,
    })
  })
}
