/** What one worker's requests share: settings read once, the current snapshot, and the ways out. */
import type { UpstreamClient } from '../http/exchange.ts'
import type { RequestContext } from '../plugin/context.ts'
import type { Log } from '../telemetry/log.ts'
import type { TraceSettings } from '../telemetry/trace.ts'
import type { Capacity } from './capacity.ts'
import type { Trust } from './forwarded.ts'
import type { Snapshot } from './snapshot.ts'

/** Which headers we add to answers (`headers`) and to upstream requests (`headers_upstream`). */
export interface ShownHeaders {
  readonly server: boolean
  readonly via: boolean
  readonly upstreamLatency: boolean
  readonly proxyLatency: boolean
  readonly responseLatency: boolean
  readonly upstreamStatus: boolean
  readonly requestId: boolean
  readonly requestIdUpstream: boolean
}

export interface ProxyRuntime {
  /** Replaced whole when a new configuration is in force; null until the first. */
  snapshot: Snapshot | null
  readonly upstream: UpstreamClient
  readonly capacity: Capacity
  readonly trust: Trust
  readonly shown: ShownHeaders
  readonly log: Log
  readonly tracing: TraceSettings
  /** Told of each request when it is over: the access log and other observers. */
  readonly onFinished: (context: RequestContext) => void
  /** Product token, as in `kong/3.9.1`. */
  readonly product: string
  readonly errorDefaultType: string
  readonly trustedIdentityHeaders: boolean
  readonly strictPaths: boolean
  /** A 103 of an upstream is passed on. */
  readonly earlyHints: boolean
  /** 0: no limit. */
  readonly maxBodyBytes: number
  /** A body up to this size is collected before the upstream is contacted, and can be sent again. */
  readonly replayBytes: number
  /** Ports that clients see for ports we listen on. */
  readonly portMap: ReadonlyMap<number, number>
}

/** Reads kong.conf's `headers` and `headers_upstream` tokens. */
export function readShownHeaders(tokens: readonly string[], upstreamTokens: readonly string[]): ShownHeaders {
  const has = (...names: readonly string[]): boolean => names.some((name) => tokens.includes(name))
  return {
    server: has('server_tokens', 'server'),
    via: has('server_tokens', 'via'),
    upstreamLatency: has('latency_tokens', 'x-kong-upstream-latency'),
    proxyLatency: has('latency_tokens', 'x-kong-proxy-latency'),
    responseLatency: has('latency_tokens', 'x-kong-response-latency'),
    upstreamStatus: has('x-kong-upstream-status'),
    requestId: has('x-kong-request-id'),
    requestIdUpstream: upstreamTokens.includes('x-kong-request-id'),
  }
}
