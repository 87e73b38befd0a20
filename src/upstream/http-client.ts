/**
 * Small requests to authorization servers: bounded in time and size, never redirected, answers freed of gzip. They go over the same connections as requests to
 * upstreams (client.ts), pooled per server and kept alive.
 */

import { isIP } from 'node:net'
import { gunzipSync, inflateSync } from 'node:zlib'
import { LRUCache } from 'lru-cache'
import type {
  Origin,
  UpstreamCall,
  UpstreamClient,
  UpstreamFailure,
  UpstreamHandler,
  UpstreamProgress,
  UpstreamRequest,
  UpstreamTls,
} from '../http/exchange.ts'
import { HeaderLines, HeaderList } from '../http/headers.ts'
import type { HttpClient, HttpRequest, HttpResponse } from '../oauth/http.ts'
import { currentSpan, inSpan, type Span } from '../telemetry/trace.ts'
import { GatewayError } from '../util/errors.ts'
import { createUpstreamClient } from './client.ts'
import type { Resolver } from './resolver.ts'

export interface HttpClientFactoryOptions {
  readonly resolver: Resolver
  /** PEM texts of trusted authorities; undefined for the system's. */
  readonly trustedCertificates?: readonly string[] | undefined
  readonly userAgent: string
}

/** What one caller asks of its client. Units: milliseconds, bytes. */
export interface HttpClientSettings {
  /** For connect (with TLS), for sending and for each read; the whole exchange may take three times as long. */
  readonly timeoutMs: number
  /** Time that an idle connection is kept; 0 closes it after use. */
  readonly keepaliveMs: number
  readonly verifyTls: boolean
  readonly maxResponseBytes?: number
  /** For connect (with TLS), where it is not `timeoutMs`. */
  readonly connectTimeoutMs?: number
  /** For the whole exchange, where it is not three times `timeoutMs`. */
  readonly deadlineMs?: number
}

const DEFAULT_MAX_RESPONSE_BYTES = 1_048_576
/** Idle connections kept to one server. */
const POOL_SIZE = 256
/** Addresses whose parts are kept ready. */
const MAX_PLACES = 1000

/** An authorization server gave no answer: no connection, a time-out, an answer too large. */
export class ServerUnreachableError extends GatewayError {
  readonly code = 'GW_SERVER_UNREACHABLE'
  readonly source = 'idp'
  readonly status = 503
}

export interface HttpClientFactory {
  create(settings: HttpClientSettings): HttpClient
  close(): Promise<void>
}

/** The client of one caller is its settings over connections that are shared by all who keep them equally long. */
export function createHttpClientFactory(options: HttpClientFactoryOptions): HttpClientFactory {
  const clients = new Map<number, UpstreamClient>()
  const clientOf = (keepaliveMs: number): UpstreamClient => {
    const known = clients.get(keepaliveMs)
    if (known !== undefined) return known
    const { resolver, trustedCertificates } = options
    const poolSize = keepaliveMs === 0 ? 0 : POOL_SIZE
    const made = createUpstreamClient({ resolver, trustedCertificates, poolSize, keepaliveIdleMs: keepaliveMs, keepaliveMaxRequests: 0 })
    clients.set(keepaliveMs, made)
    return made
  }
  return {
    create(settings) {
      const sender = new Sender(clientOf(settings.keepaliveMs), settings, options.userAgent)
      return (request) => {
        const parent = currentSpan()
        return parent === undefined ? sender.send(request) : traced(parent, options.userAgent, request, () => sender.send(request))
      }
    },
    async close() {
      await Promise.all([...clients.values()].map((client) => client.close()))
      clients.clear()
    },
  }
}

/** The exchange within a span of the request that caused it. Neither query nor user information of the URL is told: both may hold credentials. */
async function traced(parent: Span, userAgent: string, request: HttpRequest, exchange: () => Promise<HttpResponse>): Promise<HttpResponse> {
  const span = parent.trace.start('http_client', 'kong.internal.request', 'client', parent)
  if (span === null) return exchange()
  const { origin, pathname } = new URL(request.url)
  span.set('http.url', `${origin}${pathname}`)
  span.set('http.method', request.method)
  span.set('http.flavor', '1.1')
  span.set('http.user_agent', userAgent)
  try {
    const response = await inSpan(span, exchange)
    span.set('http.status_code', response.status)
    return response
  } catch (error) {
    if (error instanceof ServerUnreachableError) span.failWith(error.code, error.message)
    else span.failWith('Error')
    throw error
  } finally {
    span.end()
  }
}

function isSame(given: HttpRequest['headers'], other: HttpRequest['headers']): boolean {
  if (given === other) return true
  return given.length === other.length && given.every(([name, value], i) => other[i]?.[0] === name && other[i]?.[1] === value)
}

/** Where a URL leads. */
interface Place {
  readonly origin: Origin
  readonly host: string
  readonly path: string
}

/** Sends the requests of one caller. */
class Sender {
  readonly #client: UpstreamClient
  readonly #settings: HttpClientSettings
  readonly #userAgent: string
  readonly #places = new LRUCache<string, Place>({ max: MAX_PLACES })
  /** The lines of the last request. */
  #last: { readonly given: HttpRequest['headers']; readonly host: string; readonly lines: HeaderLines } | null = null

  constructor(client: UpstreamClient, settings: HttpClientSettings, userAgent: string) {
    this.#client = client
    this.#settings = settings
    this.#userAgent = userAgent
  }

  /** @throws {ServerUnreachableError} (rejects) */
  send(request: HttpRequest): Promise<HttpResponse> {
    const { timeoutMs, deadlineMs = timeoutMs * 3, maxResponseBytes = DEFAULT_MAX_RESPONSE_BYTES } = this.#settings
    try {
      const { origin, host, path } = this.#placeOf(request.url)
      const { method } = request
      return new Exchange(
        this.#client,
        {
          origin,
          method,
          path,
          headers: this.#headersOf(request, host),
          body: request.bytes ?? (request.body === undefined && method === 'GET' ? null : Buffer.from(request.body ?? '')),
          bodyLength: null,
          webSocketKey: null,
          readTimeoutMs: timeoutMs,
          writeTimeoutMs: timeoutMs,
        },
        maxResponseBytes,
        deadlineMs,
      ).outcome
    } catch (error) {
      return Promise.reject(unreachable(error))
    }
  }

  #headersOf(request: HttpRequest, host: string): HeaderList {
    const headers = new HeaderList()
    headers.append(this.#linesOf(request.headers, host))
    return headers
  }

  /** Most callers send the same lines each time. */
  #linesOf(given: HttpRequest['headers'], host: string): HeaderLines {
    if (this.#last !== null && this.#last.host === host && isSame(this.#last.given, given)) return this.#last.lines
    const headers = HeaderList.fromRaw(['Host', host, ...given.flat()])
    if (!headers.has('user-agent')) headers.add('User-Agent', this.#userAgent)
    if (!headers.has('accept-encoding')) headers.add('Accept-Encoding', 'gzip')
    if (this.#settings.keepaliveMs === 0) headers.set('Connection', 'close')
    const lines = new HeaderLines(headers.toRaw())
    this.#last = { given, host, lines }
    return lines
  }

  #placeOf(url: string): Place {
    const known = this.#places.get(url)
    if (known !== undefined) return known
    const place = placeOf(new URL(url), this.#settings)
    this.#places.set(url, place)
    return place
  }
}

function placeOf({ protocol, hostname, port, host, pathname, search }: URL, settings: HttpClientSettings): Place {
  const secure = protocol === 'https:'
  const name = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname
  const connectTimeoutMs = settings.connectTimeoutMs ?? settings.timeoutMs
  const tls = secure ? (settings.verifyTls ? VERIFIED : UNVERIFIED) : null
  return {
    origin: {
      protocol: secure ? 'https' : 'http',
      host: name,
      port: port === '' ? (secure ? 443 : 80) : Number(port),
      serverName: isIP(name) === 0 ? name : null,
      checkedName: name,
      tls,
      connectTimeoutMs,
      key: `${tls?.key ?? ''}|${host}|${connectTimeoutMs}`,
    },
    host,
    path: pathname + search,
  }
}

const UNVERIFIED: UpstreamTls = {
  verify: false,
  verifyDepth: Number.POSITIVE_INFINITY,
  authorities: null,
  clientCertificate: null,
  contextKey: '',
  key: 'unverified',
}
const VERIFIED: UpstreamTls = { ...UNVERIFIED, verify: true, key: 'verified' }

/** What went wrong, with a code for those who only tell that. */
class ExchangeError extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

/** One request and its answer, read to the end. */
class Exchange implements UpstreamHandler {
  readonly outcome: Promise<HttpResponse>
  readonly #client: UpstreamClient
  readonly #request: UpstreamRequest
  readonly #maxBytes: number
  readonly #timer: NodeJS.Timeout
  readonly #resolve: (response: HttpResponse) => void
  readonly #reject: (error: unknown) => void
  #call: UpstreamCall
  #repeated = false
  #status = 0
  #headers: HeaderList | null = null
  readonly #chunks: Buffer[] = []
  #bytes = 0

  constructor(client: UpstreamClient, request: UpstreamRequest, maxBytes: number, deadlineMs: number) {
    this.#client = client
    this.#request = request
    this.#maxBytes = maxBytes
    const { promise, resolve, reject } = Promise.withResolvers<HttpResponse>()
    this.outcome = promise
    this.#resolve = resolve
    this.#reject = reject
    this.#call = client.send(request, this)
    this.#timer = setTimeout(() => this.#giveUp(new ExchangeError('DEADLINE', 'timed out')), deadlineMs)
  }

  #giveUp(error: Error): void {
    this.#call.abort()
    clearTimeout(this.#timer)
    this.#reject(unreachable(error))
  }

  onEarlyHints(): void {}

  onHead(status: number, _reason: string, headers: HeaderList): void {
    this.#status = status
    this.#headers = headers
  }

  onSwitch(): void {
    this.#giveUp(new ExchangeError('ERR_BAD_RESPONSE', 'a switch of protocols that nobody asked for'))
  }

  onData(chunk: Uint8Array): boolean {
    this.#bytes += chunk.length
    // The chunk is only lent.
    if (this.#bytes <= this.#maxBytes) this.#chunks.push(Buffer.from(chunk))
    else this.#giveUp(new ExchangeError('ERR_RESPONSE_TOO_LARGE', `the answer is larger than ${this.#maxBytes} bytes`))
    return true
  }

  onPause(): void {}

  onEnd(): void {
    clearTimeout(this.#timer)
    const headers = this.#headers as HeaderList
    try {
      const read = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks, this.#bytes)
      const body = decode(read, headers.get('content-encoding') ?? null, this.#maxBytes)
      this.#resolve({ status: this.#status, headers: { get: (lowerName) => valueIn(headers, lowerName) }, body })
    } catch (error) {
      this.#reject(unreachable(error))
    }
  }

  /** A kept connection that the server closed at the same moment: asked once more (RFC 9112 section 9.3.1). */
  onFailure(failure: UpstreamFailure, { reused }: UpstreamProgress, error: unknown): void {
    if (failure === 'reset' && reused && this.#headers === null && !this.#repeated) {
      this.#repeated = true
      this.#call = this.#client.send(this.#request, this)
      return
    }
    clearTimeout(this.#timer)
    const code = codeOfFailure(failure, error)
    this.#reject(unreachable(new ExchangeError(code, MESSAGES[failure] ?? code)))
  }
}

/** All lines of a field as one value (RFC 9110 section 5.3); null where there is none. */
function valueIn(headers: HeaderList, lowerName: string): string | null {
  const value = headers.get(lowerName)
  if (value === undefined) return null
  return headers.count(lowerName) === 1 ? value : headers.all(lowerName).join(', ')
}

/** For failures whose code says less than words. */
const MESSAGES: Partial<Record<UpstreamFailure, string>> = {
  timeout: 'timed out',
  'connect-timeout': 'connect timed out',
  'bad-response': 'the answer breaks the rules of HTTP',
}

/** The system's or OpenSSL's code where there is one. */
function codeOfFailure(failure: UpstreamFailure, error: unknown): string {
  const { code } = (error ?? {}) as { readonly code?: unknown }
  if (typeof code === 'string') return code
  if (failure === 'timeout') return 'ETIMEDOUT'
  return failure === 'bad-response' ? 'ERR_BAD_RESPONSE' : 'ECONNRESET'
}

function decode(body: Buffer, encoding: string | null, limit: number): Buffer {
  switch (encoding?.trim().toLowerCase() ?? 'identity') {
    case 'gzip':
    case 'x-gzip':
      return gunzipSync(body, { maxOutputLength: limit })
    case 'deflate':
      return inflateSync(body, { maxOutputLength: limit })
    case 'identity':
    case '':
      return body
    default:
      throw new ExchangeError('ERR_CONTENT_ENCODING', 'the answer has a content encoding that was not asked for')
  }
}

/** With a reason for the log that holds no part of the request. */
function unreachable(error: unknown): ServerUnreachableError {
  return new ServerUnreachableError(error instanceof Error ? error.message : 'failed', { cause: error })
}
