/**
 * One request on its way, as plugins see it. One class of fixed shape for all requests; the transport is hidden behind {@link Downstream}.
 *
 * `request.headers` is the one list of header lines that the client sent and that the upstream will get: what a plugin removes or sets there is what plugins
 * after it and the upstream see (as in Kong). Lines meant for one hop, and identity headers that the client made up, are gone before the first plugin runs.
 */
import type { Consumer, ConsumerDirectory } from '../entities/consumer-directory.ts'
import type { BodySource } from '../http/body.ts'
import type { ConnectionFacts, Endpoint, ReceivedRequest, TlsFacts } from '../http/exchange.ts'
import { HeaderList } from '../http/headers.ts'
import { parseQuery } from '../http/query.ts'
import type { Log } from '../telemetry/log.ts'
import type { Trace } from '../telemetry/trace.ts'
import type { CredentialNameSets } from './credential-names.ts'
import { USUAL_CREDENTIAL_NAMES } from './credential-names.ts'
import type { RequestRecord } from './record.ts'

/** A credential that authenticated the request; members beyond `id` are for loggers. */
export interface Credential {
  readonly id: string | null
  readonly [member: string]: unknown
}

/** Who the request is, once a plugin said so. */
export interface Identity {
  readonly consumer: Consumer | null
  /** Null for an anonymous consumer. */
  readonly credential: Credential | null
  /** Groups that a token or directory gave, for authorisation plugins. */
  readonly authenticatedGroups: readonly string[] | null
}

const NOBODY: Identity = { consumer: null, credential: null, authenticatedGroups: null }

/** The request's body where a plugin read it: the bytes so far, and whether that was all. */
interface CollectedBody {
  bytes: Buffer
  complete: boolean
}

export class ClientRequest {
  readonly method: string
  /** Request-target as received, a byte string. */
  readonly target: string
  /** Target up to `?`, as received. */
  readonly rawPath: string
  /** Path in normal form: what routes are matched with. */
  readonly path: string
  /** From `?` on, or ''. A plugin may remove arguments; the upstream gets what is left. */
  query: string
  readonly headers: HeaderList
  /** Authority the request is for: of an absolute target, else `Host`; '' for HTTP/1.0 without it. */
  readonly host: string
  readonly scheme: 'http' | 'https'
  readonly version: '1.0' | '1.1' | '2'
  /** Address of the client: of the TCP peer, or what a trusted peer says. */
  readonly clientAddress: string
  readonly peerAddress: string
  readonly port: number
  #downstream: ReceivedRequest
  #collected: CollectedBody | null = null
  /** What a plugin put in the body's place. */
  #replaced: Buffer | null = null

  constructor(downstream: ReceivedRequest, parts: RequestParts) {
    this.#downstream = downstream
    this.method = downstream.method
    this.target = downstream.target
    this.headers = downstream.headers
    this.version = downstream.version
    this.scheme = downstream.tls === null ? 'http' : 'https'
    this.peerAddress = downstream.peer.address
    this.rawPath = parts.rawPath
    this.path = parts.path
    this.query = parts.query
    this.host = parts.host
    this.clientAddress = parts.clientAddress
    this.port = parts.port
  }

  /** Null for a connection in clear. */
  get tls(): TlsFacts | null {
    return this.#downstream.tls
  }

  /** Server name that the client asked for in its TLS handshake, lower case; null for none. */
  get sni(): string | null {
    return this.#downstream.tls?.serverName ?? null
  }

  /** Where the client's connection arrived: our own address. */
  get localEndpoint(): Endpoint {
    return this.#downstream.local
  }

  /** Undefined where the transport does not count. */
  get connection(): ConnectionFacts | undefined {
    return this.#downstream.connection
  }

  /** Whether the query has an argument of this name. */
  hasArgument(name: string): boolean {
    return this.query !== '' && parseQuery(this.query).some((argument) => argument.name === name)
  }

  get hasBody(): boolean {
    return this.#replaced !== null ? this.#replaced.length > 0 : this.#downstream.body.framing !== 'none'
  }

  /** Declared length in bytes; null when the client sends chunks. */
  get bodyLength(): number | null {
    return this.#replaced?.length ?? this.#downstream.body.length
  }

  /** The whole body if it has at most `limitBytes`, else null. What was read is forwarded all the same. Rejects when the client leaves. */
  async readBody(limitBytes: number): Promise<Buffer | null> {
    if (this.#replaced !== null) return this.#replaced
    const collected = await this.collectBody(limitBytes)
    return collected.complete ? collected.bytes : null
  }

  /** Up to `limitBytes` of the body, and whether that was all of it. */
  async collectBody(limitBytes: number): Promise<CollectedBody> {
    if (this.#replaced !== null) return { bytes: this.#replaced, complete: true }
    const { body } = this.#downstream
    if (body.framing === 'none') return { bytes: EMPTY, complete: true }
    if (this.#collected === null) this.#collected = await body.collect(limitBytes)
    else if (!this.#collected.complete && this.#collected.bytes.length < limitBytes) {
      const more = await body.collect(limitBytes - this.#collected.bytes.length)
      this.#collected = { bytes: Buffer.concat([this.#collected.bytes, more.bytes]), complete: more.complete }
    }
    return this.#collected
  }

  /** Puts `bytes` in place of the body; the length sent upstream follows. */
  replaceBody(bytes: Buffer): void {
    this.#replaced = bytes
    if (this.#collected?.complete !== true) this.#downstream.body.discard()
  }

  /** What was collected so far, and where the rest comes from. For the forwarder. */
  get bodyParts(): { readonly head: Buffer; readonly complete: boolean; readonly rest: BodySource } {
    const whole = this.#replaced
    if (whole !== null) return { head: whole, complete: true, rest: this.#downstream.body }
    const { bytes, complete } = this.#collected ?? { bytes: EMPTY, complete: this.#downstream.body.framing === 'none' }
    return { head: bytes, complete, rest: this.#downstream.body }
  }
}

const EMPTY = Buffer.alloc(0)

/** What the front door worked out about a request before any plugin runs. */
export interface RequestParts {
  readonly rawPath: string
  readonly path: string
  readonly query: string
  readonly host: string
  readonly clientAddress: string
  readonly port: number
}

/** The answer's head while plugins look at it. */
export class ResponseHead {
  status = 0
  /** The upstream's reason phrase; undefined for the usual one. */
  reason: string | undefined = undefined
  #headers: HeaderList | null = null

  /** An empty list until there is an answer. */
  get headers(): HeaderList {
    this.#headers ??= new HeaderList()
    return this.#headers
  }

  set headers(headers: HeaderList) {
    this.#headers = headers
  }
}

/** A body that the gateway itself answers with. */
export type ExitBody = string | Uint8Array | Readonly<Record<string, unknown>> | null

export class RequestContext {
  /** 32 lower-case hexadecimal digits, new for each request. */
  readonly id: string
  /** Epoch milliseconds of the request's first byte. */
  readonly startedAtMs: number
  readonly request: ClientRequest
  readonly record: RequestRecord
  readonly response = new ResponseHead()
  readonly consumers: ConsumerDirectory
  readonly log: Log
  /** Null where no plugin traces the request. */
  trace: Trace | null = null
  identity: Identity = NOBODY
  /** A plugin authenticated the request (also without a consumer). */
  authenticated = false
  /** The access token that authenticated it, for later plugins. Never logged. */
  token: string | null = null
  /** Why an authentication plugin refused or could not decide, for the log: static texts only. */
  denial: string | null = null
  /** The entities that the router chose, as the Admin API shows them. */
  route: Readonly<Record<string, unknown>> | null = null
  service: Readonly<Record<string, unknown>> | null = null
  /** What loggers leave out, under the configurations in force. */
  credentialNames: CredentialNameSets = USUAL_CREDENTIAL_NAMES
  #logValues: Map<string, unknown> | null = null
  #exitBody: Uint8Array | null = null
  #failure: string | undefined = undefined
  /** Set by the caller that knows the error formats. */
  readonly #renderError: RenderError

  constructor(parts: {
    id: string
    startedAtMs: number
    request: ClientRequest
    record: RequestRecord
    consumers: ConsumerDirectory
    log: Log
    renderError: RenderError
  }) {
    this.id = parts.id
    this.startedAtMs = parts.startedAtMs
    this.request = parts.request
    this.record = parts.record
    this.consumers = parts.consumers
    this.log = parts.log
    this.#renderError = parts.renderError
  }

  /**
   * What plugins say about the log entry: a dotted path and the value that is added or replaced there, undefined or null to remove it (Kong's
   * `kong.log.set_serialize_value`). Not redacted: whoever puts something here answers for it.
   */
  get logValues(): Map<string, unknown> {
    this.#logValues ??= new Map()
    return this.#logValues
  }

  /** Whether anything stands in {@link logValues}; asking makes no map. */
  get hasLogValues(): boolean {
    return this.#logValues !== null
  }

  /** True once a plugin or the gateway answered: nothing goes to the upstream any more. */
  get exited(): boolean {
    return this.#exitBody !== null
  }

  /** The body to answer with, once exited. */
  get exitBody(): Uint8Array {
    return this.#exitBody ?? EMPTY
  }

  /** For the log: the message given to {@link error}, if the answer is one. */
  get failure(): string | undefined {
    return this.#failure
  }

  /**
   * Ends the request with this answer (Kong's `kong.response.exit`): an object becomes compact JSON, text and bytes go as they are. Later plugins do not run
   * in this phase; response phases do.
   */
  exit(status: number, body: ExitBody, headers?: readonly (readonly [string, string])[]): void {
    const { response } = this
    response.status = status
    response.reason = undefined
    response.headers = new HeaderList()
    for (const [name, value] of headers ?? []) response.headers.add(name, value)
    const json = body !== null && typeof body === 'object' && !(body instanceof Uint8Array)
    if (json && !response.headers.has('content-type')) response.headers.set('Content-Type', 'application/json; charset=utf-8')
    this.#exitBody = body === null ? EMPTY : body instanceof Uint8Array ? body : Buffer.from(json ? JSON.stringify(body) : String(body))
  }

  /**
   * Ends the request with an error in the format that the client accepts, with the request id (Kong's `kong.response.error`). Without a message, the usual one
   * of the status.
   */
  error(status: number, message?: string, headers?: readonly (readonly [string, string])[]): void {
    this.#failure = message
    const { contentType, body } = this.#renderError(this, status, message)
    this.exit(status, body, [...(headers ?? []), ['Content-Type', contentType]])
  }

  /** Puts another body in place of the one that was to be answered. */
  replaceExitBody(body: Uint8Array): void {
    this.#exitBody = body
  }

  /** Says who the request is. Identity headers are the authentication plugin's to write (introspection/header-projection.ts). */
  authenticate(identity: Identity, token: string | null): void {
    this.identity = identity
    this.authenticated = true
    this.token = token
  }

  /** Goes on as the anonymous consumer: an identity without a credential. */
  useAnonymous(consumer: Consumer): void {
    this.identity = { consumer, credential: null, authenticatedGroups: null }
    this.authenticated = false
    this.token = null
  }
}

/** Makes an error body in the format that the request accepts. */
export type RenderError = (
  context: RequestContext,
  status: number,
  message: string | undefined,
) => { readonly contentType: string; readonly body: string }
