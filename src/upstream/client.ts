/**
 * Requests to upstreams over pooled keep-alive connections. A pool is keyed by everything that makes two connections different: protocol, host, port, TLS
 * identity and connect time-out; it is made at first use and dropped when it has been idle for long.
 */
import { buildConnector, Pool } from 'undici'
import type { Origin, UpstreamCall, UpstreamClient, UpstreamFailure, UpstreamHandler, UpstreamRequest } from '../http/exchange.ts'
import { HeaderList } from '../http/headers.ts'
import type { Resolver } from './resolver.ts'

export interface UpstreamClientOptions {
  readonly resolver: Resolver
  /** Idle connections are closed after this time; 0 keeps none. */
  readonly keepaliveIdleMs: number
  /** Requests after which a connection is closed; 0 is no limit. */
  readonly keepaliveMaxRequests: number
  /** PEM texts of trusted authorities; undefined for the system's. */
  readonly trustedCertificates?: readonly string[] | undefined
  /** Largest response head in bytes. */
  readonly maxHeadBytes?: number
}

/** An upstream's head beyond this is refused (502). */
const DEFAULT_MAX_HEAD_BYTES = 65_536
/** More interim responses (1xx) than this to one request are refused (502): they cost the upstream nothing. */
const MAX_INTERIM = 16

export function createUpstreamClient(options: UpstreamClientOptions): UpstreamClient {
  const pools = new Map<string, CountedPool>()
  const poolOf = (origin: Origin): CountedPool => {
    const key = `${origin.protocol}|${origin.host}|${origin.port}|${origin.serverName}|${origin.verifyTls}|${origin.connectTimeoutMs}`
    const known = pools.get(key)
    if (known !== undefined) return known
    const pool = createPool(origin, options)
    pools.set(key, pool)
    return pool
  }
  return {
    send(request, handler) {
      const pool = poolOf(request.origin)
      const call = new Call(request, handler, pool)
      pool.pool.dispatch(
        {
          path: request.path,
          // undici types the methods it knows; the wire allows any token.
          method: request.method as 'GET',
          headers: request.headers.toRaw(),
          body: request.body as Buffer | null,
          headersTimeout: request.readTimeoutMs,
          bodyTimeout: request.readTimeoutMs,
          blocking: false,
        },
        call,
      )
      return call
    },
    async close() {
      await Promise.all([...pools.values()].map(({ pool }) => pool.destroy()))
      pools.clear()
    },
  }
}

/** A pool, and how many connections were opened in it: what was sent while none was opened went over one that had been used before. */
interface CountedPool {
  readonly pool: Pool
  connections: number
}

function createPool(origin: Origin, options: UpstreamClientOptions): CountedPool {
  const host = origin.host.includes(':') ? `[${origin.host}]` : origin.host
  const connect = buildConnector({
    allowH2: false,
    timeout: origin.connectTimeoutMs,
    lookup: options.resolver.lookup,
    rejectUnauthorized: origin.verifyTls,
    ...(origin.serverName === null ? {} : { servername: origin.serverName }),
    ...(options.trustedCertificates === undefined ? {} : { ca: [...options.trustedCertificates] }),
  })
  const pool = new Pool(`${origin.protocol}://${host}:${origin.port}`, {
    pipelining: options.keepaliveIdleMs === 0 ? 0 : 1,
    keepAliveTimeout: Math.max(options.keepaliveIdleMs, 1),
    keepAliveMaxTimeout: Math.max(options.keepaliveIdleMs, 1),
    maxRequestsPerClient: options.keepaliveMaxRequests,
    maxHeaderSize: options.maxHeadBytes ?? DEFAULT_MAX_HEAD_BYTES,
    allowH2: false,
    connect(connectOptions, callback) {
      counted.connections++
      connect(connectOptions, callback)
    },
  })
  const counted: CountedPool = { pool, connections: 0 }
  return counted
}

type Controller = Parameters<NonNullable<import('undici').Dispatcher.DispatchHandler['onRequestStart']>>[0]

/** One exchange. undici calls the `on…` methods; after an abort or a failure nothing reaches the handler any more. */
class Call implements UpstreamCall {
  readonly #request: UpstreamRequest
  readonly #handler: UpstreamHandler
  #controller: Controller | null = null
  #started = false
  readonly #pool: CountedPool
  /** Connections of the pool when this exchange was asked for. */
  readonly #connectionsBefore: number
  #interim = 0
  #settled = false
  #aborted = false

  constructor(request: UpstreamRequest, handler: UpstreamHandler, pool: CountedPool) {
    this.#request = request
    this.#handler = handler
    this.#pool = pool
    this.#connectionsBefore = pool.connections
  }

  abort(): void {
    this.#aborted = true
    this.#settled = true
    this.#controller?.abort(ABORTED)
  }

  resume(): void {
    this.#controller?.resume()
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller
    this.#started = true
    if (this.#aborted) controller.abort(ABORTED)
  }

  onResponseStart(controller: Controller, status: number, _headers: unknown, reason?: string): void {
    if (this.#settled) return
    // Interim responses are not forwarded; the final one follows (RFC 9110 section 15.2).
    if (status >= 100 && status < 200 && ++this.#interim <= MAX_INTERIM) return
    if (status < 200 || status > 599) return this.#refuse(controller, `status ${status}`)
    const headers = rawHeaders(controller.rawHeaders)
    if (isAmbiguous(headers)) return this.#refuse(controller, 'ambiguous framing of the response')
    this.#handler.onHead(status, reason ?? '', headers)
  }

  #refuse(controller: Controller, reason: string): void {
    this.#settled = true
    controller.abort(ABORTED)
    this.#handler.onFailure('bad-response', { sent: true, reused: false }, new Error(reason))
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    if (!this.#settled && !this.#handler.onData(chunk)) controller.pause()
  }

  onResponseEnd(): void {
    if (this.#settled) return
    this.#settled = true
    this.#handler.onEnd()
  }

  onResponseError(_controller: Controller, error: Error): void {
    if (this.#settled) return
    this.#settled = true
    const reused = this.#started && this.#pool.connections === this.#connectionsBefore
    this.#handler.onFailure(classify(error), { sent: this.#started, reused }, error)
  }

  get request(): UpstreamRequest {
    return this.#request
  }
}

const ABORTED = new Error('the exchange was given up')

function rawHeaders(raw: unknown): HeaderList {
  const list = new HeaderList()
  if (!Array.isArray(raw)) return list
  for (let i = 0; i + 1 < raw.length; i += 2) list.add(text(raw[i]), text(raw[i + 1]))
  return list
}

function text(value: unknown): string {
  return Buffer.isBuffer(value) ? value.toString('latin1') : String(value)
}

/** A response that two readers could cut differently is refused (RFC 9112 section 6.3). */
function isAmbiguous(headers: HeaderList): boolean {
  const codings = headers.all('transfer-encoding')
  if (codings.length > 0 && (headers.has('content-length') || codings.length > 1 || codings[0]?.trim().toLowerCase() !== 'chunked'))
    return true
  return headers.count('content-length') > 1
}

function classify(error: Error & { code?: string; syscall?: string }): UpstreamFailure {
  const { code = '' } = error
  if (code === 'UND_ERR_CONNECT_TIMEOUT') return 'connect-timeout'
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') return 'timeout'
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN' || code === 'ENODATA' || error.syscall === 'getaddrinfo') return 'resolve'
  if (code === 'ETIMEDOUT') return error.syscall === 'connect' ? 'connect-timeout' : 'timeout'
  if (code === 'ECONNREFUSED' || code === 'EHOSTUNREACH' || code === 'ENETUNREACH' || error.syscall === 'connect') return 'connect'
  if (code.startsWith('ERR_TLS') || code.startsWith('ERR_SSL') || /CERT|SIGNATURE|SELF_SIGNED/.test(code)) return 'tls'
  if (code.startsWith('HPE_') || code === 'UND_ERR_HEADERS_OVERFLOW' || error.name === 'HTTPParserError') return 'bad-response'
  return 'reset'
}
