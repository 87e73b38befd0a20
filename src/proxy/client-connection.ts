/**
 * One connection of a client: HTTP/1.0 and 1.1 over a plain socket or TLS, one request after the other (RFC 9112 section 9.3.2).
 *
 *            ┌─────────────────── answered, body arrived, connection kept ───────────────────┐
 *            v                                                                               │
 *          idle ──first byte──> head ──complete──> exchange ──answered, body still coming──> drain
 *            │                   │                    │                                      │
 *            │ keepalive_timeout │ violation, slow    │ answer closes; client breaks rules   │ 64 KiB or lingering_timeout
 *            v                   v                    v                                      v
 *          closed <────────── lingering: our side is shut, what comes is read and dropped for a while ──> closed
 *
 * Bytes that belong to no request yet wait in `#pending`; the socket is paused while an exchange has its whole body and more comes, so that a client can make
 * little more wait than one read. After an answer that closes, nothing further of the connection is parsed: what stands behind a refused request can never be
 * taken for a request of its own.
 *
 * An exchange may end with a switch of protocols instead (`tunnel`): the connection is then only a stream of somebody else's bytes.
 *
 * Deadlines are looked at by the front's sweep, a few times a second: a connection only stores when its time is up.
 */
import type { Socket } from 'node:net'
import { type BodySink, collectBody } from '../http/body.ts'
import type { ConnectionFacts, Downstream, Endpoint, IncomingBody, ProxiedConnection, TlsFacts } from '../http/exchange.ts'
import { GatheredWriter } from '../http/gathered-writer.ts'
import { ChunkedDecoder, chunkHead, LAST_CHUNK, MALFORMED, NEED_MORE } from '../http/h1/chunked.ts'
import type { HeadLimits, RequestHead } from '../http/h1/head.ts'
import { endsInBlankLine, findHeadEnd, parseRequestHead, partialRequestViolation } from '../http/h1/head.ts'
import { CHUNKED, hasNoBody, lengthOf, type MessageLength, NO_BODY, UNTIL_CLOSE } from '../http/h1/message-length.ts'
import { keepsAlive } from '../http/h1/persistence.ts'
import { joined, responseText, UnsafeHeadError } from '../http/h1/serialise.ts'
import { isViolation } from '../http/h1/violation.ts'
import { fieldName, type HeaderList } from '../http/headers.ts'
import type { Capacity } from './capacity.ts'
import { BodyTimeoutError, type ClientBodyError, MalformedBodyError } from './client-body-error.ts'
import { plainAddress } from './forwarded.ts'
import { type BadRequest, bareRefusal } from './refusal.ts'
import type { ShownHeaders } from './runtime.ts'

/** Deadlines of the front, milliseconds. */
export interface FrontDeadlines {
  /** For a whole head, from its first byte. */
  readonly headMs: number
  /** Between two reads of a body. */
  readonly bodyMs: number
  /** Between two writes of an answer that the client does not read. */
  readonly sendMs: number
  /** For an idle connection. */
  readonly keepaliveMs: number
  /** For which what is left of a refused body is read and dropped. */
  readonly lingeringMs: number
}

/** What a front is told; the same for all its connections. */
export interface FrontOptions {
  readonly limits: HeadLimits
  readonly deadlines: FrontDeadlines
  /** What all listeners of the worker take on together. */
  readonly capacity: Capacity
  /** Requests after which a connection is closed. */
  readonly maxRequests: number
  readonly handle: (downstream: Downstream) => void
  /** A connection whose bytes were no request: for the log. */
  readonly onBadRequest: (bad: BadRequest) => void
  /** A TLS handshake came to nothing: for the log. `reason` is a code of Node.js or OpenSSL. */
  readonly onHandshakeFailed: (reason: string, peer: string) => void
  /** Connections begin with a header of the PROXY protocol; those without are closed. */
  readonly proxyProtocol: boolean
  /** A connection was closed for want of that header: for the log. */
  readonly onProxyHeaderRefused: (reason: string, peer: string) => void
  /** A client of HTTP/2 reset more streams than it may: for the log. */
  readonly onFlood: (peer: string) => void
  /** A connection in clear may begin with HTTP/2. */
  readonly priorKnowledge: boolean
  /** Streams of one HTTP/2 connection at a time. */
  readonly maxConcurrentStreams: number
  readonly product: string
  readonly shown: ShownHeaders
  readonly errorDefaultType: string
}

/** What all connections of a front share. */
export interface ConnectionHost {
  readonly options: FrontOptions
  readonly counters: { requests: number }
  /** Every answer closes its connection. */
  readonly draining: boolean
  /** Milliseconds, advanced by the sweep. */
  readonly nowMs: number
  /** Value of `Date`, advanced once a second. */
  readonly date: string
  onClosed(connection: FrontConnection): void
}

/** What the steps before the first request have found out. */
export interface ArrivalFacts {
  /** What the handshake came to; null for a connection in clear. */
  readonly tls: TlsFacts | null
  /** What the PROXY header says; null where there is none, or none of an address. */
  readonly proxied: ProxiedConnection | null
}

/** A connection as the front keeps it, whatever it speaks. */
export interface FrontConnection {
  /** When the sweep has to act, by the host's clock. */
  readonly deadlineMs: number
  /** No request is under way. */
  readonly isIdle: boolean
  /** The head of a request, or what goes before it, is coming in. */
  readonly isReading: boolean
  /** Since when it is idle or reading, by the host's clock. */
  readonly sinceMs: number
  /** The sweep found the deadline passed. */
  expire(): void
  /** The front began to drain: what is under way is the last. Absent where the protocol cannot say so before its next answer does. */
  drain?(): void
  /** Cuts the connection. */
  destroy(): void
}

/** The answer to a connection that is turned away. */
const TOO_MANY_CONNECTIONS = 'Too many connections'
/** A refused body is read on for at most this many bytes. */
const DISCARD_BYTES = 65_536
const CONNECTION = fieldName('Connection')
const DATE = fieldName('Date')
const EMPTY = Buffer.alloc(0)
const NEVER = Number.POSITIVE_INFINITY

/** Connections of this process so far: all listeners share the count. */
const connections = { count: 0 }

type State = 'idle' | 'head' | 'exchange' | 'drain' | 'lingering' | 'tunnel' | 'closed'

export class ClientConnection implements FrontConnection {
  readonly version = '1.1'
  readonly host: ConnectionHost
  readonly socket: Socket
  /** All that is sent goes through it, in order. */
  readonly writer: GatheredWriter
  readonly peer: Endpoint
  readonly local: Endpoint
  readonly proxied: ProxiedConnection | null
  /** Null for a connection in clear. */
  readonly tls: TlsFacts | null
  /** When the sweep has to act, by the host's clock. */
  deadlineMs: number
  /** Why every request is refused, or null. */
  readonly #refusal: string | null
  #state: State = 'idle'
  sinceMs: number
  #pending: Buffer = EMPTY
  /** Where the search for the end of a head goes on. */
  #searched = 0
  /** For names of requests that tell connections apart. */
  readonly serial = ++connections.count
  #requests = 0
  #exchange: Exchange | null = null
  #paused = false
  #dropped = 0
  /** How long a client may take to read what is left of the last answer. */
  #sendUntilMs = 0

  /**
   * @param facts   what is known of the connection before its first request
   * @param refusal message of the 400 that the first request gets, whatever it is; null to serve
   */
  constructor(host: ConnectionHost, socket: Socket, { tls, proxied }: ArrivalFacts, refusal: string | null = null) {
    this.host = host
    this.socket = socket
    this.writer = new GatheredWriter(socket, () => this.#readerCameBack())
    this.tls = tls
    this.proxied = proxied
    this.#refusal = refusal
    this.peer = { address: plainAddress(socket.remoteAddress ?? ''), port: socket.remotePort ?? 0 }
    this.local = { address: plainAddress(socket.localAddress ?? ''), port: socket.localPort ?? 0 }
    this.sinceMs = host.nowMs
    this.deadlineMs = host.nowMs + host.options.deadlines.headMs
    socket.on('end', () => this.#clientEnded())
    socket.on('error', () => socket.destroy())
    socket.on('close', () => this.#closed())
  }

  get isIdle(): boolean {
    return this.#state === 'idle' && this.writer.isEmpty
  }

  get isReading(): boolean {
    return this.#state === 'head'
  }

  // ------------------------------------------------------------------------------------------------------------------------------- what comes in

  /** Bytes from the socket; lent for this call only. */
  receive(chunk: Buffer): void {
    if (this.#state === 'lingering' || this.#state === 'tunnel' || this.#state === 'closed') return
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk])
    this.#advance()
    // Lent bytes are kept only as a copy.
    if (this.#pending.length > 0 && this.#pending.buffer === chunk.buffer) this.#pending = Buffer.from(this.#pending)
  }

  /** Its socket is somebody else's. */
  get isReleased(): boolean {
    return this.#state === 'tunnel'
  }

  /** Goes as far as the bytes at hand allow. */
  #advance(): void {
    for (;;) {
      if (this.#state === 'idle' || this.#state === 'head') {
        if (!this.#readHead()) return
      } else if (this.#exchange !== null && !this.#exchange.bodyArrived) {
        const before = this.#pending.length
        if (before === 0 || !this.#exchange.wantsBody) return this.#holdIf(before > 0)
        this.#pending = this.#pending.subarray(this.#exchange.feed(this.#pending))
        if (this.#pending.length === before) return
      } else return this.#holdIf(this.#pending.length > 0)
    }
  }

  /** The socket takes bytes again. */
  #readerCameBack(): void {
    if (this.#exchange !== null) return this.#exchange.drained()
    if (this.#state !== 'idle') return
    this.sinceMs = this.host.nowMs
    this.deadlineMs = this.host.nowMs + this.host.options.deadlines.keepaliveMs
    this.#holdIf(false)
    this.#advance()
  }

  /** Stops reading while nobody can use what comes. */
  #holdIf(full: boolean): void {
    if (full === this.#paused || this.#state === 'closed') return
    this.#paused = full
    if (full) this.socket.pause()
    else this.socket.resume()
  }

  /** Reads one head and begins its exchange; false when more bytes are needed or nothing more is to be read. */
  #readHead(): boolean {
    const { limits, deadlines } = this.host.options
    // One empty line before a request is forgiven (RFC 9112 section 2.2).
    if (this.#state === 'idle') {
      if (this.#pending.length >= 2 && this.#pending[0] === 13 && this.#pending[1] === 10) this.#pending = this.#pending.subarray(2)
      if (this.#pending.length === 0) return false
      // Who sends requests without reading the answers would have them pile up here.
      if (this.writer.isFull) {
        this.deadlineMs = this.host.nowMs + deadlines.sendMs
        this.#holdIf(true)
        return false
      }
      this.#state = 'head'
      this.sinceMs = this.host.nowMs
      this.#searched = 0
      this.deadlineMs = this.host.nowMs + deadlines.headMs
    }
    const end = endsInBlankLine(this.#pending, 0) ? this.#pending.length : findHeadEnd(this.#pending, 0, this.#searched)
    if (end === -1) {
      const violation = partialRequestViolation(this.#pending, 0, this.#searched, limits)
      this.#searched = this.#pending.length
      if (violation !== undefined) this.#refuse(violation.status, violation.message)
      return false
    }
    const head = parseRequestHead(this.#pending, 0, end, limits)
    if (isViolation(head)) {
      this.#refuse(head.status, head.message)
      return false
    }
    if (this.#refusal !== null) {
      this.#refuse(400, this.#refusal, head.headers)
      return false
    }
    this.#pending = head.end === this.#pending.length ? EMPTY : this.#pending.subarray(head.end)
    this.#begin(head)
    return true
  }

  get requests(): number {
    return this.#requests
  }

  #begin(head: RequestHead): void {
    this.#state = 'exchange'
    this.deadlineMs = NEVER
    this.#requests++
    this.host.counters.requests++
    const exchange = new Exchange(this, head)
    this.#exchange = exchange
    this.host.options.handle(exchange)
  }

  /** Called by the exchange when it wants its body, or wants more of it. */
  pump(): void {
    if (this.#paused) this.#holdIf(false)
    this.#advance()
  }

  // ------------------------------------------------------------------------------------------------------------------------ between two requests

  /** Whether the answer under way has to be the connection's last. */
  get mustClose(): boolean {
    return this.host.draining || this.#requests >= this.host.options.maxRequests
  }

  /** The exchange has been answered completely. */
  answered(exchange: Exchange, closes: boolean): void {
    if (this.#exchange !== exchange || this.#state === 'closed') return
    if (closes) return this.linger()
    if (exchange.bodyArrived) return this.#next()
    this.#state = 'drain'
    this.#dropped = 0
    this.deadlineMs = this.host.nowMs + this.host.options.deadlines.lingeringMs
    exchange.drop(
      () => this.#drained(),
      (bytes) => this.#countDropped(bytes),
    )
    this.pump()
  }

  #countDropped(bytes: number): void {
    this.#dropped += bytes
    if (this.#dropped > DISCARD_BYTES) this.linger()
  }

  #drained(): void {
    if (this.#state === 'drain') this.#next()
  }

  #next(): void {
    this.#exchange = null
    this.#state = 'idle'
    this.sinceMs = this.host.nowMs
    this.deadlineMs = this.host.nowMs + this.host.options.deadlines.keepaliveMs
    if (this.#paused) this.#holdIf(false)
    // Bytes of a pipelined request; not from within the exchange that has just ended.
    if (this.#pending.length > 0) queueMicrotask(() => this.#advance())
  }

  // -------------------------------------------------------------------------------------------------------------------------------------- endings

  /** There are too many connections: says so, reads nothing. */
  turnAway(): void {
    this.#refuse(503, TOO_MANY_CONNECTIONS)
  }

  /** A complete answer to bytes that were no request, or none for us; nothing of them is in it. */
  #refuse(status: number, message?: string, head: HeaderList | null = null): void {
    const { headers, body } = bareRefusal(this.host, this, status, message, head)
    this.writer.write(joined(responseText(status, undefined, headers, lengthOf(body.length)), body, ''))
    this.linger()
  }

  /**
   * Shuts our side and reads on for a while: closing with unread bytes would make the system send a reset, which can take our answer away from a client that
   * is still sending (RFC 9112 section 9.6).
   */
  linger(): void {
    if (this.#state === 'lingering' || this.#state === 'closed') return
    this.#state = 'lingering'
    this.#pending = EMPTY
    const { lingeringMs, sendMs } = this.host.options.deadlines
    this.deadlineMs = this.host.nowMs + lingeringMs
    this.#sendUntilMs = this.host.nowMs + sendMs
    this.writer.end()
    this.#holdIf(false)
  }

  /** Gives the socket away, with the bytes that came and belong to no request. Nothing here reads or ends it any more. */
  release(): Socket {
    this.#state = 'tunnel'
    this.deadlineMs = NEVER
    this.socket.pause()
    if (this.#pending.length > 0) this.socket.unshift(Buffer.from(this.#pending))
    this.#pending = EMPTY
    return this.socket
  }

  /** Cuts the connection. */
  destroy(): void {
    this.socket.destroy()
  }

  /** The client closed its side: to a proxy that is the same as leaving. */
  #clientEnded(): void {
    if (this.#state === 'tunnel') return
    if (this.#state === 'lingering' || this.#exchange === null) this.writer.end()
    else this.socket.destroy()
  }

  #closed(): void {
    const exchange = this.#exchange
    this.#state = 'closed'
    this.#exchange = null
    this.#pending = EMPTY
    this.writer.drop()
    exchange?.left()
    this.host.onClosed(this)
  }

  /** The sweep found the deadline passed. */
  expire(): void {
    switch (this.#state) {
      case 'head':
        return this.#refuse(408)
      case 'exchange':
        return this.#exchange?.expire()
      case 'lingering':
        if (this.writer.isEmpty || this.host.nowMs >= this.#sendUntilMs) return this.destroy()
        this.deadlineMs = this.host.nowMs + this.host.options.deadlines.lingeringMs
        return
      default:
        return this.destroy()
    }
  }
}

// ------------------------------------------------------------------------------------------------------------------------------------- exchange

/** How the answer's body is framed. */
type AnswerFraming = MessageLength['kind']

/** One request and its answer. */
class Exchange implements Downstream, IncomingBody {
  readonly method: string
  readonly target: string
  readonly version: '1.0' | '1.1'
  readonly headers: HeaderList
  readonly framing: 'none' | 'length' | 'chunked'
  readonly length: number | null
  readonly #connection: ClientConnection
  readonly #keepsAlive: boolean
  #awaitsContinue: boolean
  // The request's body.
  bodyArrived: boolean
  /** Somebody takes what comes. */
  wantsBody = false
  #left: number
  #decoder: ChunkedDecoder | null
  #sink: BodySink | null = null
  // The answer.
  #answer: AnswerFraming = 'none'
  /** Head that waits for the first bytes of the body, so that both go out in one write. */
  #head: string | null = null
  #closes = false
  #answered = false
  #bytesReceived: number
  /** After a switch of protocols: the socket, and its counters at that moment. */
  #tunnel: { readonly socket: Socket; readonly received: number; readonly sent: number } | null = null
  #bytesSent = 0
  #onDrain: (() => void) | null = null
  #onAbandoned: (() => void) | null = null

  constructor(connection: ClientConnection, head: RequestHead) {
    const { headers, length } = head
    this.#connection = connection
    this.#bytesReceived = head.end
    this.method = head.method
    this.target = head.target
    this.version = head.minor === 1 ? '1.1' : '1.0'
    this.headers = headers
    this.framing = length.kind === 'chunked' ? 'chunked' : length.bytes > 0 ? 'length' : 'none'
    this.length = length.kind === 'chunked' ? null : length.bytes
    this.bodyArrived = this.framing === 'none'
    this.#left = this.length ?? 0
    this.#decoder = this.framing === 'chunked' ? new ChunkedDecoder() : null
    this.#keepsAlive = keepsAlive(headers, head.minor)
    this.#awaitsContinue = head.minor === 1 && this.framing !== 'none' && headers.get('expect')?.toLowerCase() === '100-continue'
  }

  get peer(): Endpoint {
    return this.#connection.peer
  }

  get local(): Endpoint {
    return this.#connection.local
  }

  get proxied(): ProxiedConnection | null {
    return this.#connection.proxied
  }

  get tls(): TlsFacts | null {
    return this.#connection.tls
  }

  get connection(): ConnectionFacts {
    return this.#connection
  }

  get body(): IncomingBody {
    return this
  }

  get bytesReceived(): number {
    return this.#tunnel === null ? this.#bytesReceived : this.#bytesReceived + this.#tunnel.socket.bytesRead - this.#tunnel.received
  }

  get bytesSent(): number {
    return this.#tunnel === null ? this.#bytesSent : this.#tunnel.socket.bytesWritten - this.#tunnel.sent
  }

  // ------------------------------------------------------------------------------------------------------------------------- the request's body

  collect(limitBytes: number): Promise<{ readonly bytes: Buffer; readonly complete: boolean }> {
    return collectBody(this, limitBytes)
  }

  read(sink: BodySink): void {
    if (this.bodyArrived) return sink.onEnd()
    this.#sink = sink
    this.wantsBody = true
    if (this.#awaitsContinue) {
      this.#awaitsContinue = false
      this.#connection.writer.write('HTTP/1.1 100 Continue\r\n\r\n')
    }
    this.#awaitBody()
    this.#connection.pump()
  }

  resume(): void {
    if (this.bodyArrived || this.#sink === null) return
    this.wantsBody = true
    this.#awaitBody()
    this.#connection.pump()
  }

  discard(): void {
    this.#sink = null
  }

  #awaitBody(): void {
    const { host } = this.#connection
    if (!this.#answered) this.#connection.deadlineMs = host.nowMs + host.options.deadlines.bodyMs
  }

  /** The answer has no deadline of its own; a body that is waited for keeps its. */
  #relax(): void {
    if (this.wantsBody && !this.bodyArrived) this.#awaitBody()
    else this.#connection.deadlineMs = NEVER
  }

  /** Takes bytes of the body; answers how many. */
  feed(bytes: Buffer): number {
    const taken = this.#decoder === null ? this.#feedLength(bytes) : this.#feedChunked(this.#decoder, bytes)
    this.#bytesReceived += taken
    return taken
  }

  #feedLength(bytes: Buffer): number {
    const size = Math.min(bytes.length, this.#left)
    this.#left -= size
    const last = this.#left === 0
    this.bodyArrived = last
    this.#push(size === bytes.length ? bytes : bytes.subarray(0, size), last)
    return size
  }

  #feedChunked(decoder: ChunkedDecoder, bytes: Buffer): number {
    const next = decoder.feed(bytes, 0, bytes.length, this)
    if (next === NEED_MORE) return bytes.length
    if (next === MALFORMED) {
      this.#fail(new MalformedBodyError(400))
      return bytes.length
    }
    this.bodyArrived = true
    this.#push(EMPTY, true)
    return next
  }

  /** Data of a chunk, from the decoder. */
  data(bytes: Buffer): void {
    this.#push(bytes, false)
  }

  #push(chunk: Buffer, last: boolean): void {
    const sink = this.#sink
    if (chunk.length > 0 && sink !== null && !sink.onChunk(chunk)) this.wantsBody = false
    if (last) {
      if (!this.#answered) this.#connection.deadlineMs = NEVER
      this.#sink?.onEnd()
    } else if (this.wantsBody) this.#awaitBody()
    else if (!this.#answered) this.#connection.deadlineMs = NEVER
  }

  #fail(error: ClientBodyError): void {
    const sink = this.#sink
    this.#sink = null
    this.#closes = true
    this.bodyArrived = true
    if (sink === null) this.#connection.linger()
    else sink.onError(error)
  }

  /** Reads what is left into nothing. */
  drop(done: () => void, count: (bytes: number) => void): void {
    this.wantsBody = true
    this.#sink = {
      onChunk: (chunk) => {
        count(chunk.length)
        return true
      },
      onEnd: done,
      onError: () => this.#connection.linger(),
    }
  }

  // ---------------------------------------------------------------------------------------------------------------------------------- the answer

  respond(status: number, reason: string | undefined, headers: HeaderList, body: Uint8Array): void {
    this.sendHead(status, reason, headers)
    if (body.length > 0) this.write(body)
    this.end()
  }

  sendHead(status: number, reason: string | undefined, headers: HeaderList): void {
    if (status < 200) throw new UnsafeHeadError('the status is not one of a final response')
    const { host } = this.#connection
    const connection = headers.get('connection')
    // A body that nobody asked for by `100 Continue` may or may not follow; one that is too long to be read past is not read.
    this.#closes ||= this.#left > DISCARD_BYTES
    this.#closes ||= !this.#keepsAlive || this.#connection.mustClose || this.#awaitsContinue || connection?.toLowerCase() === 'close'
    const length = this.#lengthOf(status, headers)
    this.#answer = length.kind
    this.#closes ||= length.kind === 'until-close'
    if (!headers.has('date')) headers.addParsed(DATE, host.date)
    if (connection !== 'Upgrade') headers.setParsed(CONNECTION, this.#closes ? 'close' : 'keep-alive')
    this.#head = responseText(status, reason === '' ? undefined : reason, headers, length)
    this.#bytesSent += this.#head.length
    this.#relax()
  }

  sendEarlyHints(headers: HeaderList): void {
    const { writer } = this.#connection
    if (this.version === '1.0' || writer.isFull) return
    const text = responseText(103, undefined, headers, NO_BODY)
    this.#bytesSent += text.length
    writer.write(text)
  }

  #lengthOf(status: number, headers: HeaderList): MessageLength {
    if (hasNoBody(status, this.method)) return NO_BODY
    const declared = headers.get('content-length')
    if (declared !== undefined) return lengthOf(Number(declared))
    return this.version === '1.1' ? CHUNKED : UNTIL_CLOSE
  }

  write(chunk: Uint8Array): boolean {
    if (this.#answer === 'none' || chunk.length === 0) return true
    this.#bytesSent += chunk.length
    const chunked = this.#answer === 'chunked'
    const before = (this.#head ?? '') + (chunked ? chunkHead(chunk.length) : '')
    this.#head = null
    return this.#watch(this.#connection.writer.write(joined(before, chunk, chunked ? '\r\n' : '')))
  }

  /** A client that does not read has a deadline of its own. */
  #watch(taken: boolean): boolean {
    const { host } = this.#connection
    if (!taken) this.#connection.deadlineMs = host.nowMs + host.options.deadlines.sendMs
    return taken
  }

  /** Sends a head that still waits: for whoever has no body at hand yet. */
  flush(): void {
    if (this.#head === null) return
    this.#connection.writer.write(this.#head)
    this.#head = null
  }

  end(): void {
    if (this.#answered) return
    this.#answered = true
    const tail = this.#answer === 'chunked' ? LAST_CHUNK : ''
    const text = (this.#head ?? '') + tail
    this.#head = null
    if (text !== '') this.#connection.writer.write(text)
    this.#onAbandoned = null
    this.#connection.answered(this, this.#closes)
  }

  switchProtocols(reason: string | undefined, headers: HeaderList): Socket {
    headers.set('Connection', 'Upgrade')
    const head = responseText(101, reason, headers, NO_BODY)
    this.#answered = true
    this.#onAbandoned = null
    this.#connection.writer.write(head)
    this.#connection.writer.release()
    const socket = this.#connection.release()
    this.#tunnel = { socket, received: socket.bytesRead, sent: socket.bytesWritten - head.length }
    return socket
  }

  onDrain(listener: () => void): void {
    this.#onDrain = listener
  }

  drained(): void {
    if (this.#answered) return
    this.#relax()
    const listener = this.#onDrain
    this.#onDrain = null
    listener?.()
  }

  abort(): void {
    this.#onAbandoned = null
    this.#answered = true
    this.#connection.destroy()
  }

  onAbandoned(listener: () => void): void {
    this.#onAbandoned = listener
  }

  /** The connection is gone. */
  left(): void {
    const sink = this.#sink
    this.#sink = null
    if (!this.bodyArrived) sink?.onError(new Error('the client left'))
    const listener = this.#onAbandoned
    this.#onAbandoned = null
    if (!this.#answered) listener?.()
  }

  /** The body came too slowly, or the answer is not read. */
  expire(): void {
    if (!this.bodyArrived && this.wantsBody && this.#head === null && this.#sink !== null) {
      this.#connection.deadlineMs = NEVER
      this.#fail(new BodyTimeoutError())
    } else this.#connection.destroy()
  }
}
