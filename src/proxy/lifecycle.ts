/**
 * THE WAY OF A REQUEST, first byte to log line. Each step is a method named after it, in order; any of them may end the request. A step that has nothing to
 * wait for runs on without a promise.
 *
 *   head checks > rewrite > route > answers before plugins > access > forward or answer > header_filter > body_filter > log
 */
import type { Duplex } from 'node:stream'
import { createConsumerDirectory } from '../entities/consumer-directory.ts'
import type { BodySink, BodySource } from '../http/body.ts'
import type { Downstream, IncomingBody, Origin, ReceivedRequest, UpstreamFailure } from '../http/exchange.ts'
import { fieldName, HeaderList } from '../http/headers.ts'
import { removeRequestHopByHop, removeResponseHopByHop } from '../http/hop-by-hop.ts'
import { escapePath, hasHiddenDotSegment, normalizePath } from '../http/path.ts'
import { webSocketKeyOf } from '../http/web-socket.ts'
import { ClientRequest, type RenderError, RequestContext } from '../plugin/context.ts'
import type { PhaseResult } from '../plugin/define.ts'
import { bodyFilters, runAccess, runBodyFilter, runHeaderFilter, runLog, runRewrite } from '../plugin/phases.ts'
import type { Plan, PluginInstance } from '../plugin/plan.ts'
import { chooseInstance } from '../plugin/plan.ts'
import { RequestRecord } from '../plugin/record.ts'
import type { RouteMatch } from '../router/router.ts'
import { upstreamPathV0 } from '../router/upstream-path.ts'
import { Trace } from '../telemetry/trace.ts'
import { errorText, GatewayError } from '../util/errors.ts'
import { turnMonotonicMs, turnMs } from '../util/turn-clock.ts'
import { ClientBodyError } from './client-body-error.ts'
import { messageOf, renderError, renderFailure } from './error-responses.ts'
import type { ForwardListener } from './forward.ts'
import { Forwarding, originOf } from './forward.ts'
import { appendVia, hostName, setForwarded } from './forwarded.ts'
import type { HeadFacts, Refusal } from './head-checks.ts'
import { checkHead, isRefusal } from './head-checks.ts'
import { removeIdentityHeaders } from './identity-hygiene.ts'
import type { BadRequest } from './refusal.ts'
import { newRequestId } from './request-id.ts'
import type { ProxyRuntime } from './runtime.ts'
import type { Destination, ServiceEntity, Snapshot, StoredRoute } from './snapshot.ts'
import { tunnel } from './tunnel.ts'

/** Serves one request. */
export function handle(downstream: Downstream, runtime: ProxyRuntime): void {
  new Passage(downstream, runtime).begin()
}

/**
 * The log phase for bytes that were no request, or none for us: the global configurations run it, with a request that has neither method nor path (as in
 * Kong). Nothing of the bytes is in it.
 */
export function logBadRequest({ client, status, requestId, bytes }: BadRequest, runtime: ProxyRuntime): void {
  const record = new RequestRecord(turnMonotonicMs())
  record.endedMs = record.receivedMs
  record.status = status
  record.bytesSent = bytes
  const { version, peer, local, tls, proxied } = client
  const received = { version, peer, local, tls, proxied, method: '', target: '', headers: new HeaderList(), body: NO_BODY_AT_ALL }
  const context = contextWithoutRoute(received, { id: requestId, startedAtMs: turnMs(), record, renderError: RENDER_ERROR }, runtime)
  context.response.status = status
  runLog(context, runtime.snapshot?.noRoutePlan.fixed ?? [])
  runtime.onFinished(context)
}

/** For what is not served: nothing of its head is believed but what a trusted peer says of the client. */
function contextWithoutRoute(
  received: ReceivedRequest,
  parts: Pick<ConstructorParameters<typeof RequestContext>[0], 'id' | 'startedAtMs' | 'record' | 'renderError'>,
  { snapshot, trust, log }: ProxyRuntime,
): RequestContext {
  const { peer, headers, proxied } = received
  const clientAddress = trust.isTrusted(peer.address) ? trust.toldAddress(peer.address, headers, proxied) : peer.address
  const request = new ClientRequest(received, { rawPath: '', path: '/', query: '', host: '', clientAddress, port: 0 })
  const context = new RequestContext({ ...parts, request, consumers: snapshot?.consumers ?? NO_CONSUMERS, log })
  if (snapshot !== null) context.credentialNames = snapshot.credentialNames
  return context
}

class Passage implements ForwardListener {
  readonly #downstream: Downstream
  readonly #runtime: ProxyRuntime
  readonly #startedAtMs = turnMs()
  readonly #record = new RequestRecord(turnMonotonicMs())
  readonly #id = newRequestId()
  #snapshot!: Snapshot
  /** Whether what the peer says about the client is taken. */
  #peerTrusted = false
  #context!: RequestContext
  #match: RouteMatch<StoredRoute> | undefined
  #destination: Destination | null = null
  #instances: readonly PluginInstance[] = []
  #forwarding: Forwarding | null = null
  #filters: readonly PluginInstance[] = []
  /** The client offers to go on in WebSocket. */
  #webSocketKey: string | null = null
  /** How many 103 were passed on, of all attempts. */
  #hints = 0
  #headSent = false
  /** It holds one of the places of the worker. */
  #admitted = false
  #finished = false

  constructor(downstream: Downstream, runtime: ProxyRuntime) {
    this.#downstream = downstream
    this.#runtime = runtime
  }

  begin(): void {
    const { method, target, version, headers } = this.#downstream
    const snapshot = this.#runtime.snapshot
    const facts = checkHead(method, target, version, headers)
    if (isRefusal(facts)) return this.#refuse(facts)
    if (snapshot === null) return this.#refuse({ status: 503 })
    this.#admitted = this.#runtime.capacity.enterRequest()
    if (!this.#admitted) return this.#refuse({ status: 503, message: 'Too many requests under way' })
    this.#snapshot = snapshot
    this.#context = this.#createContext(facts)
    this.#context.credentialNames = snapshot.credentialNames
    if (snapshot.traces) this.#context.trace = new Trace(this.#runtime.tracing, this.#startedAtMs, this.#record.receivedMs)
    this.#downstream.onAbandoned(() => this.#abandon())
    const { maxBodyBytes } = this.#runtime
    if (maxBodyBytes > 0 && (this.#downstream.body.length ?? 0) > maxBodyBytes) return this.#failWith(413)
    if (this.#runtime.strictPaths && hasHiddenDotSegment(this.#context.request.path)) return this.#failWith(400)
    this.#instances = snapshot.noRoutePlan.fixed ?? []
    if (snapshot.rewriters.length === 0) return this.#guarded(this.#route)
    this.#continue(() => runRewrite(this.#context, snapshot.rewriters), this.#route)
  }

  #createContext(facts: HeadFacts): RequestContext {
    const { headers, peer, proxied, local, target } = this.#downstream
    const { trust, portMap, log } = this.#runtime
    this.#peerTrusted = trust.isTrusted(peer.address)
    const absolute = !target.startsWith('/') && target !== '*'
    if (absolute) headers.set('Host', facts.host)
    if (headers.has('upgrade') && this.#downstream.switchProtocols !== null && this.#downstream.body.framing === 'none')
      this.#webSocketKey = webSocketKeyOf(this.#downstream.method, this.#downstream.version, headers)
    removeRequestHopByHop(headers)
    const request = new ClientRequest(this.#downstream, {
      rawPath: facts.rawPath,
      path: facts.rawPath === '*' ? '*' : normalizePath(facts.rawPath),
      query: facts.query,
      host: facts.host,
      clientAddress: this.#peerTrusted ? trust.toldAddress(peer.address, headers, proxied) : peer.address,
      port: portMap.get(local.port) ?? local.port,
    })
    return new RequestContext({
      id: this.#id,
      startedAtMs: this.#startedAtMs,
      request,
      record: this.#record,
      consumers: this.#snapshot.consumers,
      log,
      renderError: RENDER_ERROR,
    })
  }

  // ------------------------------------------------------------------------------------------------------------------------------------ steps

  #route(): void {
    if (this.#finished) return
    if (this.#context.exited) return this.#answer()
    const { request, trace } = this.#context
    const routedMs = trace === null ? 0 : trace.nowMs()
    this.#match = this.#snapshot.match(request)
    const destination = this.#match === undefined ? null : this.#snapshot.destination(this.#match.route)
    this.#destination = destination
    if (trace !== null) this.#decideTrace(trace, destination?.plan ?? this.#snapshot.noRoutePlan, routedMs)
    if (!this.#runtime.trustedIdentityHeaders) removeIdentityHeaders(request.headers, destination?.identityHeaders ?? NO_NAMES)
    if (destination === null) {
      this.#context.error(404, 'no Route matched with those values')
      return this.#answer()
    }
    this.#context.route = destination.routeEntity
    this.#context.service = destination.service
    if (this.#demandTls(destination.route)) return this.#answer()
    this.#access(destination.plan)
  }

  /** Whether the request is traced is for the configuration to say that runs for its route. One that depends on the Consumer says so when that is known. */
  #decideTrace(trace: Trace, { tracer }: Plan, routedMs: number): void {
    if (tracer === null) {
      this.#context.trace = null
      return
    }
    const instance = tracer.byConsumer === null ? chooseInstance(tracer, undefined) : null
    if (instance !== null) instance.plugin.trace?.(this.#context, trace, instance.state)
    const span = trace.start('router', 'kong.router', 'internal', trace.root, routedMs)
    if (this.#match === undefined) span?.fail()
    span?.end()
  }

  /** A route for https alone is never served in clear; a token sent in clear is not even looked at. */
  #demandTls(route: StoredRoute): boolean {
    if (route.protocols.includes('http') || !route.protocols.includes('https')) return false
    const { request } = this.#context
    const protocol = (this.#peerTrusted ? request.headers.get('x-forwarded-proto') : undefined) ?? request.scheme
    if (protocol === 'https') return false
    if (route.https_redirect_status_code === 426) {
      this.#context.error(426, 'Please use HTTPS protocol', [
        ['Connection', 'Upgrade'],
        ['Upgrade', 'TLS/1.2, HTTP/1.1'],
      ])
    } else {
      const host = (this.#peerTrusted ? request.headers.get('x-forwarded-host') : undefined) ?? hostName(request.host)
      this.#context.exit(route.https_redirect_status_code, null, [['Location', `https://${host}${request.rawPath}${request.query}`]])
    }
    return true
  }

  #access(plan: Plan): void {
    // Where no Consumer can change what runs, there is nothing to collect.
    const collected: PluginInstance[] | null = plan.fixed === null ? [] : null
    this.#instances = collected ?? plan.fixed ?? []
    const pending = runAccess(this.#context, plan, collected)
    if (pending === undefined) return this.#forward()
    this.#await(pending, this.#forward)
  }

  #forward(): void {
    if (this.#finished) return
    if (this.#context.exited) return this.#answer()
    const service = this.#destination?.service ?? null
    if (service === null) {
      this.#context.error(503, 'no Service found with those values')
      return this.#answer()
    }
    const { request } = this.#context
    const { request_buffering } = (this.#destination as Destination).route
    if (!request.hasBody) return this.#send(null)
    if (!request_buffering && !request.bodyParts.complete) return this.#send(this.#restOfBody())
    this.#continue(() => request.collectBody(this.#runtime.replayBytes).then(() => undefined), this.#sendCollected)
  }

  #sendCollected(): void {
    const { head, complete } = this.#context.request.bodyParts
    const { maxBodyBytes } = this.#runtime
    if (maxBodyBytes > 0 && head.length > maxBodyBytes) return this.#failWith(413)
    this.#send(complete ? head : this.#restOfBody())
  }

  /** What was collected, followed by what is still to come; cut off at the largest allowed size. */
  #restOfBody(): BodySource {
    const { head, rest } = this.#context.request.bodyParts
    return new RestOfBody(head, rest, this.#runtime.maxBodyBytes, (status) => this.#breakOff(status))
  }

  #send(body: Uint8Array | BodySource | null): void {
    if (this.#finished) return
    const { service, route } = this.#destination as Destination & { service: NonNullable<Destination['service']> }
    const { request } = this.#context
    const { headers } = request
    const stripped = route.strip_path ? (this.#match?.matchedPath ?? null) : null
    const path = upstreamPathV0(service.path, request.path, this.#match?.matchedPath ?? null, route.strip_path)
    setForwarded(request, this.#peerTrusted, stripped === null ? null : escapePath(stripped), this.#runtime.product)
    const { host, origin } = this.#targetOf(route, service, request.host)
    headers.setField(FIELD.host, host)
    if (this.#webSocketKey !== null) {
      headers.set('Connection', 'keep-alive, Upgrade')
      headers.set('Upgrade', 'websocket')
    }
    if (this.#runtime.shown.requestIdUpstream) headers.setParsed(FIELD.requestId, this.#id)
    const upstreamPath = `${escapePath(path)}${request.query}`
    this.#record.forwardedMs = turnMonotonicMs()
    this.#record.upstreamPath = upstreamPath
    this.#forwarding = new Forwarding(
      this.#runtime.upstream,
      this.#context,
      {
        service,
        origin,
        path: upstreamPath,
        headers,
        bodyLength: request.bodyLength,
        webSocketKey: this.#webSocketKey,
      },
      this,
    )
    this.#record.attempts = this.#forwarding
    this.#forwarding.start(body)
  }

  #targetOf(route: StoredRoute, service: ServiceEntity, clientHost: string): { readonly host: string; readonly origin: Origin } {
    const usual = this.#destination?.target
    if (usual && (!route.preserve_host || clientHost === '')) return usual
    return { host: clientHost, origin: originOf(service, clientHost, this.#destination?.tls ?? null) }
  }

  // ------------------------------------------------------------------------------------------------------------------- the upstream's answer

  /** Plugins do not see hints: they are about a response that is still to come, and it is the response that plugins look at. */
  onEarlyHints(headers: HeaderList): void {
    if (!this.#runtime.earlyHints || this.#hints >= MAX_HINTS || linesSize(headers) > MAX_HINT_BYTES) return
    this.#hints++
    removeResponseHopByHop(headers)
    headers.remove('content-length')
    this.#downstream.sendEarlyHints(headers)
  }

  onHead(status: number, reason: string, headers: HeaderList): void {
    const { response } = this.#context
    this.#takeHead(status, reason, headers)
    this.#filters = bodyFilters(this.#instances)
    if (this.#filters.length > 0) headers.remove('content-length')
    this.#addProxiedHeaders(headers)
    try {
      this.#downstream.sendHead(response.status, response.reason, response.headers)
      this.#headSent = true
    } catch (error) {
      this.#forwarding?.abandon()
      this.#fail(error)
    }
  }

  #takeHead(status: number, reason: string, headers: HeaderList): void {
    const { response } = this.#context
    this.#record.upstreamStatus = status
    this.#record.answeredMs = turnMonotonicMs()
    response.status = status
    response.reason = reason
    response.headers = headers
    removeResponseHopByHop(headers)
    runHeaderFilter(this.#context, this.#instances)
  }

  onSwitch(reason: string, headers: HeaderList, upstream: Duplex): void {
    const { response } = this.#context
    this.#takeHead(101, reason, headers)
    this.#addProxiedHeaders(response.headers)
    response.headers.set('Upgrade', 'websocket')
    try {
      const client = this.#downstream.switchProtocols?.(response.reason, response.headers)
      if (client === undefined) throw new TypeError('a switch of protocols without a connection')
      this.#headSent = true
      const idleMs = (this.#destination as Destination & { service: ServiceEntity }).service.read_timeout
      tunnel(client, upstream, idleMs, () => this.#finish(101))
    } catch (error) {
      upstream.destroy()
      this.#fail(error)
    }
  }

  onData(chunk: Uint8Array): boolean {
    // Filters may keep what they get; the chunk is only lent.
    const bytes = this.#filters.length === 0 ? chunk : runBodyFilter(this.#context, this.#filters, Buffer.from(chunk), false)
    if (bytes.length === 0 || this.#downstream.write(bytes)) return true
    this.#downstream.onDrain(() => this.#forwarding?.resume())
    return false
  }

  onPause(): void {
    this.#downstream.flush()
  }

  onEnd(): void {
    if (this.#filters.length > 0) {
      const last = runBodyFilter(this.#context, this.#filters, EMPTY, true)
      if (last.length > 0) this.#downstream.write(last)
    }
    this.#downstream.end()
    this.#finish(this.#context.response.status)
  }

  onFailure(failure: UpstreamFailure, error: unknown): void {
    const { service } = this.#context
    this.#context.log.error('upstream gave no answer', {
      request_id: this.#id,
      service: String(service?.['name'] ?? service?.['id'] ?? ''),
      failure,
      reason: errorText(error),
    })
    if (failure === 'resolve') {
      this.#context.error(503, 'name resolution failed')
      return this.#answer()
    }
    this.#failWith(failure === 'timeout' || failure === 'connect-timeout' ? 504 : 502)
  }

  onCut(failure: UpstreamFailure): void {
    this.#context.log.error('upstream answer broke off', { request_id: this.#id, failure })
    this.#downstream.abort()
    this.#finish(this.#context.response.status)
  }

  #addProxiedHeaders(headers: HeaderList): void {
    const { shown, product } = this.#runtime
    const { receivedMs, forwardedMs, upstreamStatus } = this.#record
    const answeredMs = this.#record.answeredMs || turnMonotonicMs()
    if (shown.upstreamStatus && upstreamStatus !== null) headers.setParsed(FIELD.upstreamStatus, String(upstreamStatus))
    if (shown.upstreamLatency) headers.setParsed(FIELD.upstreamLatency, String(Math.round(answeredMs - forwardedMs)))
    if (shown.proxyLatency) headers.setParsed(FIELD.proxyLatency, String(Math.round(forwardedMs - receivedMs)))
    if (shown.via) appendVia(headers, '1.1', product)
    if (shown.server && !headers.has('server')) headers.setParsed(FIELD.server, product)
    if (shown.requestId) headers.setParsed(FIELD.requestId, this.#id)
  }

  // --------------------------------------------------------------------------------------------------------------------------- our own answer

  /** Sends what a plugin or a step answered, through the response phases; a 500 without them where they make a head of it that must not be written. */
  #answer(): void {
    if (this.#finished) return
    runHeaderFilter(this.#context, this.#instances)
    const filters = bodyFilters(this.#instances)
    const body = filters.length === 0 ? this.#context.exitBody : runBodyFilter(this.#context, filters, this.#context.exitBody, true)
    try {
      this.#respond(body)
    } catch (error) {
      this.#logFailure(error)
      this.#context.exit(500, { message: messageOf(500) })
      this.#respond(this.#context.exitBody)
    }
  }

  #respond(body: Uint8Array): void {
    const { response } = this.#context
    const { headers } = response
    headers.setParsed(FIELD.contentLength, String(body.length))
    const { shown, product } = this.#runtime
    if (shown.server) headers.setParsed(FIELD.server, product)
    if (this.#record.forwardedMs > 0) this.#addProxiedHeaders(headers)
    else {
      if (shown.responseLatency) headers.setParsed(FIELD.responseLatency, String(Math.round(turnMonotonicMs() - this.#record.receivedMs)))
      if (shown.requestId) headers.setParsed(FIELD.requestId, this.#id)
    }
    this.#downstream.respond(response.status, response.reason, headers, body)
    this.#headSent = true
    this.#finish(response.status)
  }

  /** The client's body goes wrong while the upstream is reading it: the upstream never sees its end. */
  #breakOff(status: number): void {
    this.#forwarding?.abandon()
    this.#failWith(status)
  }

  /** A failure of the HTTP machinery, in its own format; once an answer has begun, it can only be cut. */
  #failWith(status: number): void {
    if (this.#headSent) {
      this.#downstream.abort()
      return this.#finish(this.#context.response.status)
    }
    const { contentType, body } = renderFailure(this.#context.request.headers, status, undefined, this.#id, this.#runtime.errorDefaultType)
    this.#context.exit(status, body, [['Content-Type', contentType], ...(CLOSING.has(status) ? CLOSE : [])])
    this.#answer()
  }

  /** A head that is not served: nothing of it reaches a plugin, and the connection ends. */
  #refuse(refusal: Refusal): void {
    const { contentType, body } = renderFailure(
      this.#downstream.headers,
      refusal.status,
      refusal.message,
      this.#id,
      this.#runtime.errorDefaultType,
    )
    const parts = { id: this.#id, startedAtMs: this.#startedAtMs, record: this.#record, renderError: () => ({ contentType, body }) }
    this.#context = contextWithoutRoute(this.#downstream, parts, this.#runtime)
    this.#instances = this.#runtime.snapshot?.noRoutePlan.fixed ?? []
    this.#context.exit(refusal.status, body, [['Content-Type', contentType], ...CLOSE])
    this.#answer()
  }

  // ------------------------------------------------------------------------------------------------------------------------------- going wrong

  /** Runs `step`, then `next`: at once, or when what `step` awaits is done. */
  #continue(step: () => PhaseResult, next: () => void): void {
    this.#guarded(() => {
      const pending = step()
      if (pending === undefined) next.call(this)
      else this.#await(pending, next)
    })
  }

  /** Runs a step. Here and in {@link #await} are the only places where a thrown error becomes an answer. */
  #guarded(step: () => void): void {
    try {
      step.call(this)
    } catch (error) {
      this.#fail(error)
    }
  }

  #await(pending: Promise<void>, next: () => void): void {
    pending.then(() => next.call(this)).catch((error: unknown) => this.#fail(error))
  }

  #fail(error: unknown): void {
    if (this.#finished) return
    if (error instanceof ClientBodyError) return this.#failWith(error.status)
    if (error instanceof GatewayError && error.source !== 'internal') {
      this.#context.error(
        error.status,
        messageOf(error.status),
        error.retryAfterS === undefined ? [] : [['Retry-After', String(error.retryAfterS)]],
      )
      this.#context.log.error(error.message, { request_id: this.#id, code: error.code })
      return this.#answer()
    }
    this.#logFailure(error)
    this.#context.exit(500, { message: messageOf(500) })
    this.#answer()
  }

  #logFailure(error: unknown): void {
    this.#context.log.error('request failed', {
      request_id: this.#id,
      reason: errorText(error),
      stack: error instanceof Error ? error.stack : undefined,
    })
  }

  #abandon(): void {
    this.#forwarding?.abandon()
    this.#finish(499)
  }

  #finish(status: number): void {
    if (this.#finished) return
    this.#finished = true
    if (this.#admitted) this.#runtime.capacity.leaveRequest()
    const record = this.#record
    record.status = status
    record.endedMs = turnMonotonicMs()
    record.bytesReceived = this.#downstream.bytesReceived
    record.bytesSent = this.#downstream.bytesSent
    runLog(this.#context, this.#instances)
    this.#runtime.onFinished(this.#context)
  }
}

/** A request's body for the upstream: what a plugin or the gateway read of it already, then the rest as it comes. */
class RestOfBody implements BodySource, BodySink {
  readonly #head: Buffer
  readonly #rest: BodySource
  readonly #maxBytes: number
  readonly #breakOff: (status: number) => void
  #size: number
  #sink: BodySink | null = null

  constructor(head: Buffer, rest: BodySource, maxBytes: number, breakOff: (status: number) => void) {
    this.#head = head
    this.#rest = rest
    this.#maxBytes = maxBytes
    this.#breakOff = breakOff
    this.#size = head.length
  }

  read(sink: BodySink): void {
    this.#sink = sink
    const goesOn = this.#head.length === 0 || sink.onChunk(this.#head)
    if (goesOn) this.#rest.read(this)
    else this.#startsWithResume = true
  }

  /** The rest was not asked for yet: the upstream could not even take what was collected. */
  #startsWithResume = false

  resume(): void {
    if (!this.#startsWithResume) return this.#rest.resume()
    this.#startsWithResume = false
    this.#rest.read(this)
  }

  discard(): void {
    this.#sink = null
    this.#rest.discard()
  }

  onChunk(chunk: Buffer): boolean {
    this.#size += chunk.length
    if (this.#maxBytes > 0 && this.#size > this.#maxBytes) {
      this.#breakOff(413)
      return true
    }
    return this.#sink?.onChunk(chunk) ?? true
  }

  onEnd(): void {
    this.#sink?.onEnd()
  }

  onError(error: Error): void {
    const sink = this.#sink
    if (error instanceof ClientBodyError) this.#breakOff(error.status)
    sink?.onError(error)
  }
}

/** Hints passed on for one request, and bytes of each: what is beyond is dropped. */
const MAX_HINTS = 16
const MAX_HINT_BYTES = 8192

/** About what the lines take on the wire. */
function linesSize(headers: HeaderList): number {
  let size = 0
  headers.each((name, value) => {
    size += name.length + value.length + 4
  })
  return size
}

/** Names of lines that the gateway writes. What it writes into them by `setParsed` is its own. */
const FIELD = {
  contentLength: fieldName('Content-Length'),
  host: fieldName('Host'),
  proxyLatency: fieldName('X-Kong-Proxy-Latency'),
  requestId: fieldName('X-Kong-Request-Id'),
  responseLatency: fieldName('X-Kong-Response-Latency'),
  server: fieldName('Server'),
  upstreamLatency: fieldName('X-Kong-Upstream-Latency'),
  upstreamStatus: fieldName('X-Kong-Upstream-Status'),
}
const EMPTY = new Uint8Array(0)
const NO_BODY_AT_ALL: IncomingBody = {
  framing: 'none',
  length: 0,
  collect: async () => ({ bytes: Buffer.alloc(0), complete: true }),
  read: (sink) => sink.onEnd(),
  resume() {},
  discard() {},
}
const NO_NAMES: ReadonlySet<string> = new Set()
const CLOSE: readonly (readonly [string, string])[] = [['Connection', 'close']]
const CLOSING = new Set([400, 408, 413])
const NO_CONSUMERS = createConsumerDirectory([])
const RENDER_ERROR: RenderError = (context, status, message) => renderError(context.request.headers, status, message, context.id)
