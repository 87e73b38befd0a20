/**
 * One connection to an upstream: HTTP/1.1 over a plain or TLS socket, one exchange after the other.
 *
 *   idle ──begin──> busy ──answer complete, request written, nothing behind it──> idle
 *    │               │
 *    │ bytes, end    │ failure, abort, ambiguous or unfinished
 *    v               v
 *   closed        closed
 *
 * After a 101 that was asked for it is a stream of somebody else's bytes (`tunnel`) until it closes.
 *
 * A connection is used again only when both directions ended cleanly (RFC 9112 sections 9.3, 9.6): what follows an answer would be taken for the next one. An
 * answer to nobody's request ends an idle connection.
 */
import type { Socket } from 'node:net'
import type { BodySink, BodySource } from '../http/body.ts'
import type { Endpoint, UpstreamCall, UpstreamFailure, UpstreamHandler, UpstreamRequest } from '../http/exchange.ts'
import { GatheredWriter } from '../http/gathered-writer.ts'
import { ChunkedDecoder, chunkHead, LAST_CHUNK, MALFORMED, NEED_MORE } from '../http/h1/chunked.ts'
import type { HeadLimits, ResponseHead } from '../http/h1/head.ts'
import { findHeadEnd, parseResponseHead, partialResponseViolation } from '../http/h1/head.ts'
import { CHUNKED, lengthOf, NO_BODY } from '../http/h1/message-length.ts'
import { keepsAlive } from '../http/h1/persistence.ts'
import { joined, requestText } from '../http/h1/serialise.ts'
import { isViolation } from '../http/h1/violation.ts'
import { acceptsWebSocket } from '../http/web-socket.ts'

/** What the connections of a client share. */
export interface ConnectionOwner {
  readonly limits: HeadLimits
  /** Milliseconds, advanced by the sweep. */
  readonly nowMs: number
  /** The exchange ended cleanly: the connection is free. */
  onFree(connection: UpstreamConnection): void
  onClosed(connection: UpstreamConnection): void
}

/** Interim answers before one answer (RFC 9110 section 15.2). All are read past; a 103 is told. */
const MAX_INTERIM = 16
const EARLY_HINTS = 103
/** A request body up to this size is written in one piece with its head. */
const JOINED_BYTES = 65_536
const EMPTY = Buffer.alloc(0)
const NEVER = Number.POSITIVE_INFINITY

type State = 'idle' | 'busy' | 'tunnel' | 'closed'

/** The head of a request as it is written. @throws {UnsafeHeadError} a plugin put bytes into it that may not stand there */
export function headOf({ method, path, headers, body, bodyLength }: UpstreamRequest): string {
  if (body === null) return requestText(method, path, headers, NO_BODY)
  if (body instanceof Uint8Array) return requestText(method, path, headers, lengthOf(body.length))
  return requestText(method, path, headers, bodyLength === null ? CHUNKED : lengthOf(bodyLength))
}

/** An open connection. */
export class UpstreamConnection implements UpstreamCall {
  readonly key: string
  readonly remote: Endpoint
  readonly #owner: ConnectionOwner
  readonly #socket: Socket
  readonly #writer: GatheredWriter
  /** When the sweep has to act, by the owner's clock. */
  deadlineMs = NEVER
  #state: State = 'idle'
  #requests = 0
  #pending: Buffer = EMPTY
  #searched = 0
  // The exchange under way.
  #request: UpstreamRequest | null = null
  #handler: UpstreamHandler | null = null
  #interim = 0
  #written = false
  #outgoing: Outgoing | null = null
  // The answer's body.
  #headSeen = false
  #left = 0
  #decoder: ChunkedDecoder | null = null
  #untilClose = false
  #keepsAlive = false
  #paused = false

  constructor(owner: ConnectionOwner, key: string, socket: Socket) {
    this.#owner = owner
    this.key = key
    this.#socket = socket
    this.#writer = new GatheredWriter(socket, () => this.#outgoing?.drained())
    this.remote = { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 }
    socket.setNoDelay(true)
    socket.on('end', () => this.#ended())
    socket.on('error', (error) => this.#fail(failureOf(error), error))
    socket.on('close', () => this.#closed())
  }

  get isIdle(): boolean {
    return this.#state === 'idle'
  }

  /** Exchanges that were begun on it. */
  get requests(): number {
    return this.#requests
  }

  /** Writes a request, its head as {@link headOf} gave it, and gives its answer to `handler`. */
  begin(request: UpstreamRequest, head: string, handler: UpstreamHandler): void {
    this.#state = 'busy'
    this.#requests++
    this.#request = request
    this.#handler = handler
    this.#interim = 0
    this.#headSeen = false
    this.#written = false
    this.deadlineMs = this.#owner.nowMs + request.readTimeoutMs
    const { body } = request
    if (body === null || body instanceof Uint8Array) this.#write(head, body ?? EMPTY)
    else this.#stream(request, head, body)
  }

  #write(head: string, body: Uint8Array): void {
    this.#written = true
    if (body.length > JOINED_BYTES) {
      this.#writer.write(head)
      this.#writer.write(body)
    } else this.#writer.write(body.length === 0 ? head : joined(head, body, ''))
  }

  #stream(request: UpstreamRequest, head: string, body: BodySource): void {
    this.#writer.write(head)
    const outgoing = new Outgoing(this.#writer, request.bodyLength === null, body, {
      written: () => {
        this.#outgoing = null
        this.#written = true
        this.deadlineMs = this.#owner.nowMs + request.readTimeoutMs
      },
      waits: (full) => {
        this.deadlineMs = full ? this.#owner.nowMs + request.writeTimeoutMs : NEVER
      },
      broken: () => this.destroy(),
    })
    this.#outgoing = outgoing
    this.deadlineMs = NEVER
    body.read(outgoing)
  }

  // ------------------------------------------------------------------------------------------------------------------------------- what comes in

  /** Bytes from the socket; lent for this call only. */
  receive(chunk: Buffer): void {
    if (this.#state === 'idle') return this.destroy()
    if (this.#state !== 'busy') return
    const request = this.#request as UpstreamRequest
    if (this.#outgoing === null) this.deadlineMs = this.#owner.nowMs + request.readTimeoutMs
    if (this.#headSeen) this.#feed(chunk)
    else {
      this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk])
      this.#readHeads()
      // Lent bytes are kept only as a copy.
      if (!this.#headSeen && this.#pending.length > 0 && this.#pending.buffer === chunk.buffer) this.#pending = Buffer.from(this.#pending)
    }
    this.#handler?.onPause()
  }

  #readHeads(): void {
    const request = this.#request as UpstreamRequest
    while (this.#state === 'busy' && !this.#headSeen) {
      const end = findHeadEnd(this.#pending, 0, this.#searched)
      if (end === -1) {
        const violation = partialResponseViolation(this.#pending, 0, this.#searched, this.#owner.limits)
        this.#searched = this.#pending.length
        if (violation !== undefined) this.#refuse('a head that breaks the rules')
        return
      }
      this.#searched = 0
      const head = parseResponseHead(this.#pending, 0, end, request.method, this.#owner.limits)
      if (isViolation(head)) return this.#refuse('a head that breaks the rules')
      const rest = this.#pending.subarray(head.end)
      this.#pending = EMPTY
      if (head.status === 101) return this.#switch(head, rest)
      if (head.status < 200) {
        if (++this.#interim > MAX_INTERIM) return this.#refuse('a flood of interim answers')
        this.#pending = rest
        if (head.status === EARLY_HINTS) this.#handler?.onEarlyHints(head.headers)
        continue
      }
      this.#beginBody(head)
      this.#handler?.onHead(head.status, head.reason, head.headers)
      if (this.#state === 'busy') this.#feed(rest)
      return
    }
  }

  /** The connection is the handler's from now on, and never idle again. */
  #switch({ reason, headers }: ResponseHead, rest: Buffer): void {
    const key = this.#request?.webSocketKey ?? null
    if (key === null || !acceptsWebSocket(key, headers)) return this.#refuse('a switch of protocols that nobody asked for')
    const handler = this.#handler
    this.#state = 'tunnel'
    this.#handler = null
    this.#request = null
    this.deadlineMs = NEVER
    this.#writer.release()
    this.#socket.pause()
    if (rest.length > 0) this.#socket.unshift(Buffer.from(rest))
    handler?.onSwitch(reason, headers, this.#socket)
  }

  #beginBody({ minor, headers, length }: ResponseHead): void {
    this.#headSeen = true
    this.#keepsAlive = keepsAlive(headers, minor)
    this.#untilClose = length.kind === 'until-close'
    this.#left = length.bytes
    this.#decoder = length.kind === 'chunked' ? new ChunkedDecoder() : null
  }

  /** Body bytes; what lies behind the body's end makes the connection unusable. */
  #feed(bytes: Buffer): void {
    if (this.#decoder !== null) {
      const next = this.#decoder.feed(bytes, 0, bytes.length, this)
      if (next === MALFORMED) return this.#refuse('a body that breaks the rules of its framing')
      if (next !== NEED_MORE) this.#finish(next === bytes.length)
      return
    }
    if (this.#untilClose) {
      if (bytes.length > 0) this.data(bytes)
      return
    }
    const size = Math.min(bytes.length, this.#left)
    this.#left -= size
    if (size > 0) this.data(size === bytes.length ? bytes : bytes.subarray(0, size))
    if (this.#left === 0) this.#finish(size === bytes.length)
  }

  /** Data of the body, from the decoder or directly. */
  data(bytes: Buffer): void {
    if (this.#handler === null || this.#handler.onData(bytes)) return
    this.#paused = true
    this.deadlineMs = NEVER
    this.#socket.pause()
  }

  /** Goes on reading after the handler asked for a pause. */
  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    if (this.#request !== null) this.deadlineMs = this.#owner.nowMs + this.#request.readTimeoutMs
    this.#socket.resume()
  }

  // -------------------------------------------------------------------------------------------------------------------------------------- endings

  /** The answer is complete. @param clean nothing stands behind it */
  #finish(clean: boolean): void {
    if (this.#state !== 'busy') return
    const handler = this.#handler
    this.#handler = null
    this.#request = null
    this.deadlineMs = NEVER
    // An upstream that answers before it has read the request's body is not given the rest.
    if (clean && this.#written && this.#keepsAlive && !this.#paused) {
      this.#state = 'idle'
      this.#owner.onFree(this)
    } else this.destroy()
    handler?.onEnd()
  }

  #refuse(reason: string): void {
    this.#fail('bad-response', new Error(reason))
  }

  #ended(): void {
    if (this.#state === 'tunnel') return
    if (this.#state === 'busy' && this.#headSeen && this.#untilClose) return this.#finish(false)
    this.#fail('reset', new Error('the upstream closed the connection'))
  }

  #fail(failure: UpstreamFailure, error: unknown): void {
    if (this.#state === 'tunnel') return
    const handler = this.#handler
    this.#handler = null
    const reused = this.#requests > 1
    const sent = this.#writer.hasWritten
    this.destroy()
    handler?.onFailure(failure, { sent, reused }, error)
  }

  #closed(): void {
    this.#fail('reset', new Error('the connection was closed'))
    this.#owner.onClosed(this)
  }

  /** The exchange is given up: nothing of it reaches anybody any more. */
  abort(): void {
    this.#handler = null
    this.destroy()
  }

  /** Closes at once. */
  destroy(): void {
    this.#state = 'closed'
    this.#outgoing?.stop()
    this.#outgoing = null
    this.#writer.drop()
    this.#socket.destroy()
  }

  /** The sweep found the deadline passed. */
  expire(): void {
    this.#fail('timeout', new Error('the upstream did not answer in time'))
  }
}

/** Codes of the system's and TLS errors → what failed. */
export function failureOf(error: NodeJS.ErrnoException): UpstreamFailure {
  const { code = '', syscall } = error
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN' || code === 'ENODATA' || syscall === 'getaddrinfo') return 'resolve'
  if (code === 'ETIMEDOUT') return syscall === 'connect' ? 'connect-timeout' : 'timeout'
  if (code === 'ECONNREFUSED' || code === 'EHOSTUNREACH' || code === 'ENETUNREACH' || syscall === 'connect') return 'connect'
  if (
    /^ERR_(?:TLS|SSL|OSSL)|CERT|SIGNATURE|SELF_SIGNED|^(?:EPROTO|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_EXCEEDED|UNSPECIFIED)$/.test(code)
  ) {
    return 'tls'
  }
  return 'reset'
}

interface OutgoingEvents {
  /** All of the body is written. */
  readonly written: () => void
  /** The socket is full, or takes bytes again. */
  readonly waits: (full: boolean) => void
  /** The client broke off. */
  readonly broken: () => void
}

/** Passes a request's body on to the socket, framed. */
class Outgoing implements BodySink {
  readonly #writer: GatheredWriter
  readonly #chunked: boolean
  readonly #source: BodySource
  readonly #events: OutgoingEvents
  #stopped = false
  #full = false

  constructor(writer: GatheredWriter, chunked: boolean, source: BodySource, events: OutgoingEvents) {
    this.#writer = writer
    this.#chunked = chunked
    this.#source = source
    this.#events = events
  }

  onChunk(chunk: Buffer): boolean {
    if (this.#stopped) return true
    const piece = this.#chunked ? joined(chunkHead(chunk.length), chunk, '\r\n') : Buffer.from(chunk)
    if (this.#writer.write(piece)) return true
    this.#full = true
    this.#events.waits(true)
    return false
  }

  drained(): void {
    if (!this.#full || this.#stopped) return
    this.#full = false
    this.#events.waits(false)
    this.#source.resume()
  }

  onEnd(): void {
    if (this.#stopped) return
    this.#stopped = true
    if (this.#chunked) this.#writer.write(LAST_CHUNK)
    this.#events.written()
  }

  /** The client broke off: the upstream must not take what it has for the whole. */
  onError(): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#events.broken()
  }

  /** Nobody reads the rest. */
  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#source.discard()
  }
}
