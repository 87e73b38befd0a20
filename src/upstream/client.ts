/**
 * Requests to upstreams over pooled connections. A pool is keyed by everything that makes two connections different (`Origin.key`). The connection used last is used next, so that a quiet pool shrinks.
 */
import { connect, type Socket } from 'node:net'
import { connect as connectTls, type SecureContext } from 'node:tls'
import type { Endpoint, Origin, UpstreamCall, UpstreamClient, UpstreamHandler, UpstreamRequest } from '../http/exchange.ts'
import type { HeadLimits } from '../http/h1/head.ts'
import { type ConnectionOwner, failureOf, headOf, UpstreamConnection } from './connection.ts'
import type { Resolver } from './resolver.ts'
import { createTrustedContext } from './secure-context.ts'

export interface UpstreamClientOptions {
  readonly resolver: Resolver
  /** Idle connections kept for each key; 0 keeps none. */
  readonly poolSize: number
  /** Idle connections are closed after this time; 0 is no limit. */
  readonly keepaliveIdleMs: number
  /** Requests after which a connection is closed; 0 is no limit. */
  readonly keepaliveMaxRequests: number
  /** PEM texts of trusted authorities; undefined for the system's. */
  readonly trustedCertificates?: readonly string[] | undefined
}

const HEAD_LIMITS: HeadLimits = { lineBytes: 32_768, headBytes: 65_536, lines: 1000 }
/** How often deadlines are looked at. */
const SWEEP_MS = 100
/** Bytes of one read. Shared by all connections: what is read is used up before the next read. */
const READ_BYTES = 65_536

export function createUpstreamClient(options: UpstreamClientOptions): UpstreamClient {
  return new PooledClient(options)
}

class PooledClient implements UpstreamClient, ConnectionOwner {
  readonly limits = HEAD_LIMITS
  nowMs = Date.now()
  readonly #options: UpstreamClientOptions
  readonly #trustedContext: () => SecureContext
  readonly #idle = new Map<string, UpstreamConnection[]>()
  readonly #all = new Set<UpstreamConnection>()
  readonly #sweep: NodeJS.Timeout
  readonly #readBuffer = Buffer.allocUnsafe(READ_BYTES)

  constructor(options: UpstreamClientOptions) {
    this.#options = options
    this.#trustedContext = createTrustedContext(options.trustedCertificates)
    this.#sweep = setInterval(() => this.#expire(), SWEEP_MS).unref()
  }

  send(request: UpstreamRequest, handler: UpstreamHandler): UpstreamCall {
    // Before a connection is taken or opened: a head that must not be written is the caller's to answer for.
    const head = headOf(request)
    const { key } = request.origin
    const kept = this.#idle.get(key)?.pop()
    if (kept !== undefined) {
      kept.begin(request, head, handler)
      return kept
    }
    return new Connecting(this, key, request, head, handler)
  }

  /** Opens a connection; `done` gets it, or a failure. */
  open(
    key: string,
    origin: Origin,
    done: (connection: UpstreamConnection) => void,
    failed: (error: NodeJS.ErrnoException) => void,
  ): Socket {
    const holder: { connection?: UpstreamConnection } = {}
    const { resolver } = this.#options
    const socket =
      origin.protocol === 'http'
        ? connect({
            host: origin.host,
            port: origin.port,
            lookup: resolver.lookup,
            onread: {
              buffer: this.#readBuffer,
              callback: (size) => {
                holder.connection?.receive(this.#readBuffer.subarray(0, size))
                return true
              },
            },
          })
        : connectTls({
            host: origin.host,
            port: origin.port,
            lookup: resolver.lookup,
            rejectUnauthorized: origin.verifyTls,
            ...(origin.serverName === null ? {} : { servername: origin.serverName }),
            secureContext: this.#trustedContext(),
          })
    socket.once('error', failed)
    socket.once(origin.protocol === 'http' ? 'connect' : 'secureConnect', () => {
      socket.off('error', failed)
      const connection = new UpstreamConnection(this, key, socket)
      holder.connection = connection
      if (origin.protocol === 'https') socket.on('data', (chunk: Buffer) => connection.receive(chunk))
      this.#all.add(connection)
      done(connection)
    })
    return socket
  }

  onFree(connection: UpstreamConnection): void {
    const { poolSize, keepaliveIdleMs, keepaliveMaxRequests } = this.#options
    const idle = this.#idle.get(connection.key)
    if (poolSize === 0 || (keepaliveMaxRequests > 0 && connection.requests >= keepaliveMaxRequests)) return connection.destroy()
    if (keepaliveIdleMs > 0) connection.deadlineMs = this.nowMs + keepaliveIdleMs
    if (idle === undefined) this.#idle.set(connection.key, [connection])
    else if (idle.length < poolSize) idle.push(connection)
    else connection.destroy()
  }

  onClosed(connection: UpstreamConnection): void {
    this.#all.delete(connection)
    const idle = this.#idle.get(connection.key)
    const index = idle?.indexOf(connection) ?? -1
    if (index !== -1) idle?.splice(index, 1)
    if (idle?.length === 0) this.#idle.delete(connection.key)
  }

  #expire(): void {
    this.nowMs = Date.now()
    for (const connection of this.#all) {
      if (connection.deadlineMs > this.nowMs) continue
      if (connection.isIdle) connection.destroy()
      else connection.expire()
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#sweep)
    for (const connection of this.#all) connection.destroy()
  }
}

/** An exchange that waits for its connection. */
class Connecting implements UpstreamCall {
  #connection: UpstreamConnection | null = null
  #socket: Socket | null
  #settled = false
  readonly #timer: NodeJS.Timeout

  constructor(client: PooledClient, key: string, request: UpstreamRequest, head: string, handler: UpstreamHandler) {
    const fail = (error: NodeJS.ErrnoException): void => {
      if (this.#settled) return
      this.#settled = true
      clearTimeout(this.#timer)
      this.#socket?.destroy()
      handler.onFailure(failureOf(error), { sent: false, reused: false }, error)
    }
    this.#timer = setTimeout(
      () => fail(Object.assign(new Error('connect timed out'), { code: 'ETIMEDOUT', syscall: 'connect' })),
      request.origin.connectTimeoutMs,
    )
    this.#socket = client.open(
      key,
      request.origin,
      (connection) => {
        clearTimeout(this.#timer)
        if (this.#settled) return connection.destroy()
        this.#settled = true
        this.#connection = connection
        connection.begin(request, head, handler)
      },
      fail,
    )
    // After a late failure nobody listens any more.
    this.#socket.on('error', () => {})
  }

  get remote(): Endpoint | null {
    return this.#connection?.remote ?? null
  }

  abort(): void {
    if (this.#connection !== null) return this.#connection.abort()
    this.#settled = true
    clearTimeout(this.#timer)
    this.#socket?.destroy()
  }

  resume(): void {
    this.#connection?.resume()
  }
}
