/**
 * One stream of an HTTP/2 connection: a request and its answer. What `bytesSent` and `bytesReceived` count is what HTTP/1.1 would have taken, about: lines as
 * text before HPACK, bodies without the heads of their frames.
 *
 * Back-pressure is that of the stream's windows: a body that nobody reads fills its window, an answer that the client does not read fills the stream's buffer.
 */
import { constants, type ServerHttp2Stream } from 'node:http2'
import { type BodySink, collectBody } from '../http/body.ts'
import type { Downstream, Endpoint, IncomingBody, ProxiedConnection, TlsFacts } from '../http/exchange.ts'
import { hasNoBody } from '../http/h1/message-length.ts'
import { UnsafeHeadError } from '../http/h1/serialise.ts'
import type { HeaderList } from '../http/headers.ts'
import { BodyTimeoutError } from './client-body-error.ts'
import type { ConnectionHost } from './client-connection.ts'
import type { StreamHead } from './h2-head.ts'
import { bareRefusal } from './refusal.ts'

/** The connection as its streams see it. */
export interface H2Host {
  readonly host: ConnectionHost
  readonly peer: Endpoint
  readonly local: Endpoint
  readonly proxied: ProxiedConnection | null
  readonly tls: TlsFacts | null
  /** The stream is closed; `early`: before its answer was complete, and not because the upstream's broke off. */
  ended(exchange: H2Exchange, early: boolean): void
}

const NEVER = Number.POSITIVE_INFINITY
/** Bytes handed to the stream in one piece: how much of an answer a client must take within `send_timeout`. */
const PIECE_BYTES = 65_536
/** Fields that a response in HTTP/2 does not have (RFC 9113 section 8.2.2). */
const CONNECTION_FIELDS: ReadonlySet<string> = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'te',
])

/** Bytes beside name and value in a line of HTTP/1.1. */
const LINE_BYTES = 4
/** Frames that wait for a client that does not read; above it no hints are sent, which no window holds back. */
const MAX_QUEUED_FRAMES = 256

export class H2Exchange implements Downstream, IncomingBody {
  /** There is no switching in HTTP/2 (RFC 9113 section 8.6). */
  readonly switchProtocols = null
  readonly method: string
  readonly target: string
  readonly version = '2'
  readonly headers: HeaderList
  readonly framing: 'none' | 'length' | 'chunked'
  readonly length: number | null
  /** When the sweep has to act, by the host's clock. */
  deadlineMs = NEVER
  readonly #connection: H2Host
  readonly #stream: ServerHttp2Stream
  // The request's body.
  #bodyArrived: boolean
  #awaitsContinue: boolean
  #sink: BodySink | null = null
  #reading = false
  /** Somebody takes what comes. */
  #wantsBody = false
  // The answer.
  /** Pairs of the head, as long as it waits for the first bytes of the body. */
  #head: string[] | null = null
  #hasBody = false
  /** What the stream had no room for, in order. */
  #waiting: Buffer[] = []
  #full = false
  /** The whole answer was handed over, though the stream may still hold some of it. */
  #answered = false
  #cut = false
  #bytesReceived: number
  #bytesSent = 0
  #onDrain: (() => void) | null = null
  #onAbandoned: (() => void) | null = null

  constructor(connection: H2Host, stream: ServerHttp2Stream, head: StreamHead) {
    this.#connection = connection
    this.#stream = stream
    this.method = head.method
    this.target = head.target
    this.headers = head.headers
    this.framing = head.framing
    this.length = head.length
    this.#bytesReceived = head.bytes
    this.#bodyArrived = head.framing === 'none'
    this.#awaitsContinue = !this.#bodyArrived && head.headers.get('expect')?.toLowerCase() === '100-continue'
    stream.on('drain', () => this.#drained())
    stream.on('aborted', () => this.left())
    stream.once('close', () => {
      this.left()
      connection.ended(this, !this.#answered && !this.#cut)
    })
    if (!this.#bodyArrived) stream.on('trailers', (_headers, _flags, raw: readonly string[]) => this.#checkTrailers(raw))
    // Ends the readable side, which would otherwise keep the stream from closing.
    if (this.#bodyArrived) stream.resume()
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

  get body(): IncomingBody {
    return this
  }

  get bytesReceived(): number {
    return this.#bytesReceived
  }

  get bytesSent(): number {
    return this.#bytesSent
  }

  // ------------------------------------------------------------------------------------------------------------------------- the request's body

  collect(limitBytes: number): Promise<{ readonly bytes: Buffer; readonly complete: boolean }> {
    return collectBody(this, limitBytes)
  }

  read(sink: BodySink): void {
    if (this.#bodyArrived) return sink.onEnd()
    if (this.#gone) return sink.onError(new Error('the client left'))
    this.#sink = sink
    if (this.#awaitsContinue) {
      this.#awaitsContinue = false
      if (!this.#stream.headersSent) this.#stream.additionalHeaders({ ':status': 100 })
    }
    if (!this.#reading) {
      this.#reading = true
      this.#stream.on('data', (chunk: Buffer) => this.#receive(chunk))
      this.#stream.on('end', () => this.#arrived())
    }
    this.resume()
  }

  resume(): void {
    if (this.#bodyArrived || this.#sink === null) return
    this.#wantsBody = true
    this.#awaitBody()
    this.#stream.resume()
  }

  discard(): void {
    this.#sink = null
    this.#hold()
  }

  /** Stops reading: the stream's window fills, and the client has to wait. Its time does not run meanwhile. */
  #hold(): void {
    this.#wantsBody = false
    if (!this.#bodyArrived && !this.#gone) this.#stream.pause()
    if (!this.#answered && !this.#full) this.deadlineMs = NEVER
  }

  #awaitBody(): void {
    if (this.#answered || this.#full) return
    const { host } = this.#connection
    this.deadlineMs = host.nowMs + host.options.deadlines.bodyMs
  }

  #receive(chunk: Buffer): void {
    this.#bytesReceived += chunk.length
    // What is left of a body after its answer is read into nothing.
    if (this.#answered) return
    if (this.#sink === null || !this.#sink.onChunk(chunk)) this.#hold()
    else this.#awaitBody()
  }

  /** Trailers are dropped. Those that tell a length after the fact make the request malformed, as in HTTP/1.1. */
  #checkTrailers(raw: readonly string[]): void {
    if (raw.some((name, i) => i % 2 === 0 && name === 'content-length')) this.#reset(constants.NGHTTP2_PROTOCOL_ERROR)
  }

  #arrived(): void {
    // Also the end of a stream that was reset.
    if (this.#stream.aborted || this.#bodyArrived) return
    this.#bodyArrived = true
    if (!this.#answered && !this.#full) this.deadlineMs = NEVER
    const sink = this.#sink
    this.#sink = null
    sink?.onEnd()
  }

  // ---------------------------------------------------------------------------------------------------------------------------------- the answer

  respond(status: number, reason: string | undefined, headers: HeaderList, body: Uint8Array): void {
    this.sendHead(status, reason, headers)
    if (body.length > 0) this.write(body)
    this.end()
  }

  /** An answer to a head that is not served; nothing of it is in the answer. */
  refuse(status: number, message: string | undefined): void {
    const { headers, body } = bareRefusal(this.#connection.host, this, status, message)
    headers.add('Content-Length', String(body.length))
    this.respond(status, undefined, headers, body)
  }

  sendHead(status: number, _reason: string | undefined, headers: HeaderList): void {
    const { host } = this.#connection
    if (status < 200 || status > 599) throw new UnsafeHeadError('the status is not one of a final response in HTTP/2')
    const unsafe = headers.unsafeName()
    if (unsafe !== undefined) throw new UnsafeHeadError(`the header ${JSON.stringify(unsafe)} holds what may not stand in a head`)
    if (!headers.has('date')) headers.add('Date', host.date)
    this.#hasBody = !hasNoBody(status, this.method) && status !== 205
    const head: string[] = [':status', String(status)]
    for (let i = 0; i < headers.size; i++) {
      const { lower } = headers.nameAt(i)
      if (CONNECTION_FIELDS.has(lower) || (status === 205 && lower === 'content-length')) continue
      const value = headers.valueAt(i)
      head.push(lower, value)
      this.#bytesSent += lower.length + value.length + LINE_BYTES
    }
    this.#head = head
    if (this.#wantsBody) this.#awaitBody()
    else this.deadlineMs = NEVER
  }

  sendEarlyHints(headers: HeaderList): void {
    if (this.#gone || (this.#stream.session?.state.outboundQueueSize ?? 0) > MAX_QUEUED_FRAMES) return
    const lines: Record<string, string | string[]> = Object.create(null)
    lines[':status'] = '103'
    for (const [name, values] of linesByName(headers)) {
      lines[name] = values
      for (const value of values) this.#bytesSent += name.length + value.length + LINE_BYTES
    }
    this.#stream.additionalHeaders(lines)
  }

  write(chunk: Uint8Array): boolean {
    if (!this.#hasBody || chunk.length === 0 || this.#gone) return true
    this.flush()
    this.#bytesSent += chunk.length
    // The chunk is lent, and the stream keeps what its window has no room for.
    const copy = Buffer.from(chunk)
    for (let at = 0; at < copy.length; at += PIECE_BYTES) this.#waiting.push(copy.subarray(at, at + PIECE_BYTES))
    this.#send()
    return !this.#full
  }

  /** Gives the stream what it has room for. */
  #send(): void {
    while (!this.#full && this.#waiting.length > 0) {
      const piece = this.#waiting.shift() as Buffer
      if (this.#stream.write(piece)) continue
      this.#full = true
      this.#awaitReader()
    }
    if (this.#answered && this.#waiting.length === 0) this.#endStream()
  }

  /** A client that does not read has a deadline of its own. */
  #awaitReader(): void {
    const { host } = this.#connection
    this.deadlineMs = host.nowMs + host.options.deadlines.sendMs
  }

  /** Sends a head that still waits: for whoever has no body at hand yet. */
  flush(): void {
    this.#sendHeaders(false)
  }

  #sendHeaders(endStream: boolean): void {
    const head = this.#head
    this.#head = null
    if (head !== null && !this.#gone) this.#stream.respond(head, { endStream })
  }

  end(): void {
    if (this.#answered) return
    this.#answered = true
    this.#onAbandoned = null
    this.#awaitReader()
    if (this.#gone) return
    if (this.#head !== null) this.#sendHeaders(true)
    if (this.#waiting.length === 0) this.#endStream()
  }

  #endStream(): void {
    if (this.#gone) return
    if (!this.#stream.writableEnded) this.#stream.end()
    // Nobody wants what is left of the body (RFC 9113 section 8.1). Goes out when the answer has.
    if (this.#bodyArrived) return
    this.#stream.close(constants.NGHTTP2_NO_ERROR)
    // Node.js keeps a stream for as long as something of it is unread.
    this.#sink = null
    this.#stream.resume()
  }

  onDrain(listener: () => void): void {
    this.#onDrain = listener
  }

  #drained(): void {
    this.#full = false
    if (this.#answered) this.#awaitReader()
    else this.deadlineMs = NEVER
    this.#send()
    if (this.#full || this.#answered) return
    if (this.#wantsBody) this.#awaitBody()
    const listener = this.#onDrain
    this.#onDrain = null
    listener?.()
  }

  abort(): void {
    this.#onAbandoned = null
    this.#cut = true
    this.#waiting = []
    this.#reset(constants.NGHTTP2_INTERNAL_ERROR)
  }

  /**
   * RST_STREAM instead of an end. `close` would end the writable side first, and Node.js would send that as END_STREAM before the reset: a truncated answer would
   * look complete. A side that has nothing to do at its end sends nothing.
   */
  #reset(code: number): void {
    if (this.#stream.destroyed) return
    this.#stream._final = (done) => done()
    this.#stream.close(code)
  }

  onAbandoned(listener: () => void): void {
    this.#onAbandoned = listener
  }

  /** The stream takes nothing more: it was reset, or its connection is gone. */
  get #gone(): boolean {
    return this.#stream.closed || this.#stream.destroyed
  }

  /** The stream is gone. */
  left(): void {
    const sink = this.#sink
    this.#sink = null
    this.#waiting = []
    if (!this.#bodyArrived) sink?.onError(new Error('the client left'))
    const listener = this.#onAbandoned
    this.#onAbandoned = null
    if (!this.#answered && !this.#cut) listener?.()
  }

  /** The body came too slowly, or the answer is not read. */
  expire(): void {
    this.deadlineMs = NEVER
    const sink = this.#sink
    if (this.#answered || this.#full || sink === null) return this.#reset(constants.NGHTTP2_CANCEL)
    this.#sink = null
    this.#hold()
    sink.onError(new BodyTimeoutError())
  }
}

/** Lines of a head by their names, those of a connection left out. */
function linesByName(headers: HeaderList): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (let i = 0; i < headers.size; i++) {
    const { lower } = headers.nameAt(i)
    if (CONNECTION_FIELDS.has(lower)) continue
    const values = found.get(lower)
    if (values === undefined) found.set(lower, [headers.valueAt(i)])
    else values.push(headers.valueAt(i))
  }
  return found
}
