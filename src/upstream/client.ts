/**
 * Requests to upstreams over pooled connections. A pool is keyed by everything that makes two connections different (`Origin.key`). The connection used last is
 * used next, so that a quiet pool shrinks.
 *
 *   request ──idle connection──> begun
 *      │                           ^
 *      ├─────────> opening ────────┤        BURST at once, and as many again each BURST_MS
 *      └─> waiting ──turn to open, or the first connection that is free
 *
 * A herd, or more load than the gateway can bear, would otherwise open a connection for each request, which costs more than the request, and close it after it.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { connect, Socket } from 'node:net'
import { checkServerIdentity, connect as connectTls, type TLSSocket } from 'node:tls'
import { LRUCache } from 'lru-cache'
import type { Endpoint, Origin, UpstreamCall, UpstreamClient, UpstreamHandler, UpstreamRequest, UpstreamTls } from '../http/exchange.ts'
import type { HeadLimits } from '../http/h1/head.ts'
import { ReadBuffer } from '../http/read-buffer.ts'
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
/** Connections to one upstream that are opened within {@link BURST_MS}; further requests wait for the next turn, or for a connection that becomes free. */
const BURST = 64
/** Milliseconds. */
const BURST_MS = 10
/** As many turns may requests wait for connections that become free, before more are opened for them. */
const PATIENCE_TURNS = 8

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
  readonly #pools = new Map<string, Pool>()
  readonly #all = new Set<UpstreamConnection>()
  readonly #sweep: NodeJS.Timeout
  readonly #readBuffer = new ReadBuffer()

  constructor(options: UpstreamClientOptions) {
    this.#options = options
    this.#contexts = new SecureContexts(options.trustedCertificates)
    this.#sweep = setInterval(() => this.#expire(), SWEEP_MS).unref()
  }

  send(request: UpstreamRequest, handler: UpstreamHandler): UpstreamCall {
    // Before a connection is taken or opened: a head that must not be written is the caller's to answer for.
    const head = headOf(request)
    const pool = this.#poolOf(request.origin.key)
    // What may become a stream of its own needs a socket that reads as one.
    const kept = request.webSocketKey === null ? pool.takeIdle() : undefined
    if (kept === undefined) return pool.connect(new Connecting(this, request, head, handler))
    kept.begin(request, head, handler)
    return kept
  }

  #poolOf(key: string): Pool {
    const known = this.#pools.get(key)
    if (known !== undefined) return known
    const pool = new Pool(() => this.#pools.delete(key))
    this.#pools.set(key, pool)
    return pool
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
        buffer: this.#readBuffer.bytes,
        callback: (size) => {
          holder.connection?.receive(this.#readBuffer.view(size))
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
    if (!tls.verify || tls.verifyDepth === Number.POSITIVE_INFINITY || socket.isSessionReused()) return undefined
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
    if (poolSize === 0 || (keepaliveMaxRequests > 0 && connection.requests >= keepaliveMaxRequests)) return connection.destroy()
    const pool = this.#poolOf(connection.key)
    if (pool.handOver(connection)) return
    if (pool.idle.length >= poolSize) return connection.destroy()
    if (keepaliveIdleMs > 0) connection.deadlineMs = this.nowMs + keepaliveIdleMs
    pool.idle.push(connection)
  }

  onClosed(connection: UpstreamConnection): void {
    this.#all.delete(connection)
    this.#pools.get(connection.key)?.forget(connection)
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
    for (const pool of this.#pools.values()) pool.close()
    for (const connection of this.#all) connection.destroy()
  }
}

/** What goes to one upstream: connections that are free, and requests that wait for one. */
class Pool {
  readonly idle: UpstreamConnection[] = []
  readonly #onEmpty: () => void
  readonly #waiting: Connecting[] = []
  /** Connections that may be opened before the next turn. */
  #left = BURST
  /** Connections that became free for somebody who waited, since the last turn. */
  #taken = 0
  #turn: NodeJS.Timeout | null = null

  /** @param onEmpty nothing is known here any more */
  constructor(onEmpty: () => void) {
    this.#onEmpty = onEmpty
  }

  /** A connection that is free. One that is being closed may still be among them. */
  takeIdle(): UpstreamConnection | undefined {
    for (;;) {
      const connection = this.idle.pop()
      if (connection === undefined || connection.isIdle) return connection
    }
  }

  /** Opens a connection for an exchange, now or when it is its turn; one for a stream of its own, always now. */
  connect(exchange: Connecting): Connecting {
    if (this.#left > 0 || exchange.isStream) {
      this.#left--
      exchange.open()
    } else {
      exchange.wait()
      this.#waiting.push(exchange)
    }
    this.#turn ??= setTimeout(() => this.#nextTurn(), BURST_MS)
    return exchange
  }

  #nextTurn(): void {
    this.#turn = null
    // Where those that become free will do for those that wait, opening more would only take time from both.
    const enough = this.#taken * PATIENCE_TURNS >= this.#waiting.length
    this.#left = enough && this.#taken > 0 ? 0 : BURST
    this.#taken = 0
    while (this.#left > 0) {
      const next = this.#nextWaiting()
      if (next === undefined) break
      this.#left--
      next.open()
    }
    if (this.#left < BURST) this.#turn = setTimeout(() => this.#nextTurn(), BURST_MS)
    else this.#leaveIfEmpty()
  }

  /** Gives a connection that is free to the request that has waited longest; false where none waits. */
  handOver(connection: UpstreamConnection): boolean {
    const waiting = this.#nextWaiting()
    if (waiting === undefined) return false
    this.#taken++
    waiting.take(connection)
    return true
  }

  /** The request that has waited longest; it waits no more. */
  #nextWaiting(): Connecting | undefined {
    for (;;) {
      const next = this.#waiting.shift()
      if (next === undefined || next.isWaiting) return next
    }
  }

  /** A connection is closed. */
  forget(connection: UpstreamConnection): void {
    const index = this.idle.indexOf(connection)
    if (index !== -1) this.idle.splice(index, 1)
    this.#leaveIfEmpty()
  }

  /** Nothing is opened any more for those that wait. */
  close(): void {
    if (this.#turn !== null) clearTimeout(this.#turn)
  }

  #leaveIfEmpty(): void {
    if (this.idle.length === 0 && this.#turn === null) this.#onEmpty()
  }
}

/** An exchange that waits for its connection. */
class Connecting implements UpstreamCall {
  readonly isStream: boolean
  readonly #client: PooledClient
  readonly #request: UpstreamRequest
  readonly #head: string
  readonly #handler: UpstreamHandler
  readonly #timer: NodeJS.Timeout
  #connection: UpstreamConnection | null = null
  #socket: Socket | null = null
  #settled = false
  /** Runs what the exchange opens later as if it were opened now, so that what is traced of it is its own. */
  #inContext: ReturnType<typeof AsyncLocalStorage.snapshot> | null = null

  constructor(client: PooledClient, request: UpstreamRequest, head: string, handler: UpstreamHandler) {
    this.isStream = request.webSocketKey !== null
    this.#client = client
    this.#request = request
    this.#head = head
    this.#handler = handler
    this.#timer = setTimeout(
      () => this.#fail(Object.assign(new Error('connect timed out'), { code: 'ETIMEDOUT', syscall: 'connect' })),
      request.origin.connectTimeoutMs,
    )
  }

  /** False once there is a connection, or it is given up. */
  get isWaiting(): boolean {
    return !this.#settled && this.#socket === null
  }

  /** It is opened later, or gets the connection of another. */
  wait(): void {
    this.#inContext = AsyncLocalStorage.snapshot()
  }

  /** Opens a connection of its own. */
  open(): void {
    this.#socket = this.#inContext === null ? this.#connect() : this.#inContext(() => this.#connect())
    // After a late failure nobody listens any more.
    this.#socket.on('error', () => {})
  }

  #connect(): Socket {
    return this.#client.open(
      this.#request.origin.key,
      this.#request,
      (connection) => this.take(connection),
      (error) => this.#fail(error),
    )
  }

  /** Goes on over this connection. */
  take(connection: UpstreamConnection): void {
    if (this.#settled) return connection.destroy()
    this.#settled = true
    clearTimeout(this.#timer)
    this.#connection = connection
    connection.begin(this.#request, this.#head, this.#handler)
  }

  #fail(error: NodeJS.ErrnoException): void {
    if (this.#settled) return
    this.#settled = true
    clearTimeout(this.#timer)
    this.#socket?.destroy()
    this.#handler.onFailure(failureOf(error), { sent: false, reused: false }, error)
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
