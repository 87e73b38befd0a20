/**
 * The time between accepting a connection of a TLS listener and its first request.
 *
 *   accepted ──first byte 0x16──> ClientHello ──server name──> TLS handshake ──done──> the TLSSocket is handed on
 *      │                              │                            │
 *      │ other first byte             └────────────┬───────────────┘ refused by either side, client gone, client_header_timeout each
 *      v                                           v
 *   the raw socket is handed on                  closed, without a word
 *
 * The server name is read before TLS begins, because Node.js hands over one certificate where its SNICallback answers with a context of two, and leaves the
 * certificates of the other kind that the server itself has in place: a client could be shown the node's own for a name that has another.
 */
import type { Socket } from 'node:net'
import { createServer, type TLSSocket, type Server as TlsServer } from 'node:tls'
import type { ProxiedConnection, TlsFacts } from '../http/exchange.ts'
import { errorCode } from '../util/errors.ts'
import { plainName, type ServerIdentity } from './certificates.ts'
import type { FrontConnection } from './client-connection.ts'
import { ClientHelloReader, NEED_MORE_HELLO } from './client-hello.ts'

/** TLS of one listener. */
export interface FrontTls {
  /** Certificate for a name; called for each handshake, so that a new configuration counts at once. */
  readonly choose: (serverName: string | null) => ServerIdentity
  /** Protocols to offer, best first (RFC 7301). */
  readonly alpn: readonly string[]
  /** 48 bytes, the same in all workers: what one of them has issued the others resume. */
  readonly ticketKeys: Buffer
}

/** What a handshake tells its front. */
export interface HandshakeHost {
  readonly nowMs: number
  readonly handshakeMs: number
  /** TLS is up. */
  onSecure(handshake: Handshake, socket: TLSSocket): void
  /** The client does not speak TLS; none of its bytes is lost. */
  onPlain(handshake: Handshake, socket: Socket): void
  onClosed(connection: FrontConnection): void
  onHandshakeFailed(reason: string, peer: string): void
}

/** First byte of a TLS record that holds a handshake message (RFC 8446 section 5.1). */
const HANDSHAKE_RECORD = 0x16
const NEVER = Number.POSITIVE_INFINITY

/** The handshakes of one listener. Its TLS servers, one per identity, listen nowhere: they get sockets whose first bytes have been looked at. */
export class Handshakes {
  readonly #host: HandshakeHost
  readonly #tls: FrontTls
  #ticketKeys: Buffer
  #servers = new WeakMap<ServerIdentity, TlsServer>()
  /** By the addresses of the connection: all that a finished TLS socket and the raw one below it have in common. */
  readonly #pending = new Map<string, Handshake>()

  constructor(host: HandshakeHost, tls: FrontTls) {
    this.#host = host
    this.#tls = tls
    this.#ticketKeys = tls.ticketKeys
  }

  setTicketKeys(keys: Buffer): void {
    this.#ticketKeys = keys
    this.#servers = new WeakMap()
  }

  #serverOf(identity: ServerIdentity): TlsServer {
    const known = this.#servers.get(identity)
    if (known !== undefined) return known
    const server = createServer({
      ...identity.options,
      ALPNProtocols: [...this.#tls.alpn],
      ticketKeys: this.#ticketKeys,
      sessionIdContext: identity.digest,
      handshakeTimeout: this.#host.handshakeMs,
    })
    server.on('secureConnection', (socket) => this.#secured(socket))
    server.on('tlsClientError', (error, socket) => {
      this.#host.onHandshakeFailed(String(errorCode(error) ?? 'unknown'), socket.remoteAddress ?? '')
      // Node.js leaves a handshake open that was too slow.
      socket.destroy()
    })
    this.#servers.set(identity, server)
    return server
  }

  /** @param proxied what the PROXY header before the handshake says */
  begin(socket: Socket, proxied: ProxiedConnection | null): Handshake {
    return new Handshake(this.#host, socket, proxied, (handshake, serverName) => {
      const key = addressesOf(socket)
      this.#pending.set(key, handshake)
      socket.once('close', () => {
        if (this.#pending.get(key) === handshake) this.#pending.delete(key)
      })
      this.#serverOf(this.#tls.choose(serverName)).emit('connection', socket)
    })
  }

  #secured(socket: TLSSocket): void {
    const key = addressesOf(socket)
    const handshake = this.#pending.get(key)
    // The client has gone already, so that the socket has no addresses any more.
    if (handshake === undefined) return void socket.destroy()
    this.#pending.delete(key)
    handshake.done()
    // From here on the end of the client's half is a matter of HTTP.
    socket.allowHalfOpen = true
    this.#host.onSecure(handshake, socket)
  }
}

function addressesOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`
}

/** One connection until TLS is up. */
export class Handshake implements FrontConnection {
  deadlineMs: number
  readonly sinceMs: number
  readonly proxied: ProxiedConnection | null
  readonly #host: HandshakeHost
  readonly #socket: Socket
  readonly #secure: (handshake: Handshake, serverName: string | null) => void
  readonly #onReadable = (): void => this.#peek()
  readonly #onEnd = (): void => this.destroy()
  readonly #onClose = (): void => this.#host.onClosed(this)
  readonly #received: Buffer[] = []
  readonly #hello = new ClientHelloReader()

  constructor(
    host: HandshakeHost,
    socket: Socket,
    proxied: ProxiedConnection | null,
    secure: (handshake: Handshake, serverName: string | null) => void,
  ) {
    this.#host = host
    this.proxied = proxied
    this.#socket = socket
    this.#secure = secure
    this.sinceMs = host.nowMs
    this.deadlineMs = host.nowMs + host.handshakeMs
    socket.on('error', () => socket.destroy())
    socket.on('close', this.#onClose)
    socket.on('end', this.#onEnd)
    socket.on('readable', this.#onReadable)
  }

  /** Nothing has come. */
  get isIdle(): boolean {
    return this.#received.length === 0
  }

  get isReading(): boolean {
    return !this.isIdle
  }

  #peek(): void {
    const chunk: unknown = this.#socket.read()
    if (!Buffer.isBuffer(chunk)) return
    this.#received.push(chunk)
    if (this.#received[0]?.[0] !== HANDSHAKE_RECORD) {
      this.#giveBack()
      this.done()
      return this.#host.onPlain(this, this.#socket)
    }
    const serverName = this.#hello.feed(chunk)
    if (serverName === NEED_MORE_HELLO) return
    this.#giveBack()
    // A client that closes its half in the middle of a handshake has given up; the TLS socket inherits this.
    this.#socket.allowHalfOpen = false
    // The TLS server has a clock of its own.
    this.deadlineMs = NEVER
    this.#secure(this, serverName)
  }

  /** Whoever reads the socket next finds all that has come. */
  #giveBack(): void {
    this.#socket.off('readable', this.#onReadable)
    this.#socket.off('end', this.#onEnd)
    this.#socket.unshift(Buffer.concat(this.#received))
  }

  /** The connection is somebody else's. */
  done(): void {
    this.deadlineMs = NEVER
    this.#socket.off('close', this.#onClose)
  }

  expire(): void {
    this.#host.onHandshakeFailed('ERR_TLS_HANDSHAKE_TIMEOUT', this.#socket.remoteAddress ?? '')
    this.destroy()
  }

  destroy(): void {
    this.#socket.destroy()
  }
}

/** What a finished handshake came to. */
export function tlsFactsOf(socket: TLSSocket): TlsFacts {
  const { servername } = socket
  return {
    serverName: typeof servername === 'string' && servername !== '' ? plainName(servername) : null,
    version: socket.getProtocol() ?? '',
    cipher: socket.getCipher().name,
  }
}
