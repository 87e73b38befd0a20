/**
 * The two sides of the data path as everything above the transport sees them. `proxy/server.ts` implements {@link Downstream}, `upstream/client.ts`
 * {@link UpstreamClient}; nobody else knows a socket.
 */
import type { Duplex } from 'node:stream'
import type { BodySource } from './body.ts'
import type { HeaderList } from './headers.ts'

export interface Endpoint {
  readonly address: string
  readonly port: number
}

/** What a TLS handshake with a client came to. */
export interface TlsFacts {
  /** Name that the client asked for (SNI), lower case; null when it sent none. */
  readonly serverName: string | null
  /** `TLSv1.3`. */
  readonly version: string
  /** OpenSSL's name of the suite. */
  readonly cipher: string
}

/** What a proxy in front of us says of the connection that it passes on (PROXY protocol). A claim: only of trusted peers to be believed. */
export interface ProxiedConnection {
  readonly source: Endpoint
  readonly destination: Endpoint
}

/** Which connection of this process a request came on. */
export interface ConnectionFacts {
  /** Grows with each connection, from 1. */
  readonly serial: number
  /** Requests on it so far, this one included. */
  readonly requests: number
}

/** The body of a request while it arrives. */
export interface IncomingBody extends BodySource {
  /** Whether there is one, and whether its length was declared. */
  readonly framing: 'none' | 'length' | 'chunked'
  /** Declared bytes; null when chunked, 0 when there is none. */
  readonly length: number | null
  /**
   * Collects up to `limitBytes`. `complete` is false where the body is longer: the rest is still to come, after the bytes answered.
   * Rejects when the client leaves.
   */
  collect(limitBytes: number): Promise<{ readonly bytes: Buffer; readonly complete: boolean }>
}

/** What a client sent, and over which connection. */
export interface ReceivedRequest {
  readonly method: string
  /** Request-target as received, a byte string. */
  readonly target: string
  readonly version: '1.0' | '1.1' | '2'
  /** Lines as received, order and spelling kept. */
  readonly headers: HeaderList
  readonly peer: Endpoint
  readonly local: Endpoint
  /** Null where nothing of the kind was said. */
  readonly proxied: ProxiedConnection | null
  /** Null for a connection in clear. */
  readonly tls: TlsFacts | null
  /** Absent where the transport does not count. */
  readonly connection?: ConnectionFacts
  readonly body: IncomingBody
}

/** One request of a client, and the way to answer it. */
export interface Downstream extends ReceivedRequest {
  /** The head, and the whole body where it is at hand: one write. */
  respond(status: number, reason: string | undefined, headers: HeaderList, body: Uint8Array): void
  /** The head of a body that follows by `write` and `end`. */
  sendHead(status: number, reason: string | undefined, headers: HeaderList): void
  /**
   * Answers 103 (RFC 8297), before the head; `headers` are cleaned as those of a response. A hint is only a hint: none goes to a client of HTTP/1.0, nor to one
   * that reads slower than we write.
   */
  sendEarlyHints(headers: HeaderList): void
  /** False when the client reads slower than we write: wait for `onDrain`. */
  write(chunk: Uint8Array): boolean
  /** Sends a head that waits for the first bytes of its body: for whoever has none at hand. */
  flush(): void
  end(): void
  onDrain(listener: () => void): void
  /**
   * Answers 101 and gives the connection away: its bytes both ways are the caller's from then on (RFC 9110 section 7.8). Null where the protocol has no such
   * thing.
   */
  switchProtocols: ((reason: string | undefined, headers: HeaderList) => Duplex) | null
  /** Cuts the connection: what was sent is not to look complete (RFC 9112 section 8). */
  abort(): void
  /** Called once if the client leaves before the answer is complete. */
  onAbandoned(listener: () => void): void
  /** Bytes of the request that arrived, its head included. */
  readonly bytesReceived: number
  /** Bytes of the answer handed to the socket, head included where known. */
  readonly bytesSent: number
}

/** A certificate (or a chain) and its key, in PEM. */
export interface ClientCertificate {
  readonly cert: string
  readonly key: string
}

/** How a TLS upstream is met, apart from its names. */
export interface UpstreamTls {
  readonly verify: boolean
  /** Certificates between the upstream's own and the trusted one, at most (nginx's `proxy_ssl_verify_depth`). */
  readonly verifyDepth: number
  /** PEM texts of the only authorities that are trusted; null: the client's own set. */
  readonly authorities: readonly string[] | null
  readonly clientCertificate: ClientCertificate | null
  /** A digest that names authorities and client certificate. */
  readonly contextKey: string
  /** Names everything above. */
  readonly key: string
}

/** Where an upstream request goes. */
export interface Origin {
  readonly protocol: 'http' | 'https'
  readonly host: string
  readonly port: number
  /** TLS server name; null for IP literals, which are not sent (RFC 6066 section 3). */
  readonly serverName: string | null
  /** Name or address that the certificate has to be for. */
  readonly checkedName: string
  /** Null for connections in clear. */
  readonly tls: UpstreamTls | null
  readonly connectTimeoutMs: number
  /** Names everything above: connections of equal keys may stand in for each other. */
  readonly key: string
}

export interface UpstreamRequest {
  readonly origin: Origin
  readonly method: string
  /** Path and query, a byte string. */
  readonly path: string
  readonly headers: HeaderList
  readonly body: Uint8Array | BodySource | null
  /** Bytes of a body that is pushed; null: chunked. */
  readonly bodyLength: number | null
  /** `Sec-WebSocket-Key` of a request that offers to go on in WebSocket; null: a 101 is an error. */
  readonly webSocketKey: string | null
  /** Between two successive reads of the response. */
  readonly readTimeoutMs: number
  /** Between two successive writes of the request. */
  readonly writeTimeoutMs: number
}

/** Why an exchange with an upstream failed; the message of the log. */
export type UpstreamFailure = 'resolve' | 'connect' | 'connect-timeout' | 'tls' | 'timeout' | 'reset' | 'bad-response'

/** How far a failed exchange had come. */
export interface UpstreamProgress {
  /** Any byte of the request may have reached the upstream. */
  readonly sent: boolean
  /** It certainly went over a kept connection, which the upstream may have been closing at that moment. */
  readonly reused: boolean
}

export interface UpstreamHandler {
  /** A 103 before the head (RFC 8297): none, or several, and another attempt may follow all the same. */
  onEarlyHints(headers: HeaderList): void
  onHead(status: number, reason: string, headers: HeaderList): void
  /** The upstream took the offer: its bytes both ways are the handler's from then on, and nothing else is called. */
  onSwitch(reason: string, headers: HeaderList, upstream: Duplex): void
  /** Answers false to pause until {@link UpstreamCall.resume}. */
  onData(chunk: Uint8Array): boolean
  /** All bytes at hand were given; more may come. */
  onPause(): void
  onEnd(): void
  /** Called once, instead of `onEnd`. */
  onFailure(failure: UpstreamFailure, progress: UpstreamProgress, error: unknown): void
}

export interface UpstreamCall {
  /** Where the connection leads; null as long as there is none. */
  readonly remote: Endpoint | null
  /** Gives the exchange up: its handler is told nothing more. */
  abort(): void
  resume(): void
}

export interface UpstreamClient {
  send(request: UpstreamRequest, handler: UpstreamHandler): UpstreamCall
  close(): Promise<void>
}
