/** What became of a request: filled in on its way, complete when the log phase runs. For loggers and metrics. */
import type { UpstreamFailure } from '../http/exchange.ts'

/** One attempt at an upstream. */
export interface UpstreamTry {
  /** Epoch milliseconds when it began. */
  readonly startedAtMs: number
  /** Where its connection led, or was to lead; '' and 0 where that is not known. */
  readonly address: string
  readonly port: number
  /** Null for the attempt that was answered. */
  readonly failure: UpstreamFailure | null
}

/** Plain members, written in place: a record costs next to nothing while nobody reads it. */
export class RequestRecord {
  // Marks of one monotonic clock, in milliseconds; 0 where the request did not come so far.
  /** The request's head was there. */
  readonly receivedMs: number
  /** It went to the upstream. */
  forwardedMs = 0
  /** The upstream's head came. */
  answeredMs = 0
  /** The last byte of the answer was handed over. */
  endedMs = 0
  /** Status sent; 499 where the client left first. */
  status = 0
  /** Bytes of the request and of the answer, heads included. */
  bytesReceived = 0
  bytesSent = 0
  /** The upstream's own status; null where none came. */
  upstreamStatus: number | null = null
  /** Path and query that went upstream; null where nothing did. */
  upstreamPath: string | null = null
  /** Who knows the attempts; null where none was made. */
  attempts: { readonly tries: readonly UpstreamTry[] } | null = null

  constructor(receivedMs: number) {
    this.receivedMs = receivedMs
  }
}

/** Kong's terms for where the time of a request went, in milliseconds. */
export interface Latencies {
  /** Until the upstream's turn came, or until our own answer. */
  readonly kong: number
  /** From then to the upstream's head; -1 where the upstream was not asked or gave none. */
  readonly proxy: number
  /** From the upstream's head to the end; absent where there was none. */
  readonly receive?: number
  /** From the first to the last byte. */
  readonly request: number
}

/** The latencies of a finished request, in whole milliseconds. */
export function latenciesOf(record: RequestRecord): Latencies {
  const { receivedMs, forwardedMs, answeredMs, endedMs } = record
  const request = Math.round(endedMs - receivedMs)
  const kong = forwardedMs === 0 ? request : Math.round(forwardedMs - receivedMs)
  if (answeredMs === 0) return { kong, proxy: -1, request }
  return { kong, proxy: Math.round(answeredMs - forwardedMs), receive: Math.round(endedMs - answeredMs), request }
}
