/**
 * Requests to upstreams over pooled connections. A pool is keyed by everything that makes two connections different (`Origin.key`). The connection used last is used next, so that a quiet pool shrinks.
 */
import { connect, Socket } from 'node:net'
import { checkServerIdentity, connect as connectTls, type TLSSocket } from 'node:tls'
import { LRUCache } from 'lru-cache'
import type { Endpoint, Origin, UpstreamCall, UpstreamClient, UpstreamHandler, UpstreamRequest, UpstreamTls } from '../http/exchange.ts'
import type { HeadLimits } from '../http/h1/head.ts'
import { type ConnectionOwner, failureOf, headOf, UpstreamConnection } from './connection.ts'
import type { Resolver } from './resolver.ts'
import { SecureContexts } from './secure-context.ts'

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
/** TLS sessions that are kept to make reconnecting cheap, one for each key. */
const MAX_SESSIONS = 1000
/** A session stands for a certificate that was verified at most this long ago. */
const SESSION_LIFE_MS = 3_600_000
/** Bytes of one read. Shared by all connections: what is read is used up before the next read. */
const READ_BYTES = 65_536

type Opened = (connection: UpstreamConnection) => void
type Failed = (error: NodeJS.ErrnoException) => void

export function createUpstreamClient(options: UpstreamClientOptions): UpstreamClient {
  return new PooledClient(options)
}

class PooledClient implements UpstreamClient, ConnectionOwner {
  readonly limits = HEAD_LIMITS
  nowMs = Date.now()
  readonly #options: UpstreamClientOptions
  readonly #contexts: SecureContexts
  readonly #sessions = new LRUCache<string, Buffer>({ max: MAX_SESSIONS, ttl: SESSION_LIFE_MS })
  readonly #idle = new Map<string, UpstreamConnection[]>()
  readonly #all = new Set<UpstreamConnection>()
  readonly #sweep: NodeJS.Timeout
  readonly #readBuffer = Buffer.allocUnsafe(READ_BYTES)

  constructor(options: UpstreamClientOptions) {
    this.#options = options
    this.#contexts = new SecureContexts(options.trustedCertificates)
    this.#sweep = setInterval(() => this.#expire(), SWEEP_MS).unref()
  }

  send(request: UpstreamRequest, handler: UpstreamHandler): UpstreamCall {
    // Before a connection is taken or opened: a head that must not be written is the caller's to answer for.
    const head = headOf(request)
    const { key } = request.origin
    // What may become a stream of its own needs a socket that reads as one.
    const kept = request.webSocketKey === null ? this.#idle.get(key)?.pop() : undefined
    if (kept !== undefined) {
      kept.begin(request, head, handler)
      return kept
    }
    return new Connecting(this, key, request, head, handler)
  }

  /** Opens a connection for a request; `done` gets it, or a failure. */
  open(key: string, { origin, webSocketKey }: UpstreamRequest, done: Opened, failed: Failed): Socket {
    const { tls } = origin
    if (tls !== null) return this.#openTls(key, origin, tls, done, failed)
    return webSocketKey === null ? this.#openPlain(key, origin, done, failed) : this.#openStream(key, origin, done, failed)
  }

  #openPlain(key: string, { host, port }: Origin, done: Opened, failed: Failed): Socket {
    const holder: { connection?: UpstreamConnection } = {}
    const socket = connect({
      host,
      port,
      lookup: this.#options.resolver.lookup,
      onread: {
        buffer: this.#readBuffer,
        callback: (size) => {
          holder.connection?.receive(this.#readBuffer.subarray(0, size))
          return true
        },
      },
    })
    socket.once('error', failed)
    socket.once('connect', () => {
      socket.off('error', failed)
      holder.connection = this.#adopt(key, socket)
      done(holder.connection)
    })
    return socket
  }

  /** Without the shared buffer: what it reads can be piped on. */
  #openStream(key: string, { host, port }: Origin, done: Opened, failed: Failed): Socket {
    const socket = connect({ host, port, lookup: this.#options.resolver.lookup })
    socket.once('error', failed)
    socket.once('connect', () => {
      socket.off('error', failed)
      done(this.#adoptStream(key, socket))
    })
    return socket
  }

  #openTls(key: string, origin: Origin, tls: UpstreamTls, done: Opened, failed: Failed): Socket {
    let socket: TLSSocket
    try {
      socket = this.#handshake(key, origin, tls)
    } catch (error) {
      process.nextTick(failed, error as NodeJS.ErrnoException)
      return new Socket()
    }
    // A session counts only when its connection was found good; TLS 1.2 gives it before that, TLS 1.3 after.
    let good = false
    let session: Buffer | undefined
    socket.on('session', (given) => {
      session = given
      if (good) this.#sessions.set(key, given)
    })
    socket.once('error', failed)
    socket.once('secureConnect', () => {
      const violation = this.#chainViolation(tls, socket)
      if (violation !== undefined) return void socket.destroy(violation)
      socket.off('error', failed)
      good = true
      if (session !== undefined) this.#sessions.set(key, session)
      done(this.#adoptStream(key, socket))
    })
    return socket
  }

  /** @throws OpenSSL's error when the client certificate cannot be used */
  #handshake(key: string, { host, port, serverName, checkedName }: Origin, tls: UpstreamTls): TLSSocket {
    const session = this.#sessions.get(key)
    return connectTls({
      host,
      port,
      lookup: this.#options.resolver.lookup,
      rejectUnauthorized: tls.verify,
      checkServerIdentity: (_, certificate) => checkServerIdentity(checkedName, certificate),
      ...(serverName === null ? {} : { servername: serverName }),
      ...(session === undefined ? {} : { session }),
      secureContext: this.#contexts.get(tls),
    })
  }

  /** A resumed session stands for a chain that was looked at when the session began. */
  #chainViolation(tls: UpstreamTls, socket: TLSSocket): Error | undefined {
    if (!tls.verify || socket.isSessionReused()) return undefined
    const leaf = socket.getPeerX509Certificate()
    if (leaf !== undefined && this.#contexts.intermediates(tls, leaf) <= tls.verifyDepth) return undefined
    return Object.assign(new Error('certificate chain too long'), { code: 'CERT_CHAIN_TOO_LONG' })
  }

  #adoptStream(key: string, socket: Socket): UpstreamConnection {
    const connection = this.#adopt(key, socket)
    socket.on('data', (chunk: Buffer) => connection.receive(chunk))
    return connection
  }

  #adopt(key: string, socket: Socket): UpstreamConnection {
    const connection = new UpstreamConnection(this, key, socket)
    this.#all.add(connection)
    return connection
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
      request,
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
