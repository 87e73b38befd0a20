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
