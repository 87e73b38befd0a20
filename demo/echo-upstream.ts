import { randomBytes } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import busboy from 'busboy'
import { close, listen } from './listening.ts'

/** Requests remembered at most; the oldest is dropped first. */
const MAX_RECORDED_REQUESTS = 10_000
/** The largest body that is read; more is answered with 413. */
const MAX_BODY_BYTES = 64 * 1024 * 1024
/** A body beyond this many bytes is echoed but not remembered whole. */
const MAX_RECORDED_BODY_BYTES = 1024 * 1024
/** Limits of the parameters, so that no request keeps the server busy for ever. */
const MAX_SECONDS = 60
const MAX_LINES = 10_000
const MAX_BYTES = 64 * 1024 * 1024
const CHUNK_BYTES = 64 * 1024

type Fields = Record<string, string | string[]>

/** A request as it came in on the wire. */
export type EchoedRequest = {
  method: string
  /** The request target, undecoded. */
  target: string
  /** In order and spelling of the wire. */
  rawHeaders: [name: string, value: string][]
  /** The first MiB of the body. */
  body: Buffer
  /** False when the client left before the end of its body. */
  complete: boolean
  /** Number of the connection, counted from 1. */
  connection: number
}

export type EchoUpstream = AsyncDisposable & {
  /** `http://127.0.0.1:<port>` */
  readonly origin: string
  readonly port: number
  /** The latest requests, oldest first. */
  readonly requests: readonly EchoedRequest[]
  readonly lastRequest: EchoedRequest | undefined
  /** Number of connections accepted since the start or `reset()`. */
  readonly connections: number
  /** Resolves when `count` requests have been recorded since the start or `reset()`. */
  received(count: number): Promise<void>
  /** Forgets requests and connections counted so far. */
  reset(): void
  stop(): Promise<void>
}

/** An exchange whose request body has been read. */
type Exchange = { request: IncomingMessage; response: ServerResponse; url: URL; body: Buffer }

/** `x-consumer-username` → `X-Consumer-Username`, as httpbin shows names whatever their spelling on the wire. */
function canonicalName(name: string): string {
  return name.toLowerCase().replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase())
}

function rawHeadersOf({ rawHeaders }: IncomingMessage): [string, string][] {
  return Array.from({ length: rawHeaders.length / 2 }, (_, index) => [rawHeaders[index * 2] ?? '', rawHeaders[index * 2 + 1] ?? ''])
}

function headersOf(request: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = Object.create(null)
  for (const [name, value] of rawHeadersOf(request)) {
    const key = canonicalName(name)
    headers[key] = key in headers ? `${headers[key]},${value}` : value
  }
  return headers
}

/** One value as a string, repeated ones as a list. */
function fieldsOf(entries: Iterable<[string, string]>): Fields {
  const fields: Fields = Object.create(null)
  for (const [name, value] of entries) {
    const present = fields[name]
    fields[name] = present === undefined ? value : Array.isArray(present) ? [...present, value] : [present, value]
  }
  return fields
}

/** UTF-8 text as it is, anything else as a data URL. */
function textOf(body: Buffer): string {
  const text = body.toString()
  return Buffer.from(text).equals(body) ? text : `data:application/octet-stream;base64,${body.toString('base64')}`
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

async function multipartOf(request: IncomingMessage, body: Buffer): Promise<{ form: Fields; files: Fields }> {
  const form: [string, string][] = []
  const files: [string, string][] = []
  const parser = busboy({ headers: request.headers })
  parser.on('field', (name, value) => form.push([name, value]))
  parser.on('file', (name, stream) => {
    const chunks: Buffer[] = []
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('end', () => files.push([name, textOf(Buffer.concat(chunks))]))
  })
  parser.end(body)
  await once(parser, 'close')
  return { form: fieldsOf(form), files: fieldsOf(files) }
}

async function bodyMembers({ request, body }: Exchange) {
  const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase()
  if (type === 'application/x-www-form-urlencoded') {
    return { data: '', files: {}, form: fieldsOf(new URLSearchParams(body.toString())), json: null }
  }
  if (type === 'multipart/form-data') return { data: '', json: null, ...(await multipartOf(request, body)) }
  const data = textOf(body)
  return { data, files: {}, form: {}, json: jsonOf(data) }
}

function requestMembers({ request, url }: Exchange) {
  const forwardedFor = request.headers['x-forwarded-for']
  return {
    args: fieldsOf(url.searchParams),
    headers: headersOf(request),
    origin: Array.isArray(forwardedFor) ? forwardedFor.join(', ') : (forwardedFor ?? request.socket.remoteAddress ?? ''),
    url: url.href,
  }
}

/** httpbin's answer to `/anything`, and beside it `raw_headers`: names and values in the order and spelling of the wire. */
async function anything(exchange: Exchange) {
  const { request } = exchange
  return { ...requestMembers(exchange), ...(await bodyMembers(exchange)), method: request.method, raw_headers: rawHeadersOf(request) }
}

function sendJson(response: ServerResponse, value: unknown, status = 200): void {
  const body = `${JSON.stringify(value, undefined, 2)}\n`
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }).end(body)
}

/** Writes and waits until there is room for more; false when the client is gone. */
async function write(response: ServerResponse, chunk: string | Buffer): Promise<boolean> {
  if (response.destroyed) return false
  if (!response.write(chunk)) {
    const settled = new AbortController()
    await Promise.race(['drain', 'close'].map((event) => once(response, event, settled)))
    settled.abort()
  }
  return !response.destroyed
}

/** A number from a path or query; what is not a number is 0, what is too large the limit. */
function bounded(text: string | null | undefined, max: number): number {
  const value = Number(text ?? 0)
  return Number.isFinite(value) ? Math.min(Math.max(value, 0), max) : 0
}

async function streamLines(exchange: Exchange, count: string): Promise<void> {
  const { response } = exchange
  response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders()
  for (let id = 0; id < bounded(count, MAX_LINES); id++) {
    if (!(await write(response, `${JSON.stringify({ ...requestMembers(exchange), id })}\n`))) return
  }
  response.end()
}

/** Server-sent events; `interval` is in seconds. */
async function streamEvents({ response, url }: Exchange, count: string): Promise<void> {
  const intervalS = bounded(url.searchParams.get('interval'), MAX_SECONDS)
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' }).flushHeaders()
  for (let id = 0; id < bounded(count, MAX_LINES); id++) {
    if (id > 0 && intervalS > 0) await delay(intervalS * 1000)
    if (!(await write(response, `id: ${id}\ndata: ${JSON.stringify({ id })}\n\n`))) return
  }
  response.end()
}

async function sendBytes({ response }: Exchange, count: string): Promise<void> {
  const total = Math.trunc(bounded(count, MAX_BYTES))
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': total })
  for (let left = total; left > 0; left -= CHUNK_BYTES) {
    if (!(await write(response, randomBytes(Math.min(left, CHUNK_BYTES))))) return
  }
  response.end()
}

/** `bytes` stars, spread over `duration` seconds, after `delay` seconds. */
async function drip({ response, url }: Exchange): Promise<void> {
  const parameter = (name: string, standard: string) => url.searchParams.get(name) ?? standard
  const total = Math.trunc(bounded(parameter('numbytes', parameter('bytes', '10')), MAX_LINES))
  const pauseMs = (bounded(parameter('duration', '2'), MAX_SECONDS) * 1000) / Math.max(total, 1)
  await delay(bounded(parameter('delay', '0'), MAX_SECONDS) * 1000)
  response.writeHead(statusOf(parameter('code', '200')), { 'content-type': 'application/octet-stream', 'content-length': total })
  response.flushHeaders()
  for (let sent = 0; sent < total; sent++) {
    if (!(await write(response, '*'))) return
    await delay(pauseMs)
  }
  response.end()
}

/** A final status; anything else is 400. */
function statusOf(text: string): number {
  const status = Number(text)
  return Number.isInteger(status) && status >= 200 && status <= 599 ? status : 400
}

function sendStatus({ response }: Exchange, code: string): void {
  const status = statusOf(code)
  const redirect = status >= 301 && status <= 308 && status !== 304 && status !== 306
  response.writeHead(status, STATUS_CODES[status] ?? '', redirect ? { location: '/redirect/1' } : {}).end()
}

type Endpoint = (exchange: Exchange, parameter: string) => Promise<void> | void

/** By the first segment of the path; the second one is the parameter. */
const endpoints: Record<string, Endpoint> = {
  anything: async (exchange) => sendJson(exchange.response, await anything(exchange)),
  headers: (exchange) => sendJson(exchange.response, { headers: headersOf(exchange.request), raw_headers: rawHeadersOf(exchange.request) }),
  get: (exchange) => sendJson(exchange.response, requestMembers(exchange)),
  post: async (exchange) => sendJson(exchange.response, { ...requestMembers(exchange), ...(await bodyMembers(exchange)) }),
  ip: (exchange) => sendJson(exchange.response, { origin: requestMembers(exchange).origin }),
  status: sendStatus,
  async delay(exchange, seconds) {
    await delay(bounded(seconds, MAX_SECONDS) * 1000)
    sendJson(exchange.response, { ...requestMembers(exchange), ...(await bodyMembers(exchange)) })
  },
  stream: streamLines,
  sse: streamEvents,
  bytes: sendBytes,
  drip,
}

/** Endpoints that answer one method only; any other method is 405. */
const methods: Record<string, string[]> = { get: ['GET', 'HEAD'], post: ['POST'], ip: ['GET', 'HEAD'] }

async function answer(exchange: Exchange): Promise<void> {
  const [name = '', parameter = ''] = exchange.url.pathname.split('/').slice(1)
  const endpoint = Object.hasOwn(endpoints, name) ? endpoints[name] : undefined
  if (endpoint === undefined) return sendJson(exchange.response, { message: 'not found' }, 404)
  if (methods[name]?.includes(exchange.request.method ?? '') === false) {
    return void exchange.response.writeHead(405, { allow: methods[name].join(', ') }).end()
  }
  return endpoint(exchange, parameter)
}

/** The URL that the client used, as far as it can be told. */
function urlOf(request: IncomingMessage): URL | undefined {
  const scheme = request.headers['x-forwarded-proto'] === 'https' ? 'https' : 'http'
  const target = request.url ?? '/'
  const host = request.headers.host ?? 'localhost'
  return URL.parse(target.startsWith('/') ? `${scheme}://${host}${target}` : target) ?? URL.parse(`http://localhost${target}`) ?? undefined
}

async function readBody(request: IncomingMessage): Promise<{ body: Buffer; complete: boolean; tooLarge: boolean }> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      size += chunk.length
      if (size > MAX_BODY_BYTES) return { body: Buffer.concat(chunks), complete: false, tooLarge: true }
      chunks.push(chunk)
    }
  } catch {
    // The client left in the middle of its body: what came until then is recorded.
  }
  return { body: Buffer.concat(chunks), complete: request.complete, tooLarge: false }
}

/**
 * Starts a server that tells a client what it received, with httpbin's paths and answers: `/anything/*`, `/headers`, `/get`, `/post`,
 * `/ip`, `/status/{code}`, `/delay/{seconds}`, `/stream/{lines}`, `/sse/{events}?interval=`, `/bytes/{n}` and
 * `/drip?bytes=&duration=&delay=&code=`. It remembers the requests for tests.
 *
 * @throws when the port is taken
 */
export async function startEchoUpstream({ port = 0, host = '127.0.0.1' } = {}): Promise<EchoUpstream> {
  const requests: EchoedRequest[] = []
  const numbers = new WeakMap<object, number>()
  const events = new EventEmitter<{ recorded: [] }>().setMaxListeners(0)
  let recorded = 0
  let connections = 0

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { body, complete, tooLarge } = await readBody(request)
    requests.push({
      method: request.method ?? '',
      target: request.url ?? '',
      rawHeaders: rawHeadersOf(request),
      body: body.subarray(0, MAX_RECORDED_BODY_BYTES),
      complete,
      connection: numbers.get(request.socket) ?? 0,
    })
    if (requests.length > MAX_RECORDED_REQUESTS) requests.shift()
    recorded++
    events.emit('recorded')
    const url = urlOf(request)
    if (tooLarge) return void response.writeHead(413, { connection: 'close' }).end()
    if (url === undefined) return sendJson(response, { message: 'bad request target' }, 400)
    if (complete) await answer({ request, response, url, body })
  }

  const server = createServer({ maxHeaderSize: 128 * 1024, keepAliveTimeout: 65_000, requestTimeout: 0 }, (request, response) => {
    serve(request, response).catch(() => (response.headersSent ? response.destroy() : sendJson(response, { message: 'bad request' }, 400)))
  })
  server.on('connection', (socket) => numbers.set(socket, ++connections))
  const listeningPort = await listen(server, port, host)

  return {
    origin: `http://${host.includes(':') ? `[${host}]` : host}:${listeningPort}`,
    port: listeningPort,
    requests,
    get lastRequest() {
      return requests.at(-1)
    },
    get connections() {
      return connections
    },
    async received(count) {
      while (recorded < count) await once(events, 'recorded')
    },
    reset() {
      requests.length = 0
      recorded = 0
      connections = 0
    },
    stop: () => close(server),
    [Symbol.asyncDispose]: () => close(server),
  }
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { port: { type: 'string', default: '9080' }, host: { type: 'string', default: '127.0.0.1' } } })
  const upstream = await startEchoUpstream({ port: Number(values.port), host: values.host })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void upstream.stop())
  process.stdout.write(`Echo upstream: ${upstream.origin}\n`)
}
