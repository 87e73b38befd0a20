/**
 * The front: HTTP/1.0 and 1.1 over `node:http`, behind {@link Downstream}. The parser is llhttp in its strict mode; what it lets pass and we do not is in
 * head-checks.ts. States of one exchange:
 *
 *   head ──> handle(downstream) ──> respond                 (whole answer at hand)
 *                        └────────> sendHead > write* > end (streamed)
 *   at any time: abandoned (the client left), aborted (we cut the connection)
 *
 * The requests of one connection are served strictly one after the other (RFC 9112 section 9.3.2), although the parser runs ahead: see {@link Pipeline}. What
 * follows a request whose answer closes the connection is never served, so that nothing behind a refused request can be taken for a request of its own.
 */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import { Server as NetServer } from 'node:net'
import { Readable } from 'node:stream'
import type { Downstream, Endpoint, IncomingBody } from '../http/exchange.ts'
import { HeaderList } from '../http/headers.ts'
import { renderFailure } from './error-responses.ts'
import { plainAddress } from './forwarded.ts'

/** Limits and deadlines of the front; all that a client can make grow. Bytes and milliseconds. */
export interface FrontLimits {
  readonly headBytes: number
  readonly headTimeoutMs: number
  /** Between two reads of a body. */
  readonly bodyTimeoutMs: number
  /** Between two writes of an answer that the client does not read. */
  readonly sendTimeoutMs: number
  readonly keepaliveTimeoutMs: number
  readonly keepaliveRequests: number
  /** Time for which the rest of a refused body is read and dropped. */
  readonly lingeringTimeoutMs: number
}

/** Counters of one front, as the Status API shows them. */
export interface FrontCounters {
  accepted: number
  active: number
  requests: number
}

export interface Front {
  readonly server: Server
  readonly counters: FrontCounters
  /**
   * No new connections; every answer closes its connection. Resolves when the last one is closed. A connection that is idle stays open for a moment: its next
   * request may be on the way already, and would be lost.
   */
  drain(): Promise<void>
}

export interface FrontOptions {
  readonly limits: FrontLimits
  readonly handle: (downstream: Downstream) => void
  /** A connection whose bytes were no request: for the log. */
  readonly onBadRequest: (status: number, peer: string, requestId: string) => void
  /** `Server` header of answers made here. */
  readonly product: string
  /** Which of our own headers these answers have. */
  readonly shown: { readonly server: boolean; readonly responseLatency: boolean; readonly requestId: boolean }
  readonly errorDefaultType: string
}

/** A refused body is read on for at most this many bytes before the connection is closed. */
const DISCARD_BYTES = 65_536
/** How long an idle connection stays open while draining. */
const DRAIN_GRACE_MS = 300

export function createFront(options: FrontOptions): Front {
  const { limits } = options
  const counters: FrontCounters = { accepted: 0, active: 0, requests: 0 }
  const front: MutableFront = { counters, draining: false, options }
  const pipelines = new WeakMap<object, Pipeline>()
  const server = createServer({
    maxHeaderSize: limits.headBytes,
    headersTimeout: limits.headTimeoutMs,
    // Bodies have a deadline between reads instead (client_body_timeout), so that long uploads may take their time.
    requestTimeout: 0,
    keepAliveTimeout: limits.keepaliveTimeoutMs,
    connectionsCheckingInterval: Math.max(250, Math.min(5_000, Math.floor(limits.headTimeoutMs / 4))),
    requireHostHeader: false,
    insecureHTTPParser: false,
    joinDuplicateHeaders: false,
    noDelay: true,
  })
  server.maxHeadersCount = 0
  server.maxRequestsPerSocket = limits.keepaliveRequests
  server.on('connection', (socket: Socket) => {
    counters.accepted++
    counters.active++
    socket.once('close', () => counters.active--)
    pipelines.set(socket, new Pipeline(front, socket))
  })
  const begin = (incoming: IncomingMessage, outgoing: ServerResponse, expectsContinue: boolean): void => {
    pipelines.get(incoming.socket)?.accept({ incoming, outgoing, expectsContinue })
  }
  server.on('request', (incoming, outgoing) => begin(incoming, outgoing, false))
  server.on('checkContinue', (incoming, outgoing) => begin(incoming, outgoing, true))
  server.on('checkExpectation', (incoming, outgoing) => begin(incoming, outgoing, false))
  server.on('connect', (_incoming, socket) => pipelines.get(socket)?.refuse(405))
  server.on('clientError', (error: ParseError, socket) => {
    const pipeline = pipelines.get(socket)
    if (error.code === 'ECONNRESET' || pipeline === undefined) socket.destroy()
    // The answer that ends the connection is on its way; what still comes is read and dropped until the client has it.
    else if (pipeline.ended) return
    else if (!socket.writable) socket.destroy()
    else if (error.code === 'HPE_CLOSED_CONNECTION') pipeline.end()
    else pipeline.refuse(statusOf(error))
  })
  return {
    server,
    counters,
    drain() {
      front.draining = true
      return new Promise((resolve) => {
        const sweep = setInterval(() => server.closeIdleConnections(), DRAIN_GRACE_MS)
        // The close of an HTTP server would end idle connections at once.
        NetServer.prototype.close.call(server, () => {
          clearInterval(sweep)
          resolve()
        })
      })
    },
  }
}

interface MutableFront {
  readonly counters: FrontCounters
  readonly options: FrontOptions
  draining: boolean
}

type ParseError = NodeJS.ErrnoException & { readonly rawPacket?: Buffer }

/** A request as the parser gave it, with the way to answer it. */
interface ParsedRequest {
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
  readonly expectsContinue: boolean
}

/**
 * The requests of one connection. The parser hands over a pipelined request while the one before it is still being served; here it waits, and the socket is
 * not read meanwhile, so that a client can make no more wait than one read of the socket holds.
 *
 *   accept ──> served ──> done ──> next, or refusal of bytes that were no request, or idle
 *                └── its answer closes the connection, or its body is malformed: what waits is dropped
 */
class Pipeline {
  readonly #front: MutableFront
  readonly #socket: Socket
  #waiting: ParsedRequest[] = []
  #current: NodeDownstream | null = null
  /** The last one served; its body may still be read and dropped. */
  #last: NodeDownstream | null = null
  #ending = false
  /** Status for bytes that were no request; they are answered when their turn comes. */
  #refusal: number | null = null

  constructor(front: MutableFront, socket: Socket) {
    this.#front = front
    this.#socket = socket
  }

  accept(request: ParsedRequest): void {
    if (this.#ending || this.#refusal !== null) return
    if (this.#current === null) return this.#serve(request)
    this.#waiting.push(request)
    this.#socket.pause()
  }

  /** True once nothing further of this connection is served. */
  get ended(): boolean {
    return this.#ending
  }

  /** Nothing further of this connection is served. */
  end(): void {
    this.#ending = true
    this.#waiting = []
  }

  /** Bytes that were no request, or a body that breaks the rules of its framing. */
  refuse(status: number): void {
    if (this.#ending || this.#refusal !== null) return
    this.#refusal = status
    if (this.#current === null) {
      if (this.#last?.body.arrived === false) this.#last.body.giveUp()
      else this.#refuseNow(status)
    } else if (this.#waiting.length === 0 && !this.#current.body.arrived) this.#current.body.fail(new MalformedBodyError(status))
    else if (this.#waiting.at(-1)?.incoming.complete === false) this.#waiting.pop()
  }

  #serve({ incoming, outgoing, expectsContinue }: ParsedRequest): void {
    this.#front.counters.requests++
    outgoing.once('close', this.#next)
    this.#current = new NodeDownstream(this.#front, this, incoming, outgoing, expectsContinue)
    this.#last = this.#current
    this.#front.options.handle(this.#current)
  }

  readonly #next = (): void => {
    this.#current = null
    if (this.#socket.destroyed) return this.end()
    if (this.#ending) return
    const next = this.#waiting.shift()
    if (next !== undefined) {
      if (this.#waiting.length === 0) this.#socket.resume()
      this.#serve(next)
    } else if (this.#refusal !== null) this.#refuseNow(this.#refusal)
  }

  #refuseNow(status: number): void {
    this.end()
    answerRaw(this.#front, this.#socket, status)
  }
}

function statusOf(error: ParseError): number {
  switch (error.code) {
    case 'HPE_INVALID_TRANSFER_ENCODING':
      return isUnknownCoding(error.rawPacket) ? 501 : 400
    case 'HPE_HEADER_OVERFLOW':
      return error.rawPacket !== undefined && error.rawPacket.indexOf('\r\n') === -1 ? 414 : 494
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return 413
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return 408
    default:
      return 400
  }
}

/** One transfer coding that is well formed and not ours (RFC 9112 section 6.1); anything odder is a bad request. */
function isUnknownCoding(packet: Buffer | undefined): boolean {
  const head = packet?.toString('latin1') ?? ''
  const lines = head.match(/^transfer-encoding:.*$/gim) ?? []
  const coding = /^[^:]+:[ \t]*([a-z0-9-]+)[ \t]*\r?$/i.exec(lines[0] ?? '')?.[1]?.toLowerCase()
  if (/^content-length:/im.test(head)) return false
  return lines.length === 1 && coding !== undefined && coding !== 'identity' && !coding.includes('chunked')
}

/** A complete answer to bytes that were no request; nothing of them is in it. Kong's 494 goes out as 400. */
function answerRaw(front: MutableFront, socket: Socket, status: number): void {
  const { options } = front
  const id = newRequestId()
  const shown = status === 494 ? 400 : status
  const { contentType, body } = renderFailure(null, status, undefined, id, options.errorDefaultType)
  if (!socket.writable) return void socket.destroy()
  options.onBadRequest(shown, plainAddress(socket.remoteAddress ?? ''), id)
  const head = [
    `HTTP/1.1 ${shown} ${REASONS[shown] ?? 'Error'}`,
    `Date: ${new Date().toUTCString()}`,
    `Content-Type: ${contentType}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
    ...(options.shown.server ? [`Server: ${options.product}`] : []),
    ...(options.shown.responseLatency ? ['X-Kong-Response-Latency: 0'] : []),
    ...(options.shown.requestId ? [`X-Kong-Request-Id: ${id}`] : []),
  ]
  socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
  closeLingering(socket, options.limits.lingeringTimeoutMs)
}

/**
 * Closes our direction and goes on reading for a while: closing with unread bytes would make the system send a reset, which can take our answer away from a
 * client that is still sending (RFC 9112 section 9.6).
 */
function closeLingering(socket: Socket, timeoutMs: number): void {
  if (socket.destroyed) return
  socket.end()
  const timer = setTimeout(() => socket.destroy(), timeoutMs)
  socket.once('close', () => clearTimeout(timer))
  socket.resume()
}

const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  413: 'Payload Too Large',
  414: 'URI Too Long',
  501: 'Not Implemented',
}

/** 32 lower-case hexadecimal digits, new for each request, never taken from the client. */
export function newRequestId(): string {
  return randomUUID().replaceAll('-', '')
}

class NodeDownstream implements Downstream {
  readonly method: string
  readonly target: string
  readonly version: '1.0' | '1.1' | '2'
  readonly headers: HeaderList
  readonly peer: Endpoint
  readonly local: Endpoint
  readonly tls = null
  readonly body: NodeBody
  readonly #front: MutableFront
  readonly #pipeline: Pipeline
  readonly #outgoing: ServerResponse
  readonly #socket: Socket
  /**
   * The parser stops behind a request that offers an upgrade and drops what else came with it, so that it could begin again in the middle of a message:
   * nothing behind such a request is read.
   */
  readonly #offersUpgrade: boolean
  #bytesSent = 0
  /** Something was written behind or with the head. */
  #begun = false
  #ended = false

  constructor(front: MutableFront, pipeline: Pipeline, incoming: IncomingMessage, outgoing: ServerResponse, expectsContinue: boolean) {
    const { socket } = incoming
    this.#front = front
    this.#pipeline = pipeline
    this.#outgoing = outgoing
    this.#socket = socket
    this.method = incoming.method ?? ''
    this.target = incoming.url ?? ''
    this.#offersUpgrade = incoming.headers.upgrade !== undefined
    this.version = incoming.httpVersion as '1.0' | '1.1' | '2'
    this.headers = HeaderList.fromRaw(incoming.rawHeaders)
    this.peer = { address: plainAddress(socket.remoteAddress ?? ''), port: socket.remotePort ?? 0 }
    this.local = { address: plainAddress(socket.localAddress ?? ''), port: socket.localPort ?? 0 }
    this.body = new NodeBody(front.options.limits, incoming, outgoing, expectsContinue, () => {
      pipeline.end()
      closeLingering(socket, front.options.limits.lingeringTimeoutMs)
    })
  }

  get bytesSent(): number {
    return this.#bytesSent
  }

  respond(status: number, reason: string | undefined, headers: HeaderList, body: Uint8Array): void {
    this.#writeHead(status, reason, headers)
    this.#begun = true
    this.#ended = true
    this.#bytesSent += body.length
    this.#outgoing.end(body)
    this.body.discard()
  }

  sendHead(status: number, reason: string | undefined, headers: HeaderList): void {
    this.#writeHead(status, reason, headers)
    // What came of the body together with the head is written together with it; a head that came alone is not held back.
    process.nextTick(this.#flushHead)
  }

  readonly #flushHead = (): void => {
    if (this.#begun || this.#ended) return
    this.#begun = true
    this.#outgoing.flushHeaders()
  }

  #writeHead(status: number, reason: string | undefined, headers: HeaderList): void {
    const mustClose = this.#offersUpgrade || this.version === '1.0' || this.body.mustClose
    if (mustClose || this.#front.draining) headers.set('Connection', 'close')
    if (headers.get('connection') === 'close') {
      this.#pipeline.end()
      if (!this.body.arrived) this.#lingerAtTheEnd()
    }
    const raw = headers.toRaw()
    if (reason === undefined || reason === '') this.#outgoing.writeHead(status, raw)
    else this.#outgoing.writeHead(status, reason, raw)
    for (const text of raw) this.#bytesSent += text.length + 2
    this.#outgoing.setTimeout(this.#front.options.limits.sendTimeoutMs, () => {
      // Only a client that does not read is cut, as if it had left; a slow upstream has deadlines of its own.
      if (this.#outgoing.writableLength > 0 && !this.#outgoing.writableFinished) this.#socket.destroy()
    })
  }

  /** The server ends a connection by `destroySoon`: with a body still on its way, that would reset it. */
  #lingerAtTheEnd(): void {
    const socket = this.#socket
    socket.destroySoon = () => closeLingering(socket, this.#front.options.limits.lingeringTimeoutMs)
  }

  write(chunk: Uint8Array): boolean {
    this.#begun = true
    this.#bytesSent += chunk.length
    return this.#outgoing.write(chunk)
  }

  end(): void {
    this.#ended = true
    this.#outgoing.end()
    this.body.discard()
  }

  onDrain(listener: () => void): void {
    this.#outgoing.once('drain', listener)
  }

  abort(): void {
    this.#ended = true
    this.#socket.destroy()
  }

  onAbandoned(listener: () => void): void {
    this.#outgoing.once('close', () => {
      if (!this.#ended) listener()
    })
  }
}

class NodeBody implements IncomingBody {
  readonly framing: 'none' | 'length' | 'chunked'
  readonly length: number | null
  readonly #limits: FrontLimits
  readonly #incoming: IncomingMessage
  readonly #outgoing: ServerResponse
  /** Ends the connection because of a body that nobody wants to read. */
  readonly giveUp: () => void
  #awaitsContinue: boolean
  #discarding = false
  #failure: Error | null = null
  #onFailure: ((error: Error) => void) | null = null

  constructor(limits: FrontLimits, incoming: IncomingMessage, outgoing: ServerResponse, expectsContinue: boolean, giveUp: () => void) {
    const declared = incoming.headers['content-length']
    const chunked = incoming.headers['transfer-encoding'] !== undefined
    this.#limits = limits
    this.#incoming = incoming
    this.#outgoing = outgoing
    this.giveUp = giveUp
    this.#awaitsContinue = expectsContinue
    this.length = chunked ? null : Number(declared ?? 0)
    this.framing = chunked ? 'chunked' : declared === undefined || this.length === 0 ? 'none' : 'length'
  }

  /** The connection cannot be used again: a body that nobody has asked for by `100 Continue` may or may not follow, or it is malformed. */
  get mustClose(): boolean {
    return this.#failure !== null || (this.#awaitsContinue && this.framing !== 'none')
  }

  /** True when all of the body has come, or there is none. */
  get arrived(): boolean {
    return this.framing === 'none' || this.#incoming.complete
  }

  /** The body is not what its framing says: whoever reads it is told, now or when they begin. */
  fail(error: Error): void {
    this.#failure = error
    this.#onFailure?.(error)
  }

  #open(): void {
    if (!this.#awaitsContinue) return
    this.#awaitsContinue = false
    this.#outgoing.writeContinue()
  }

  collect(limitBytes: number): Promise<{ readonly bytes: Buffer; readonly complete: boolean }> {
    const incoming = this.#incoming
    this.#open()
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = []
      let size = 0
      let timer: NodeJS.Timeout | undefined
      const release = (): void => {
        clearTimeout(timer)
        this.#onFailure = null
        incoming.off('readable', read).off('end', end).off('error', fail).off('close', close)
      }
      const settle = (complete: boolean): void => {
        release()
        resolve({ bytes: Buffer.concat(chunks, size), complete })
      }
      const read = (): void => {
        timer?.refresh()
        for (let chunk = take(incoming); chunk !== null; chunk = take(incoming)) {
          chunks.push(chunk)
          size += chunk.length
          // One byte more than allowed is needed to know that there is more; what was read is handed on all the same.
          if (size > limitBytes) return settle(false)
        }
        if (incoming.readableEnded || (incoming.complete && incoming.readableLength === 0 && size === this.length)) settle(true)
        else timer ??= setTimeout(() => fail(new BodyTimeoutError()), this.#limits.bodyTimeoutMs)
      }
      const end = (): void => settle(true)
      const fail = (error: Error): void => {
        release()
        reject(error)
      }
      const close = (): void => fail(new Error('the client left'))
      if (this.#failure !== null) return fail(this.#failure)
      this.#onFailure = fail
      incoming.on('readable', read).once('end', end).once('error', fail).once('close', close)
      read()
    })
  }

  stream(): NodeJS.ReadableStream {
    const incoming = this.#incoming
    this.#open()
    let timer: NodeJS.Timeout | undefined
    const expectMore = (): void => {
      timer ??= setTimeout(() => stream.destroy(new BodyTimeoutError()), this.#limits.bodyTimeoutMs)
      timer.refresh()
    }
    const rest = (): void => {
      clearTimeout(timer)
      timer = undefined
    }
    const stream = new Readable({
      read: () => {
        if (!incoming.complete) expectMore()
        incoming.resume()
      },
      destroy: (error, done) => {
        rest()
        done(error)
      },
    })
    incoming.on('data', (chunk: Buffer) => {
      if (stream.destroyed) return
      if (stream.push(chunk)) return void timer?.refresh()
      // Whoever reads the body is slower than the client: that is not the client's fault.
      rest()
      incoming.pause()
    })
    incoming.once('end', () => {
      rest()
      if (!stream.destroyed) stream.push(null)
    })
    incoming.once('error', (error) => stream.destroy(error))
    incoming.once('close', () => {
      if (!incoming.complete) stream.destroy(new Error('the client left'))
    })
    this.#onFailure = (error) => stream.destroy(error)
    if (this.#failure !== null) stream.destroy(this.#failure)
    return stream
  }

  discard(): void {
    const incoming = this.#incoming
    if (this.#discarding || incoming.complete || this.framing === 'none') return
    this.#discarding = true
    let left = DISCARD_BYTES
    const timer = setTimeout(this.giveUp, this.#limits.lingeringTimeoutMs)
    timer.unref()
    incoming.on('data', (chunk: Buffer) => {
      if (left >= 0 && left < chunk.length) this.giveUp()
      left -= chunk.length
    })
    incoming.once('end', () => clearTimeout(timer))
    incoming.once('close', () => clearTimeout(timer))
    incoming.once('error', () => {})
    incoming.resume()
  }
}

function take(incoming: IncomingMessage): Buffer | null {
  return incoming.read() as Buffer | null
}

/** The client broke off its request in the middle of the body by what it sent, or did not send: the answer's status. */
export abstract class ClientBodyError extends Error {
  abstract readonly status: number
}

/** A client that stopped in the middle of its body (`client_body_timeout`). */
export class BodyTimeoutError extends ClientBodyError {
  readonly code = 'GW_BODY_TIMEOUT'
  readonly status = 408
}

/** A body that breaks the rules of its framing (RFC 9112 section 7.1). */
export class MalformedBodyError extends ClientBodyError {
  readonly code = 'GW_BODY_MALFORMED'
  readonly status: number

  constructor(status: number) {
    super('the body is malformed')
    this.status = status
  }
}
