/**
 * The front: HTTP/1.0 and 1.1 over `node:http`, behind {@link Downstream}. The parser is llhttp in its strict mode; what it lets pass and we do not is in
 * head-checks.ts. States of one exchange:
 *
 *   head ──> handle(downstream) ──> respond                 (whole answer at hand)
 *                        └────────> sendHead > write* > end (streamed)
 *   at any time: abandoned (the client left), aborted (we cut the connection)
 */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { Socket } from 'node:net'
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
  /** From now on every answer closes its connection, and idle connections are closed. */
  drain(): void
}

export interface FrontOptions {
  readonly limits: FrontLimits
  readonly handle: (downstream: Downstream) => void
  /** A connection whose bytes were no request: for the log. */
  readonly onBadRequest: (status: number, peer: string, requestId: string) => void
  /** `Server` header of answers made here; null where it is not shown. */
  readonly product: string | null
  readonly errorDefaultType: string
}

/** A refused body is read on for at most this many bytes before the connection is closed. */
const DISCARD_BYTES = 65_536

export function createFront(options: FrontOptions): Front {
  const { limits } = options
  const counters: FrontCounters = { accepted: 0, active: 0, requests: 0 }
  const front: MutableFront = { counters, draining: false, options }
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
  })
  const begin = (incoming: IncomingMessage, outgoing: ServerResponse, expectsContinue: boolean): void => {
    counters.requests++
    options.handle(new NodeDownstream(front, incoming, outgoing, expectsContinue))
  }
  server.on('request', (incoming, outgoing) => begin(incoming, outgoing, false))
  server.on('checkContinue', (incoming, outgoing) => begin(incoming, outgoing, true))
  server.on('checkExpectation', (incoming, outgoing) => begin(incoming, outgoing, false))
  server.on('connect', (_incoming, socket: Socket) => answerRaw(front, socket, 405))
  server.on('clientError', (error: NodeJS.ErrnoException & { rawPacket?: Buffer }, socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy()
    else answerRaw(front, socket as Socket, statusOf(error))
  })
  return {
    server,
    counters,
    drain() {
      front.draining = true
      server.closeIdleConnections()
    },
  }
}

interface MutableFront {
  readonly counters: FrontCounters
  readonly options: FrontOptions
  draining: boolean
}

function statusOf(error: NodeJS.ErrnoException & { rawPacket?: Buffer }): number {
  switch (error.code) {
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

/** A complete answer to bytes that were no request; nothing of them is in it. Kong's 494 goes out as 400. */
function answerRaw(front: MutableFront, socket: Socket, status: number): void {
  const { options } = front
  const id = newRequestId()
  const shown = status === 494 ? 400 : status
  const { contentType, body } = renderFailure(null, status, undefined, id, options.errorDefaultType)
  options.onBadRequest(shown, plainAddress(socket.remoteAddress ?? ''), id)
  const head = [
    `HTTP/1.1 ${shown} ${REASONS[shown] ?? 'Error'}`,
    `Date: ${new Date().toUTCString()}`,
    `Content-Type: ${contentType}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
    ...(options.product === null ? [] : [`Server: ${options.product}`]),
    'X-Kong-Response-Latency: 0',
    `X-Kong-Request-Id: ${id}`,
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroySoon())
}

const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  413: 'Payload Too Large',
  414: 'URI Too Long',
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
  readonly #outgoing: ServerResponse
  readonly #socket: Socket
  #bytesSent = 0
  #ended = false

  constructor(front: MutableFront, incoming: IncomingMessage, outgoing: ServerResponse, expectsContinue: boolean) {
    const { socket } = incoming
    this.#front = front
    this.#outgoing = outgoing
    this.#socket = socket
    this.method = incoming.method ?? ''
    this.target = incoming.url ?? ''
    this.version = incoming.httpVersion as '1.0' | '1.1' | '2'
    this.headers = HeaderList.fromRaw(incoming.rawHeaders)
    this.peer = { address: plainAddress(socket.remoteAddress ?? ''), port: socket.remotePort ?? 0 }
    this.local = { address: plainAddress(socket.localAddress ?? ''), port: socket.localPort ?? 0 }
    this.body = new NodeBody(front.options.limits, incoming, outgoing, expectsContinue)
  }

  get bytesSent(): number {
    return this.#bytesSent
  }

  respond(status: number, reason: string | undefined, headers: HeaderList, body: Uint8Array): void {
    this.sendHead(status, reason, headers)
    this.#ended = true
    this.#bytesSent += body.length
    this.#outgoing.end(body)
    this.body.discard()
  }

  sendHead(status: number, reason: string | undefined, headers: HeaderList): void {
    if (this.#front.draining || this.version === '1.0' || this.body.mustClose) headers.set('Connection', 'close')
    const raw = headers.toRaw()
    if (reason === undefined || reason === '') this.#outgoing.writeHead(status, raw)
    else this.#outgoing.writeHead(status, reason, raw)
    for (const text of raw) this.#bytesSent += text.length + 2
    this.#socket.setTimeout(this.#front.options.limits.sendTimeoutMs, () => {
      // Only a client that does not read is cut; a slow upstream has deadlines of its own.
      if (this.#outgoing.writableLength > 0 && !this.#outgoing.writableFinished) this.abort()
    })
  }

  write(chunk: Uint8Array): boolean {
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
  #awaitsContinue: boolean
  #discarding = false

  constructor(limits: FrontLimits, incoming: IncomingMessage, outgoing: ServerResponse, expectsContinue: boolean) {
    const declared = incoming.headers['content-length']
    const chunked = incoming.headers['transfer-encoding'] !== undefined
    this.#limits = limits
    this.#incoming = incoming
    this.#outgoing = outgoing
    this.#awaitsContinue = expectsContinue
    this.length = chunked ? null : Number(declared ?? 0)
    this.framing = chunked ? 'chunked' : declared === undefined || this.length === 0 ? 'none' : 'length'
  }

  /** A body that nobody has asked for by `100 Continue` may or may not follow: the connection cannot be used again. */
  get mustClose(): boolean {
    return this.#awaitsContinue && this.framing !== 'none'
  }

  #open(): void {
    if (this.#awaitsContinue) {
      this.#awaitsContinue = false
      this.#outgoing.writeContinue()
    }
    this.#incoming.setTimeout(this.#limits.bodyTimeoutMs, () => {
      if (!this.#incoming.complete && !this.#incoming.isPaused()) this.#incoming.destroy(new BodyTimeoutError())
    })
  }

  collect(limitBytes: number): Promise<{ readonly bytes: Buffer; readonly complete: boolean }> {
    const incoming = this.#incoming
    this.#open()
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = []
      let size = 0
      const settle = (complete: boolean): void => {
        incoming.off('readable', read).off('end', end).off('error', fail).off('close', close)
        resolve({ bytes: Buffer.concat(chunks, size), complete })
      }
      const read = (): void => {
        for (let chunk = take(incoming); chunk !== null; chunk = take(incoming)) {
          chunks.push(chunk)
          size += chunk.length
          // One byte more than allowed is needed to know that there is more; what was read is handed on all the same.
          if (size > limitBytes) return settle(false)
        }
        if (incoming.readableEnded || (incoming.complete && incoming.readableLength === 0 && size === this.length)) settle(true)
      }
      const end = (): void => settle(true)
      const fail = (error: Error): void => reject(error)
      const close = (): void => reject(new Error('the client left'))
      incoming.on('readable', read).once('end', end).once('error', fail).once('close', close)
      read()
    })
  }

  stream(): NodeJS.ReadableStream {
    const incoming = this.#incoming
    this.#open()
    const stream = new Readable({ read: () => incoming.resume(), destroy: (_error, done) => done(null) })
    incoming.on('data', (chunk: Buffer) => {
      if (!stream.destroyed && !stream.push(chunk)) incoming.pause()
    })
    incoming.once('end', () => stream.push(null))
    incoming.once('error', (error) => stream.destroy(error))
    incoming.once('close', () => {
      if (!incoming.complete) stream.destroy(new Error('the client left'))
    })
    return stream
  }

  discard(): void {
    const incoming = this.#incoming
    if (this.#discarding || incoming.complete || this.framing === 'none') return
    this.#discarding = true
    let left = DISCARD_BYTES
    const timer = setTimeout(() => incoming.socket.destroySoon(), this.#limits.lingeringTimeoutMs)
    timer.unref()
    incoming.on('data', (chunk: Buffer) => {
      left -= chunk.length
      if (left < 0) incoming.socket.destroySoon()
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

/** A client that stopped in the middle of its body (`client_body_timeout`): 408. */
export class BodyTimeoutError extends Error {
  readonly code = 'GW_BODY_TIMEOUT'
}
