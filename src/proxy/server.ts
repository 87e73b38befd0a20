/**
 * The front: listeners, the clock of their connections, and the end of both. What happens on one connection is in client-connection.ts and
 * h2-connection.ts.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { TlsFacts } from '../http/exchange.ts'
import { ClientConnection, type ConnectionHost, type FrontConnection, type FrontOptions } from './client-connection.ts'
import { H2Connection } from './h2-connection.ts'
import { ProtocolChoice } from './protocol-choice.ts'

/** Counters of one front, as the Status API shows them. */
export interface FrontCounters {
  accepted: number
  active: number
  requests: number
}

export interface Front {
  readonly server: Server
  readonly counters: FrontCounters
  /** Serves a connection that was accepted elsewhere; a TLS connection whose handshake is done. */
  serve(socket: Socket): void
  /**
   * No new connections; every answer closes its connection. Resolves when the last one is closed. A connection that is idle stays open for a moment: its next
   * request may be on the way already, and would be lost.
   */
  drain(): Promise<void>
  /** Cuts all connections. */
  destroy(): void
}

/** How often deadlines are looked at, at most. */
const SWEEP_MS = 500
/** How long an idle connection stays open while draining. */
const DRAIN_GRACE_MS = 300

export function createFront(options: FrontOptions): Front {
  return new NetFront(options)
}

class NetFront implements Front, ConnectionHost {
  readonly server: Server
  readonly counters: FrontCounters = { accepted: 0, active: 0, requests: 0 }
  readonly options: FrontOptions
  draining = false
  nowMs = Date.now()
  date = new Date().toUTCString()
  readonly #connections = new Set<FrontConnection>()
  #dateSecond = 0

  constructor(options: FrontOptions) {
    this.options = options
    this.server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.serve(socket))
    const { headMs, bodyMs, sendMs, keepaliveMs, lingeringMs } = options.deadlines
    const period = Math.max(25, Math.min(SWEEP_MS, headMs / 4, bodyMs / 4, sendMs / 4, keepaliveMs / 4, lingeringMs / 4))
    const sweep = setInterval(() => this.#sweep(), period)
    sweep.unref()
    this.server.once('close', () => clearInterval(sweep))
  }

  serve(socket: Socket): void {
    this.counters.accepted++
    this.counters.active++
    if (socket instanceof TLSSocket) this.#serveTls(socket)
    else if (this.options.priorKnowledge) this.#serveByFirstBytes(socket)
    else this.#serveHttp1(socket)
  }

  /** ALPN has decided (RFC 7301); a client that did not ask speaks HTTP/1.1. */
  #serveTls(socket: TLSSocket): void {
    if (socket.alpnProtocol === 'h2') this.#serveHttp2(socket, tlsFacts(socket))
    else this.#serveHttp1(socket)
  }

  #serveByFirstBytes(socket: Socket): void {
    const choice = new ProtocolChoice(
      socket,
      this.nowMs + this.options.deadlines.headMs,
      (http2) => {
        this.#connections.delete(choice)
        if (http2) this.#serveHttp2(socket, null)
        else {
          this.#serveHttp1(socket)
          socket.resume()
        }
      },
      () => this.onClosed(choice),
    )
    this.#connections.add(choice)
  }

  #serveHttp1(socket: Socket): void {
    this.#keep(new ClientConnection(this, socket))
  }

  #serveHttp2(socket: Socket, tls: TlsFacts | null): void {
    this.#keep(new H2Connection(this, socket, tls))
  }

  #keep(connection: FrontConnection): void {
    this.#connections.add(connection)
    if (this.draining) connection.drain()
  }

  onClosed(connection: FrontConnection): void {
    this.counters.active--
    this.#connections.delete(connection)
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
    for (const connection of this.#connections) connection.drain()
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

  destroy(): void {
    for (const connection of this.#connections) connection.destroy()
  }
}

function tlsFacts(socket: TLSSocket): TlsFacts {
  const name = 'servername' in socket && typeof socket.servername === 'string' ? socket.servername.toLowerCase() : null
  return { serverName: name, version: socket.getProtocol() ?? '', cipher: socket.getCipher().name }
}
