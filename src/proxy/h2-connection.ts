/**
 * One connection of a client that speaks HTTP/2 (RFC 9113). Frames, HPACK and flow control are those of `node:http2`; here is what a gateway adds: which
 * sessions and streams are let live, and for how long. What a stream does is in h2-exchange.ts.
 *
 *   no stream ──HEADERS──> streams under way ──last one closed──> no stream ──keepalive_timeout──> GOAWAY ──lingering_timeout──> cut
 *
 * Deadlines, looked at by the front's sweep:
 *   no stream ever      client_header_timeout
 *   no stream any more  keepalive_timeout; client_header_timeout, if since then bytes came that are neither a request nor PING, SETTINGS or WINDOW_UPDATE
 *   streams             each its own: client_body_timeout, send_timeout. A header block that does not end keeps all other frames out, so that these end it too
 *   GOAWAY was sent     lingering_timeout after the last stream
 *
 * Bounds on what costs the gateway more than the client:
 *   streams at a time             http2_max_concurrent_streams; those above are refused, and as many refusals as streams are allowed end the connection
 *   streams that end early        {@link RESET_BURST}, refilled by {@link RESETS_PER_S} (CVE-2023-44487): whoever reset them, as a client can make the server
 *                                 reset (CVE-2025-8671); then GOAWAY (ENHANCE_YOUR_CALM)
 *   frames that break rules       {@link MAX_INVALID_FRAMES} where nghttp2 resets their stream; Node.js ends the connection at once where they break flow
 *                                 control or the length of a body
 *   header list, number of lines  those of HTTP/1.1; the stream is reset
 *   CONTINUATION frames, answers to PING and SETTINGS that the client does not read, entries of a SETTINGS frame: 8, 1000, 32, by nghttp2 and Node.js
 */
import { constants, performServerHandshake, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import type { Endpoint, ProxiedConnection, TlsFacts } from '../http/exchange.ts'
import type { ArrivalFacts, ConnectionHost, FrontConnection } from './client-connection.ts'
import { plainAddress } from './forwarded.ts'
import { H2Exchange } from './h2-exchange.ts'
import { readStreamHead } from './h2-head.ts'

const NEVER = Number.POSITIVE_INFINITY
/** Bytes of a request's body that may wait on one stream: the window that every stream begins with (RFC 9113 section 6.9.2). */
const STREAM_WINDOW = 65_535
/** Streams that may end before their answer is complete at once, and per second in the long run. A browser that leaves a page resets as many as it has open. */
const RESET_BURST = 256
const RESETS_PER_S = 16
/** Frames that nghttp2 answers by an error of their stream. */
const MAX_INVALID_FRAMES = 128
/** Pseudo-header fields beside the lines that are counted. */
const PSEUDO_FIELDS = 4
/** Megabytes of all that waits in a session; above it new streams are refused. */
const SESSION_MEGABYTES = 32

/** What the session has been told to do about its end. */
type State = 'open' | 'closing' | 'closed'

export class H2Connection implements FrontConnection {
  readonly host: ConnectionHost
  readonly peer: Endpoint
  readonly local: Endpoint
  readonly proxied: ProxiedConnection | null
  readonly tls: TlsFacts | null
  readonly #socket: Socket
  readonly #session: ServerHttp2Session
  readonly #exchanges = new Set<H2Exchange>()
  #state: State = 'open'
  /** While no stream is under way. */
  #idleDeadlineMs: number
  #idleSinceMs: number
  /** What had come when the connection became idle. */
  #idleMark = ''
  #controlFrames = 0
  #requests = 0
  #resets = RESET_BURST
  #resetsAtMs: number

  /** @param socket whose bytes are HTTP/2 from the first, those included that were read and put back */
  constructor(host: ConnectionHost, socket: Socket, { tls, proxied }: ArrivalFacts) {
    this.host = host
    this.tls = tls
    this.proxied = proxied
    this.peer = { address: plainAddress(socket.remoteAddress ?? ''), port: socket.remotePort ?? 0 }
    this.local = { address: plainAddress(socket.localAddress ?? ''), port: socket.localPort ?? 0 }
    this.#socket = socket
    this.#idleSinceMs = host.nowMs
    this.#resetsAtMs = host.nowMs
    this.#idleDeadlineMs = host.nowMs + host.options.deadlines.headMs
    socket.on('error', () => socket.destroy())
    socket.once('end', () => this.destroy())
    socket.once('close', () => this.#closed())
    this.#session = this.#handshake()
  }

  #handshake(): ServerHttp2Session {
    const { limits, maxConcurrentStreams } = this.host.options
    const session = performServerHandshake(this.#socket, {
      settings: { maxConcurrentStreams, maxHeaderListSize: limits.headBytes, initialWindowSize: STREAM_WINDOW },
      maxHeaderListPairs: limits.lines + PSEUDO_FIELDS,
      maxSessionInvalidFrames: MAX_INVALID_FRAMES,
      maxSessionRejectedStreams: maxConcurrentStreams,
      maxSessionMemory: SESSION_MEGABYTES,
      // Node.js would leave such lines out, and serve the request without them: h2-head.ts refuses it.
      strictFieldWhitespaceValidation: false,
      // What an upstream repeats is the upstream's affair.
      strictSingleValueFields: false,
    })
    // A stream whose body nobody reads must not stop the others.
    session.setLocalWindowSize(STREAM_WINDOW * (maxConcurrentStreams + 1))
    session.on('stream', (stream: ServerHttp2Stream, _headers: object, flags: number, raw: readonly string[]) => {
      this.#begin(stream, (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0, raw)
    })
    session.on('ping', () => this.#controlFrames++)
    session.on('remoteSettings', () => this.#controlFrames++)
    session.on('goaway', () => this.close())
    // The session ends, and its socket with it: nothing else is to be done.
    session.on('error', () => {})
    return session
  }

  // ------------------------------------------------------------------------------------------------------------------------------------- streams

  #begin(stream: ServerHttp2Stream, ended: boolean, raw: readonly string[]): void {
    this.#requests++
    stream.on('error', () => {})
    // It was reset by frames that came together with its head.
    if (stream.destroyed || stream.closed) return this.#countReset()
    const head = readStreamHead(raw, ended, this.host.options.limits)
    if (head === undefined) {
      stream.close(constants.NGHTTP2_PROTOCOL_ERROR)
      return this.#countReset()
    }
    this.host.counters.requests++
    const exchange = new H2Exchange(this, stream, head)
    this.#exchanges.add(exchange)
    if (head.refusal !== undefined) exchange.refuse(head.refusal.status, head.refusal.message)
    else this.host.options.handle(exchange)
    if (this.#requests >= this.host.options.maxRequests) this.close()
  }

  /** A stream is closed. */
  ended(exchange: H2Exchange, early: boolean): void {
    if (!this.#exchanges.delete(exchange)) return
    if (early) this.#countReset()
    if (this.#exchanges.size === 0) this.#becomeIdle()
  }

  #countReset(): void {
    if (this.#state === 'closed') return
    const { nowMs } = this.host
    this.#resets = Math.min(RESET_BURST, this.#resets + ((nowMs - this.#resetsAtMs) / 1000) * RESETS_PER_S)
    this.#resetsAtMs = nowMs
    this.#resets--
    if (this.#resets >= 0 || this.#session.destroyed) return
    this.host.options.onFlood(this.peer.address)
    this.#session.destroy(new Error('too many streams were reset'), constants.NGHTTP2_ENHANCE_YOUR_CALM)
    this.#waitForClose()
  }

  // --------------------------------------------------------------------------------------------------------------------------------------- clock

  get isReading(): boolean {
    return false
  }

  get isIdle(): boolean {
    return this.#exchanges.size === 0
  }

  get sinceMs(): number {
    return this.#idleSinceMs
  }

  get deadlineMs(): number {
    if (this.#exchanges.size === 0) return this.#idleDeadlineMs
    let deadline = NEVER
    for (const exchange of this.#exchanges) if (exchange.deadlineMs < deadline) deadline = exchange.deadlineMs
    return deadline
  }

  #becomeIdle(): void {
    if (this.#state !== 'open') return this.#waitForClose()
    const { headMs, keepaliveMs } = this.host.options.deadlines
    this.#idleSinceMs = this.host.nowMs
    this.#idleDeadlineMs = this.#idleSinceMs + Math.min(headMs, keepaliveMs)
    this.#idleMark = this.#mark()
  }

  /** Changes when bytes come, and tells whether they were frames that an idle client may send. */
  #mark(): string {
    return `${this.#socket.bytesRead} ${this.#controlFrames} ${this.#session.state.remoteWindowSize}`
  }

  /** Bytes came, and neither PING nor SETTINGS nor WINDOW_UPDATE was among them: the beginning of a header block, if they are anything. */
  #headIsLate(): boolean {
    if (this.#requests === 0) return true
    const [bytes, ...known] = this.#mark().split(' ')
    const [bytesBefore, ...knownBefore] = this.#idleMark.split(' ')
    return bytes !== bytesBefore && known.join() === knownBefore.join()
  }

  expire(): void {
    if (this.#exchanges.size === 0) return this.#expireIdle()
    const { nowMs } = this.host
    for (const exchange of this.#exchanges) if (exchange.deadlineMs <= nowMs) exchange.expire()
  }

  #expireIdle(): void {
    if (this.#state !== 'open') return this.destroy()
    const keepUntilMs = this.#idleSinceMs + this.host.options.deadlines.keepaliveMs
    if (this.host.nowMs < keepUntilMs && !this.#headIsLate()) this.#idleDeadlineMs = keepUntilMs
    else this.close()
  }

  #waitForClose(): void {
    this.#idleDeadlineMs = this.host.nowMs + this.host.options.deadlines.lingeringMs
  }

  // ------------------------------------------------------------------------------------------------------------------------------------- endings

  drain(): void {
    this.close()
  }

  /**
   * Takes no new streams and ends with the last one (RFC 9113 section 6.8). Streams that came in the same read are among those that are served; those that are
   * on their way are refused, and may be repeated: a warning without an end to it, as the RFC would have it, is nothing that `node:http2` can send.
   */
  close(): void {
    if (this.#state !== 'open') return
    this.#state = 'closing'
    this.#waitForClose()
    setImmediate(() => {
      if (!this.#session.destroyed) this.#session.close()
    })
  }

  destroy(): void {
    this.#session.destroy()
    this.#socket.destroy()
  }

  #closed(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#session.destroy()
    for (const exchange of this.#exchanges) exchange.left()
    this.#exchanges.clear()
    this.host.onClosed(this)
  }
}
