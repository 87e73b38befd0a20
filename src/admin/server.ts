/**
 * The Admin and the Status API over HTTP: Kong's rules for methods, headers and bodies around the endpoints, which know nothing of HTTP.
 *
 * ```
 * admission → 404 / 405 / OPTIONS → body and query → endpoint → every worker serves the change → answer
 * ```
 */
import { createServer as createHttpServer, type Server as HttpServer, type IncomingMessage, METHODS, type RequestListener } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { SecureContextOptions } from 'node:tls'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fastify from 'fastify'
import { decodeQuery, readArguments } from '../http/arguments.ts'
import { redactTarget } from '../http/query.ts'
import { type ProxyHeaderRule, requireProxyHeader } from '../proxy/proxy-protocol-step.ts'
import { accessLine } from '../telemetry/access-line.ts'
import { errorText } from '../util/errors.ts'
import { refusalOf } from './admission.ts'
import type { AdminDeps } from './deps.ts'
import type { Answer, Endpoint, Exchange, Method } from './endpoint.ts'
import { METHOD_NOT_ALLOWED, NOT_FOUND, ok } from './endpoint.ts'
import { entityEndpoints } from './endpoints.ts'
import { answerToError, INTERNAL_ERROR } from './errors.ts'
import { withSniAddresses } from './routes/certificates.ts'
import { configEndpoint } from './routes/config.ts'
import { withCustomIdFilter } from './routes/consumers.ts'
import { emptyEndpoints } from './routes/empty.ts'
import { metricsEndpoint } from './routes/metrics.ts'
import { operationEndpoints } from './routes/operations.ts'
import { rootEndpoint } from './routes/root.ts'
import { schemaEndpoints } from './routes/schemas.ts'
import { readyEndpoint, statusEndpoint } from './routes/status.ts'
import { tagEndpoints } from './routes/tags.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The endpoint behind a path. */
    endpoint?: Endpoint
  }
}

const JSON_TYPE = 'application/json; charset=utf-8'
const BODY_METHODS: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH'])
/** Characters of one path segment; names of entities are not bounded by Kong, request lines are. */
const MAX_PARAMETER_LENGTH = 16_384
/** Milliseconds for a whole request to arrive. */
const REQUEST_TIMEOUT_MS = 300_000

/** What a listener has between TCP and HTTP. */
export interface AdminTransport {
  /** What HTTPS is served with (HTTP/1.1 only); null for HTTP. */
  readonly tls: SecureContextOptions | null
  /** Connections begin with a header of the PROXY protocol; null where they do not. */
  readonly proxyHeader: ProxyHeaderRule | null
}

const PLAIN: AdminTransport = { tls: null, proxyHeader: null }

/**
 * The Admin API, ready to listen.
 *
 * @param transport what comes before HTTP, plain TCP by default
 */
export async function createAdminServer(deps: AdminDeps, transport: AdminTransport = PLAIN): Promise<FastifyInstance> {
  return await new AdminHttp(deps, adminEndpoints(deps), true).prepare(transport)
}

/** The Status API: read-only, without CORS headers and without a token. */
export async function createStatusServer(deps: AdminDeps, transport: AdminTransport = PLAIN): Promise<FastifyInstance> {
  return await new AdminHttp({ ...deps, token: null }, [statusEndpoint(deps), readyEndpoint(deps), metricsEndpoint(deps)], false).prepare(
    transport,
  )
}

/** Every endpoint of the Admin API, `/endpoints` included. */
export function adminEndpoints(deps: AdminDeps): readonly Endpoint[] {
  const { entities } = deps.database
  const endpoints = [
    rootEndpoint(deps),
    statusEndpoint(deps),
    metricsEndpoint(deps),
    configEndpoint(deps, () => applyChange(deps)),
    ...schemaEndpoints(deps),
    ...tagEndpoints(deps.database),
    ...operationEndpoints(deps),
    ...withSniAddresses(deps.database, entityEndpoints(deps.database)).map((endpoint) =>
      endpoint.path === '/consumers' ? withCustomIdFilter(entities.consumers, endpoint) : endpoint,
    ),
    ...emptyEndpoints(),
    ...pluginEndpoints(deps),
  ]
  const paths = [...endpoints.filter(({ unlisted }) => unlisted !== true).map(({ path }) => path), '/endpoints'].sort(bySegments)
  return [...endpoints, { path: '/endpoints', methods: { GET: () => ok({ data: paths }) } }]
}

function createServer(tls: SecureContextOptions | null, handler: RequestListener): HttpServer {
  const options = { requestTimeout: REQUEST_TIMEOUT_MS }
  return tls === null ? createHttpServer(options, handler) : createHttpsServer({ ...tls, ...options, ALPNProtocols: ['http/1.1'] }, handler)
}

/** As if `/` came before every other character. */
function bySegments(a: string, b: string): number {
  const [left, right] = [a.replaceAll('/', '\0'), b.replaceAll('/', '\0')]
  return left < right ? -1 : left > right ? 1 : 0
}

/** Routes of plugins, those of one path together. */
function pluginEndpoints({ routes }: AdminDeps): readonly Endpoint[] {
  const byPath = Map.groupBy(routes, ({ path }) => path)
  return [...byPath].map(([path, own]) => ({
    path,
    changesConfiguration: true,
    methods: Object.fromEntries(own.map((route) => [route.method, (request: Exchange) => route.handle(request)])),
  }))
}

/** The change is durable already: when workers are slow to take it, that is worth a log line and not an error for the client. */
async function applyChange({ applyChange, log }: AdminDeps): Promise<void> {
  try {
    await applyChange()
  } catch (error) {
    log.warn('workers did not take a change in time', { reason: errorText(error) })
  }
}

class AdminHttp {
  readonly #deps: AdminDeps
  readonly #endpoints: readonly Endpoint[]
  readonly #cors: boolean

  constructor(deps: AdminDeps, endpoints: readonly Endpoint[], cors: boolean) {
    this.#deps = deps
    this.#endpoints = endpoints
    this.#cors = cors
  }

  async prepare({ tls, proxyHeader }: AdminTransport): Promise<FastifyInstance> {
    const cutters: (() => void)[] = []
    const app = fastify({
      ...(tls === null && proxyHeader === null
        ? {}
        : {
            serverFactory: (handler: RequestListener) => {
              const server = createServer(tls, handler)
              if (proxyHeader !== null) cutters.push(requireProxyHeader(server, proxyHeader))
              return server
            },
          }),
      bodyLimit: this.#deps.maxBodyBytes,
      exposeHeadRoutes: false,
      forceCloseConnections: 'idle',
      requestTimeout: REQUEST_TIMEOUT_MS,
      rewriteUrl: ({ url = '/' }) => pathForRouting(url),
      routerOptions: { ignoreTrailingSlash: true, maxParamLength: MAX_PARAMETER_LENGTH },
      frameworkErrors: (_error, request, reply) => void this.#send(request, reply, NOT_FOUND),
    })
    // Bodies mean something in three methods; in all others they are not even read.
    for (const method of METHODS) {
      if (method !== 'CONNECT') app.addHttpMethod(method, { hasBody: BODY_METHODS.has(method), overrideExisting: true })
    }
    app.addHook('preClose', async () => {
      for (const cut of cutters) cut()
    })
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
    const { accessLog } = this.#deps
    if (accessLog.isOpen) app.addHook('onResponse', async (request, reply) => accessLog.write(lineOf(request, reply)))
    app.addHook('onRequest', async (request, reply) => await this.#begin(request, reply))
    app.setNotFoundHandler(async (request, reply) => await this.#send(request, reply, NOT_FOUND))
    app.setErrorHandler(async (error, request, reply) => await this.#send(request, reply, this.#answerToError(error, request)))
    for (const endpoint of this.#endpoints) {
      app.route({
        method: app.supportedMethods,
        url: endpoint.path.replace(/\{([^}]+)\}/g, (_, name: string) => `:${name.replaceAll('-', '_')}`),
        config: { endpoint },
        handler: async (request, reply) => await this.#send(request, reply, await this.#answer(endpoint, request)),
      })
    }
    await app.ready()
    return app
  }

  /** Everything that can be answered without the body. */
  async #begin(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> {
    const refusal = refusalOf(this.#deps, request.method, request.headers)
    if (refusal !== null) return await this.#send(request, reply, refusal)
    const { endpoint } = request.routeOptions.config
    if (endpoint === undefined) return await this.#send(request, reply, NOT_FOUND)
    if (request.method === 'OPTIONS') return await this.#send(request, reply, optionsAnswer(endpoint, request))
    if (handlerOf(endpoint, request.method) === undefined) return await this.#send(request, reply, METHOD_NOT_ALLOWED)
    return undefined
  }

  async #answer(endpoint: Endpoint, request: FastifyRequest): Promise<Answer> {
    const handler = handlerOf(endpoint, request.method)
    if (handler === undefined) return METHOD_NOT_ALLOWED
    const answer = await handler(await readExchange(endpoint, request))
    const wrote = request.method !== 'GET' && request.method !== 'HEAD' && answer.status < 300
    if (wrote && endpoint.changesConfiguration === true) await applyChange(this.#deps)
    return answer
  }

  #answerToError(error: unknown, request: FastifyRequest): Answer {
    const answer = answerToError(error)
    if (answer !== undefined) return answer
    const { endpoint } = request.routeOptions.config
    this.#deps.log.error('admin request failed', { method: request.method, path: endpoint?.path, reason: errorText(error) })
    return INTERNAL_ERROR
  }

  async #send(request: FastifyRequest, reply: FastifyReply, answer: Answer): Promise<FastifyReply> {
    const { headers, version } = this.#deps
    reply.code(answer.status)
    if (headers.server) reply.header('server', `kong/${version}`)
    if (headers.latency) reply.header('x-kong-admin-latency', String(Math.round(reply.elapsedTime)))
    if (this.#cors) {
      reply.header('access-control-allow-origin', this.#allowedOrigin(request.headers.origin))
      reply.header('access-control-allow-credentials', 'true')
    }
    for (const [name, value] of Object.entries(answer.headers ?? {})) reply.header(name, value)
    if (answer.body === undefined) return await reply.send()
    if (answer.body instanceof Uint8Array) return await reply.send(answer.body)
    if (!reply.hasHeader('content-type')) reply.type(JSON_TYPE)
    return await reply.send(JSON.stringify(answer.body))
  }

  #allowedOrigin(origin: string | undefined): string {
    const { guiOrigins } = this.#deps
    const [first] = guiOrigins
    if (first === undefined) return origin ?? '*'
    return origin !== undefined && guiOrigins.includes(origin) ? origin : first
  }
}

function lineOf(request: FastifyRequest, reply: FastifyReply): string {
  const { raw, headers } = request
  return accessLine({
    address: request.ip,
    startedAtMs: Date.now() - reply.elapsedTime,
    method: request.method,
    target: redactTarget(request.originalUrl),
    version: raw.httpVersion,
    status: reply.statusCode,
    bytes: Number(reply.getHeader('content-length') ?? 0),
    referer: redactTarget(headers.referer ?? '-'),
    agent: headers['user-agent'] ?? '-',
  })
}

/** HEAD is answered like GET; the server leaves the body out. */
function handlerOf({ methods }: Endpoint, method: string) {
  const name = method === 'HEAD' ? 'GET' : method
  return isMethod(name) ? methods[name] : undefined
}

function isMethod(name: string): name is Method {
  return name === 'GET' || name === 'POST' || name === 'PUT' || name === 'PATCH' || name === 'DELETE'
}

function optionsAnswer({ methods }: Endpoint, request: FastifyRequest): Answer {
  const allowed = [...Object.keys(methods), 'OPTIONS', ...(methods.GET === undefined ? [] : ['HEAD'])].sort().join(', ')
  const requested = request.headers['access-control-request-headers'] ?? 'Content-Type'
  return {
    status: 204,
    headers: {
      allow: allowed,
      'access-control-allow-methods': allowed,
      'access-control-allow-headers': Array.isArray(requested) ? requested.join(', ') : requested,
    },
  }
}

async function readExchange(endpoint: Endpoint, request: FastifyRequest): Promise<Exchange> {
  const query = decodeQuery(queryOf(request.raw))
  const params = paramsOf(endpoint, request)
  if (!BODY_METHODS.has(request.method)) return { params, query, body: {}, kind: 'none', text: null }
  const body = request.body instanceof Uint8Array ? request.body : new Uint8Array(0)
  const { values, kind, text } = await readArguments(contentTypesOf(request.raw), body, { yaml: endpoint.yaml === true })
  return { params, query, body: values, kind, text }
}

function queryOf({ url = '' }: IncomingMessage): string {
  const mark = url.indexOf('?')
  return mark === -1 ? '' : url.slice(mark)
}

function paramsOf({ path }: Endpoint, { params }: FastifyRequest): Record<string, string> {
  const found = new Map<string, unknown>(Object.entries(params ?? {}))
  return Object.fromEntries(
    [...path.matchAll(/\{([^}]+)\}/g)].map(([, name = '']) => [name, String(found.get(name.replaceAll('-', '_')) ?? '')]),
  )
}

/** Every `Content-Type` field: Node's own view keeps only the first. */
function contentTypesOf({ rawHeaders }: IncomingMessage): string[] {
  return rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === 'content-type')
}

/** A request-target that the router can decode once: without scheme and authority, stray percent signs taken literally as Kong does. */
function pathForRouting(url: string): string {
  return url.replace(/^https?:\/\/[^/?]*/i, '').replace(/%(?![0-9a-fA-F]{2})/g, '%25')
}
