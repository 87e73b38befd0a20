/**
 * The front: listeners, the clock of their connections, and the end of both. What happens on one connection is in client-connection.ts and h2-connection.ts.
 *
 *   #accept a raw socket: the PROXY header, if the listener wants it > #secure: TLS, if the listener has it > #serve what the client speaks
 *
 * Every connection is known to the front from the first of these steps on, so that deadlines, drain and destroy reach it.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { ProxiedConnection } from '../http/exchange.ts'
import { type ArrivalFacts, ClientConnection, type ConnectionHost, type FrontConnection, type FrontOptions } from './client-connection.ts'
import { plainAddress } from './forwarded.ts'
import { H2Connection } from './h2-connection.ts'
import { type FrontTls, type Handshake, type HandshakeHost, Handshakes, tlsFactsOf } from './handshake.ts'
import { lendReads } from './lent-reads.ts'
import { ProtocolChoice } from './protocol-choice.ts'
import { ProxyProtocolStep } from './proxy-protocol-step.ts'

/** Counters of one front, as the Status API shows them. */
export interface FrontCounters {
  accepted: number
  /** Of these, those that were not turned away. */
  handled: number
  active: number
  requests: number
  /** TLS handshakes that came to nothing. */
  handshakesFailed: number
}

export interface Front {
  readonly server: Server
  readonly counters: FrontCounters
  /** Connections by what they are doing; counted when asked. */
  activity(): { readonly reading: number; readonly waiting: number }
  /** Serves a connection that was accepted elsewhere; a TLS connection whose handshake is done. */
  serve(socket: Socket): void
  /**
   * No new connections; every answer closes its connection. Resolves when the last one is closed. A connection that is idle stays open for a moment: its next
   * request may be on the way already, and would be lost.
   */
  drain(): Promise<void>
  /** Cuts all connections. Resolves when each of them, and what was under way on it, has ended. */
  destroy(): Promise<void>
  /** Session tickets are sealed with these from now on. Nothing to do without TLS. */
  setTicketKeys(keys: Buffer): void
}

/** How often deadlines are looked at, at most. */
const SWEEP_MS = 500
/** How long an idle connection stays open while draining. */
const DRAIN_GRACE_MS = 300

/** Part of all connections that is cut at a time to make room, so that those that are busy are not looked through for each that comes. */
const ROOM = 512
/** Where there was no room, it is looked for again after this time. */
const FULL_MS = 100
/**
 * A connection is not cut to make room before it has been idle for so long: under load each of them is for a moment, while its next request is on the way, and
 * would be cut under it.
 */
const LEAST_IDLE_MS = 1000

/** The answer to a client that speaks no TLS where we do (nginx, status 497). */
const PLAIN_ON_TLS = 'The plain HTTP request was sent to HTTPS port'

/** @param tls null for a listener in clear */
export function createFront(options: FrontOptions, tls: FrontTls | null): Front {
  return new NetFront(options, tls)
}

class NetFront implements Front, ConnectionHost, HandshakeHost {
  readonly server: Server
  readonly counters: FrontCounters = { accepted: 0, handled: 0, active: 0, requests: 0, handshakesFailed: 0 }
  readonly options: FrontOptions
  draining = false
  nowMs = Date.now()
  date = new Date().toUTCString()
  readonly #connections = new Set<FrontConnection>()
  readonly #handshakes: Handshakes | null
  /** Nothing goes before HTTP/1. */
  readonly #isPlain: boolean
  #dateSecond = 0
  /** Connections that may come for those that were cut to make room. */
  #room = 0
  /** Until then there is no use in looking for room. */
  #fullUntilMs = 0
  /** Somebody waits for the end of the last connection. */
  #emptied: PromiseWithResolvers<void> | null = null

  constructor(options: FrontOptions, tls: FrontTls | null) {
    this.options = options
    this.#handshakes = tls === null ? null : new Handshakes(this, tls)
    this.#isPlain = tls === null && !options.proxyProtocol && !options.priorKnowledge
    this.server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.serve(socket))
    const { limit, reserve } = options.capacity
    this.server.maxConnections = limit + reserve
    // The workers of a full node would pass connections around forever.
    Object.assign(this.server, { dropMaxConnection: true })
    this.server.on('drop', () => this.#dropped())
    const { headMs, bodyMs, sendMs, keepaliveMs, lingeringMs } = options.deadlines
    const period = Math.max(25, Math.min(SWEEP_MS, headMs / 4, bodyMs / 4, sendMs / 4, keepaliveMs / 4, lingeringMs / 4))
    const sweep = setInterval(() => this.#sweep(), period)
    sweep.unref()
    this.server.once('close', () => clearInterval(sweep))
  }

  serve(socket: Socket): void {
    const { capacity } = this.options
    this.counters.accepted++
    this.counters.active++
    if (++capacity.connections <= capacity.limit) this.#room = 0
    else if (!this.#makeRoom()) return this.#turnAway(socket)
    this.counters.handled++
    if (socket instanceof TLSSocket) this.#serve(socket, null)
    else this.#accept(socket)
  }

  /**
   * Cuts connections on which nothing has been under way for a while, the longest idle first, as nginx does: who holds them must not keep others out. False where
   * there are none.
   */
  #makeRoom(): boolean {
    if (this.#room > 0) {
      this.#room--
      return true
    }
    const nowMs = Date.now()
    if (nowMs < this.#fullUntilMs) return false
    // Whoever has sent a part of a head and no more keeps others out just as well; honest heads come whole, or nearly.
    const found = this.#cut((connection) => connection.isIdle) || this.#cut((connection) => connection.isReading)
    if (found === 0) {
      this.#fullUntilMs = nowMs + FULL_MS
      return false
    }
    this.#room = found - 1
    return true
  }

  /** Cuts those connections of a kind that have been so for longest. @returns how many */
  #cut(isOfKind: (connection: FrontConnection) => boolean): number {
    let longestMs = this.nowMs - LEAST_IDLE_MS
    for (const connection of this.#connections) if (connection.sinceMs < longestMs && isOfKind(connection)) longestMs = connection.sinceMs
    let count = 0
    for (const connection of this.#connections) {
      // The clock is coarse: many have been idle for equally long.
      if (connection.sinceMs > longestMs || !isOfKind(connection)) continue
      this.#connections.delete(connection)
      connection.destroy()
      if (++count >= this.options.capacity.limit / ROOM) break
    }
    return count
  }

  /** Where nobody waits for a handshake, and not too many were told lately, the client is told why. */
  #turnAway(socket: Socket): void {
    const { capacity } = this.options
    capacity.turnAway()
    const connection = this.#http1(socket, { tls: null, proxied: null })
    this.#connections.add(connection)
    if (this.#handshakes === null && capacity.takeAnswer()) connection.turnAway()
    else connection.destroy()
  }

  #accept(socket: Socket): void {
    if (this.#isPlain) return this.#serveFresh(socket)
    if (!this.options.proxyProtocol) return this.#secure(socket, null)
    const step = new ProxyProtocolStep(socket, this.nowMs, this.options.deadlines.headMs, {
      arrived: (proxied) => {
        this.#connections.delete(step)
        this.#secure(socket, proxied)
      },
      refused: (reason) => this.options.onProxyHeaderRefused(reason, plainAddress(socket.remoteAddress ?? '')),
      closed: () => this.onClosed(step),
    })
    this.#connections.add(step)
  }

  #secure(socket: Socket, proxied: ProxiedConnection | null): void {
    if (this.#handshakes === null) this.#serve(socket, proxied)
    else this.#connections.add(this.#handshakes.begin(socket, proxied))
  }

  /** Here the protocol is chosen. */
  #serve(socket: Socket, proxied: ProxiedConnection | null): void {
    if (socket instanceof TLSSocket) this.#serveTls(socket, proxied)
    else if (this.options.priorKnowledge) this.#serveByFirstBytes(socket, proxied)
    else this.#serveHttp1(socket, proxied)
  }

  /** ALPN has decided (RFC 7301); a client that did not ask speaks HTTP/1.1. */
  #serveTls(socket: TLSSocket, proxied: ProxiedConnection | null): void {
    const facts = { tls: tlsFactsOf(socket), proxied }
    this.#keep(socket.alpnProtocol === 'h2' ? new H2Connection(this, socket, facts) : this.#http1(socket, facts))
  }

  #serveHttp1(socket: Socket, proxied: ProxiedConnection | null): void {
    this.#keep(this.#http1(socket, { tls: null, proxied }))
    letFlow(socket)
  }

  #http1(socket: Socket, facts: ArrivalFacts, refusal: string | null = null): ClientConnection {
    const connection = new ClientConnection(this, socket, facts, refusal)
    socket.on('data', (chunk: Buffer) => connection.receive(chunk))
    return connection
  }

  /** The same for a connection that nobody has read from. */
  #serveFresh(accepted: Socket): void {
    const lent = lendReads(accepted, (bytes) => {
      // What comes after a switch of protocols is read as a stream.
      if (connection.isReleased) return socket.push(Buffer.from(bytes))
      connection.receive(bytes)
      return true
    })
    if (lent === null) return this.#serveHttp1(accepted, null)
    const socket = lent
    const connection = new ClientConnection(this, socket, { tls: null, proxied: null })
    this.#keep(connection)
  }

  #serveByFirstBytes(socket: Socket, proxied: ProxiedConnection | null): void {
    const choice = new ProtocolChoice(
      socket,
      this.nowMs,
      this.options.deadlines.headMs,
      (http2) => {
        this.#connections.delete(choice)
        if (http2) this.#keep(new H2Connection(this, socket, { tls: null, proxied }))
        else this.#serveHttp1(socket, proxied)
      },
      () => this.onClosed(choice),
    )
    this.#connections.add(choice)
    letFlow(socket)
  }

  #keep(connection: FrontConnection): void {
    this.#connections.add(connection)
    if (this.draining) connection.drain?.()
  }

  get handshakeMs(): number {
    return this.options.deadlines.headMs
  }

  onSecure(handshake: Handshake, socket: TLSSocket): void {
    this.#connections.delete(handshake)
    this.#serve(socket, handshake.proxied)
  }

  onPlain(handshake: Handshake, socket: Socket): void {
    this.#connections.delete(handshake)
    this.#connections.add(this.#http1(socket, { tls: null, proxied: handshake.proxied }, PLAIN_ON_TLS))
  }

  onHandshakeFailed(reason: string, peer: string): void {
    this.counters.handshakesFailed++
    this.options.onHandshakeFailed(reason, peer)
  }

  setTicketKeys(keys: Buffer): void {
    this.#handshakes?.setTicketKeys(keys)
  }

  /** Node.js has closed a connection beyond the reserve. */
  #dropped(): void {
    this.counters.accepted++
    this.options.capacity.turnAway()
  }

  onClosed(connection: FrontConnection): void {
    this.counters.active--
    this.options.capacity.connections--
    this.#connections.delete(connection)
    if (this.#connections.size === 0) this.#emptied?.resolve()
  }

  activity(): { reading: number; waiting: number } {
    const found = { reading: 0, waiting: 0 }
    for (const connection of this.#connections) {
      if (connection.isReading) found.reading++
      else if (connection.isIdle) found.waiting++
    }
    return found
  }

  #sweep(): void {
    this.nowMs = Date.now()
    const second = Math.floor(this.nowMs / 1000)
    if (second !== this.#dateSecond) {
      this.#dateSecond = second
      this.date = new Date(this.nowMs).toUTCString()
    }
    for (const connection of this.#connections) if (connection.deadlineMs <= this.nowMs) connection.expire()
  }

  drain(): Promise<void> {
    this.draining = true
    for (const connection of this.#connections) connection.drain?.()
    const sweep = setInterval(() => {
      for (const connection of this.#connections) if (connection.isIdle) connection.destroy()
    }, DRAIN_GRACE_MS)
    return new Promise((resolve) => {
      this.server.close(() => {
        clearInterval(sweep)
        resolve()
      })
    })
  }

  async destroy(): Promise<void> {
    for (const connection of this.#connections) connection.destroy()
    if (this.#connections.size === 0) return
    this.#emptied ??= Promise.withResolvers<void>()
    await this.#emptied.promise
  }
}

/** A step that has looked at the first bytes leaves the socket stopped. */
function letFlow(socket: Socket): void {
  if (socket.isPaused()) socket.resume()
}
