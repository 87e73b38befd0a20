/**
 * From a decided request to the upstream's answer: one attempt per turn, and the reason why it is repeated or not. Retries are Kong's: only for failures
 * before the answer's head, never because of a status, never for POST, LOCK or PATCH once anything was sent, and only with a body that can be sent again.
 */

import { isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import type { BodySource } from '../http/body.ts'
import type {
  Endpoint,
  Origin,
  UpstreamCall,
  UpstreamClient,
  UpstreamFailure,
  UpstreamHandler,
  UpstreamProgress,
  UpstreamRequest,
  UpstreamTls,
} from '../http/exchange.ts'
import type { HeaderList } from '../http/headers.ts'
import type { RequestContext } from '../plugin/context.ts'
import type { UpstreamTry } from '../plugin/record.ts'
import { inSpan, type Span } from '../telemetry/trace.ts'
import { turnMs } from '../util/turn-clock.ts'
import type { ServiceEntity } from './snapshot.ts'

/** Least size up to which a request body is collected before the upstream is contacted, so that it can be sent again and short chunked bodies get a length. */
export const REPLAY_BYTES = 65_536

/** Not repeated once anything was sent (nginx's `non_idempotent`). */
const NOT_REPEATED = new Set(['POST', 'LOCK', 'PATCH'])

/** Failures after which another attempt makes sense (nginx's `proxy_next_upstream error timeout`). */
const REPEATED: ReadonlySet<UpstreamFailure> = new Set(['connect', 'connect-timeout', 'tls', 'timeout', 'reset'])

/** Whom the forwarder tells. Exactly one of `onFailure`, or `onHead` and then `onEnd` or `onCut`, concludes. */
export interface ForwardListener extends Omit<UpstreamHandler, 'onFailure'> {
  /** No attempt gave an answer. */
  onFailure(failure: UpstreamFailure, error: unknown): void
  /** The answer broke off after its head. */
  onCut(failure: UpstreamFailure): void
}

export interface ForwardTarget {
  readonly service: ServiceEntity
  readonly origin: Origin
  readonly path: string
  /** Complete head for the upstream, without framing. */
  readonly headers: HeaderList
  /** Bytes of a body that is pushed; null: chunked. */
  readonly bodyLength: number | null
  /** Of a request that offers to go on in WebSocket. */
  readonly webSocketKey: string | null
}

/** Where a service's requests go; `hostHeader` is the `Host` that is sent, `tls` is null for a service in clear. */
export function originOf(service: ServiceEntity, hostHeader: string, tls: UpstreamTls | null): Origin {
  const { host, port, connect_timeout: connectTimeoutMs } = service
  if (tls === null) {
    const key = `${host}|${port}|${connectTimeoutMs}`
    return { protocol: 'http', host, port, serverName: null, checkedName: host, tls, connectTimeoutMs, key }
  }
  const checkedName = /^\[([^\]]*)\]/.exec(hostHeader)?.[1] ?? (hostHeader.split(':', 1)[0] as string)
  const serverName = isIP(checkedName) === 0 ? checkedName : null
  const key = `tls|${host}|${port}|${checkedName}|${tls.key}|${connectTimeoutMs}`
  return { protocol: 'https', host, port, serverName, checkedName, tls, connectTimeoutMs, key }
}

/** `Host` for a service: its name, with the port where it is not the protocol's own. */
export function hostHeaderOf(service: ServiceEntity): string {
  const usual = service.protocol === 'https' ? 443 : 80
  const host = service.host.includes(':') ? `[${service.host}]` : service.host
  return service.port === usual ? host : `${host}:${service.port}`
}

export class Forwarding implements UpstreamHandler, UpstreamRequest {
  readonly #client: UpstreamClient
  readonly #context: RequestContext
  readonly #service: ServiceEntity
  readonly #listener: ForwardListener
  // The request, the same for every attempt.
  readonly origin: Origin
  readonly method: string
  readonly path: string
  readonly headers: HeaderList
  body: Uint8Array | BodySource | null = null
  readonly bodyLength: number | null
  readonly webSocketKey: string | null
  readonly readTimeoutMs: number
  readonly writeTimeoutMs: number
  #call: UpstreamCall | null = null
  /** Attempts that came to nothing; the one under way, or answered, is not among them. */
  #failed: UpstreamTry[] | null = null
  #attemptAtMs = 0
  #triesLeft: number
  #freeTryUsed = false
  #headSeen = false
  #abandoned = false
  /** Of the attempt under way, if it is traced. */
  #span: Span | null = null

  constructor(client: UpstreamClient, context: RequestContext, target: ForwardTarget, listener: ForwardListener) {
    this.#client = client
    this.#context = context
    this.#listener = listener
    const { service } = target
    this.#service = service
    this.origin = target.origin
    this.method = context.request.method
    this.path = target.path
    this.headers = target.headers
    this.bodyLength = target.bodyLength
    this.webSocketKey = target.webSocketKey
    this.readTimeoutMs = service.read_timeout
    this.writeTimeoutMs = service.write_timeout
    this.#triesLeft = service.retries
  }

  /** Sends the first attempt with `body` as collected: whole, or a stream that continues it. */
  start(body: Uint8Array | BodySource | null): void {
    this.body = body
    this.#attempt()
  }

  /** The client left: nothing is awaited any more. */
  abandon(): void {
    this.#abandoned = true
    this.#endSpan(null)
    this.#call?.abort()
  }

  resume(): void {
    this.#call?.resume()
  }

  /** The attempts so far, for the log. */
  get tries(): readonly UpstreamTry[] {
    const failed = this.#failed ?? []
    return this.#headSeen ? [...failed, this.#tryOf(null)] : failed
  }

  #tryOf(failure: UpstreamFailure | null, error?: unknown): UpstreamTry {
    const { address, port } = this.#call?.remote ?? refusedEndpoint(error)
    return { startedAtMs: this.#attemptAtMs, address, port, failure }
  }

  #attempt(): void {
    this.#attemptAtMs = turnMs()
    const { trace } = this.#context
    if (trace !== null) this.#span = trace.startTry(this.headers, this.origin.host, (this.#failed?.length ?? 0) + 1)
    this.#call = this.#span === null ? this.#send() : inSpan(this.#span, () => this.#send())
  }

  #send(): UpstreamCall {
    return this.#client.send(this, this)
  }

  /** Ends the attempt's span. Where its connection led is known by now, if there was one. */
  #endSpan(failure: UpstreamFailure | null): void {
    const span = this.#span
    if (span === null) return
    this.#span = null
    // A connection that ended while it was opened does not say where it led.
    const { address = '', port } = this.#call?.remote ?? {}
    if (address !== '') {
      span.set('net.peer.ip', address)
      span.set('net.peer.port', port)
    }
    if (failure !== null) span.fail(failure)
    span.end()
  }

  /** Not the answer's head: what fails after it may still be tried again, and then further hints come (nginx). A client takes any number (RFC 8297 section 2). */
  onEarlyHints(headers: HeaderList): void {
    this.#listener.onEarlyHints(headers)
  }

  onHead(status: number, reason: string, headers: HeaderList): void {
    this.#headSeen = true
    this.#span?.set('http.status_code', status)
    this.#listener.onHead(status, reason, headers)
  }

  onSwitch(reason: string, headers: HeaderList, upstream: Duplex): void {
    this.#headSeen = true
    this.#span?.set('http.status_code', 101)
    this.#endSpan(null)
    this.#listener.onSwitch(reason, headers, upstream)
  }

  onData(chunk: Uint8Array): boolean {
    return this.#listener.onData(chunk)
  }

  onPause(): void {
    this.#listener.onPause()
  }

  onEnd(): void {
    this.#endSpan(null)
    this.#listener.onEnd()
  }

  onFailure(failure: UpstreamFailure, progress: UpstreamProgress, error: unknown): void {
    if (this.#abandoned) return
    this.#endSpan(failure)
    if (this.#headSeen) return this.#listener.onCut(failure)
    this.#failed ??= []
    this.#failed.push(this.#tryOf(failure, error))
    if (this.#mayRepeat(failure, progress.sent)) {
      // A kept connection that was closed while the request was on its way says nothing about the upstream (RFC 9112 section 9.3.1): once, it costs no try.
      const isFree = failure === 'reset' && progress.reused && !this.#freeTryUsed
      if (isFree) this.#freeTryUsed = true
      else if (this.#triesLeft-- === 0) return this.#listener.onFailure(failure, error)
      this.#context.log.warn('upstream attempt failed, trying again', {
        failure,
        service: this.#service.name ?? this.#service.id,
      })
      return this.#attempt()
    }
    this.#listener.onFailure(failure, error)
  }

  #mayRepeat(failure: UpstreamFailure, sent: boolean): boolean {
    if (!REPEATED.has(failure)) return false
    if (this.body !== null && !(this.body instanceof Uint8Array)) return false
    return !sent || failure === 'connect' || failure === 'connect-timeout' || !NOT_REPEATED.has(this.method)
  }
}

/** Where a connection was to lead that did not come about, as far as the system says. */
function refusedEndpoint(error: unknown): Endpoint {
  const { address, port } = (error ?? {}) as { readonly address?: unknown; readonly port?: unknown }
  return typeof address === 'string' && typeof port === 'number' ? { address, port } : { address: '', port: 0 }
}
