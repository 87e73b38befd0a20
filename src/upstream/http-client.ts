/**
 * Small requests to authorization servers: bounded in time and size, never redirected, answers freed of gzip. Connections are pooled per server and kept alive.
 */
import type { SecureContext } from 'node:tls'
import { gunzipSync, inflateSync } from 'node:zlib'
import { Agent } from 'undici'
import type { HttpClient, HttpResponse } from '../oauth/http.ts'
import { currentSpan, inSpan, type Span } from '../telemetry/trace.ts'
import { GatewayError } from '../util/errors.ts'
import type { Resolver } from './resolver.ts'
import { createTrustedContext } from './secure-context.ts'

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

export function createHttpClientFactory(options: HttpClientFactoryOptions): HttpClientFactory {
  const agents = new Map<string, Agent>()
  const trustedContext = createTrustedContext(options.trustedCertificates)
  const agentOf = (settings: HttpClientSettings): Agent => {
    const key = `${settings.timeoutMs}|${settings.connectTimeoutMs ?? ''}|${settings.keepaliveMs}|${settings.verifyTls}`
    const known = agents.get(key)
    if (known !== undefined) return known
    const agent = createAgent(settings, options.resolver, trustedContext())
    agents.set(key, agent)
    return agent
  }
  return {
    create(settings) {
      const agent = agentOf(settings)
      return (request) => {
        const parent = currentSpan()
        const exchange = (): Promise<HttpResponse> => send(agent, settings, options.userAgent, request)
        return parent === undefined ? exchange() : traced(parent, options.userAgent, request, exchange)
      }
    },
    async close() {
      await Promise.all([...agents.values()].map((agent) => agent.destroy()))
      agents.clear()
    },
  }
}

function createAgent(settings: HttpClientSettings, resolver: Resolver, secureContext: SecureContext): Agent {
  return new Agent({
    pipelining: settings.keepaliveMs === 0 ? 0 : 1,
    keepAliveTimeout: Math.max(settings.keepaliveMs, 1),
    keepAliveMaxTimeout: Math.max(settings.keepaliveMs, 1),
    headersTimeout: settings.timeoutMs,
    bodyTimeout: settings.timeoutMs,
    allowH2: false,
    connect: {
      timeout: settings.connectTimeoutMs ?? settings.timeoutMs,
      lookup: resolver.lookup,
      rejectUnauthorized: settings.verifyTls,
      secureContext,
    },
  })
}

/** The exchange within a span of the request that caused it. Neither query nor user information of the URL is told: both may hold credentials. */
async function traced(
  parent: Span,
  userAgent: string,
  request: Parameters<HttpClient>[0],
  exchange: () => Promise<HttpResponse>,
): Promise<HttpResponse> {
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

async function send(
  agent: Agent,
  settings: HttpClientSettings,
  userAgent: string,
  request: Parameters<HttpClient>[0],
): Promise<HttpResponse> {
  const url = new URL(request.url)
  const { maxResponseBytes = DEFAULT_MAX_RESPONSE_BYTES } = settings
  const headers = request.headers.flat()
  if (!request.headers.some(([name]) => name.toLowerCase() === 'user-agent')) headers.push('User-Agent', userAgent)
  if (!request.headers.some(([name]) => name.toLowerCase() === 'accept-encoding')) headers.push('Accept-Encoding', 'gzip')
  const signal = AbortSignal.timeout(settings.deadlineMs ?? settings.timeoutMs * 3)
  const attempt = () =>
    agent.request({
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      method: request.method,
      headers,
      body: request.bytes ?? request.body ?? null,
      signal,
    })
  try {
    const response = await attempt().catch((error: unknown) => {
      // A kept connection that the server closed at the same moment: asked once more. Both kinds of request may be repeated (RFC 9112 section 9.3.1).
      if (isStaleConnection(error)) return attempt()
      throw error
    })
    const body = await readBody(response.body, maxResponseBytes)
    const get = (lowerName: string): string | null => {
      const value = response.headers[lowerName]
      return value === undefined ? null : Array.isArray(value) ? value.join(', ') : value
    }
    return { status: response.statusCode, headers: { get }, body: decode(body, get('content-encoding'), maxResponseBytes) }
  } catch (error) {
    throw new ServerUnreachableError(describe(error), { cause: error })
  }
}

function isStaleConnection(error: unknown): boolean {
  const { code, socket } = error as { code?: string; socket?: { bytesRead?: number } }
  return (code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE') && socket?.bytesRead !== 0
}

async function readBody(body: AsyncIterable<Buffer>, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > limit) throw new Error(`the answer is larger than ${limit} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, size)
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
      throw new Error('the answer has a content encoding that was not asked for')
  }
}

/** A reason for the log that holds no part of the request. */
function describe(error: unknown): string {
  const { code, name, message } = error as { code?: string; name?: string; message?: string }
  if (name === 'TimeoutError' || code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') return 'timed out'
  if (code === 'UND_ERR_CONNECT_TIMEOUT') return 'connect timed out'
  return code === undefined ? (message ?? 'failed') : code
}
