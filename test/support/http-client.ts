import { setImmediate } from 'node:timers/promises'
import { Agent } from 'undici'

/**
 * What `JSON.parse` gave, for reading members with `?.`: a member of anything that is not an object is undefined, which holds at run time
 * for strings, numbers and booleans as well.
 */
export interface Json {
  readonly [member: string]: Json | null | undefined
}

export type HttpResponse = {
  status: number
  /** Names in lower case, repeated fields joined with `, `. */
  headers: Record<string, string>
  /** In order and spelling of the wire. */
  rawHeaders: [name: string, value: string][]
  text: string
  /** The body as JSON, undefined when it is not JSON. */
  json: Json | null | undefined
}

export type HttpRequestOptions = {
  headers?: Record<string, string | string[]>
  /** A string, bytes or a form as they are; anything else as JSON. */
  body?: unknown
}

export type HttpClient = AsyncDisposable & {
  request(method: string, url: string, options?: HttpRequestOptions): Promise<HttpResponse>
  get(url: string, headers?: HttpRequestOptions['headers']): Promise<HttpResponse>
  close(): Promise<void>
}

function encode(body: unknown): { bytes: string | Uint8Array | null; type?: string } {
  if (body === undefined) return { bytes: null }
  if (body instanceof URLSearchParams) return { bytes: body.toString(), type: 'application/x-www-form-urlencoded' }
  if (typeof body === 'string' || body instanceof Uint8Array) return { bytes: body }
  return { bytes: JSON.stringify(body), type: 'application/json' }
}

/** The value of a JSON text, undefined when it is not one. */
export function parseJson(text: string): Json | null | undefined {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The headers to send: `content-type` by the kind of body, unless the caller names one. */
function headersFor(headers: HttpRequestOptions['headers'] = {}, type: string | undefined): Record<string, string | string[]> {
  const named = Object.keys(headers).some((name) => name.toLowerCase() === 'content-type')
  return type === undefined || named ? headers : { 'content-type': type, ...headers }
}

/** Header fields by name in lower case, repeated ones joined with `, `. */
export function joinFields(pairs: readonly (readonly [name: string, value: string])[]): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const [name, value] of pairs) {
    const key = name.toLowerCase()
    headers[key] = headers[key] === undefined ? value : `${headers[key]}, ${value}`
  }
  return headers
}

/**
 * A client with keep-alive connections of its own. It follows no redirects and repeats no request. Given an `origin`, it takes paths for
 * URLs too.
 */
export function createHttpClient(origin?: string): HttpClient {
  const agent = new Agent({ headersTimeout: 60_000, bodyTimeout: 60_000 })

  async function request(method: string, url: string, options: HttpRequestOptions = {}): Promise<HttpResponse> {
    const { bytes, type } = encode(options.body)
    const { origin: target, pathname, search } = new URL(url, origin)
    const response = await agent.request({
      origin: target,
      path: pathname + search,
      method,
      headers: headersFor(options.headers, type),
      body: bytes,
      responseHeaders: 'raw',
    })
    const text = await response.body.text()
    // The connection can be used again only in a later turn of the event loop; without this, the next request would open another one.
    await setImmediate()
    const raw = response.headers
    const names = Array.isArray(raw) ? raw.map(String) : Object.entries(raw).flat().map(String)
    const rawHeaders = Array.from({ length: names.length / 2 }, (_, index): [string, string] => [
      names[index * 2] ?? '',
      names[index * 2 + 1] ?? '',
    ])
    return { status: response.statusCode, headers: joinFields(rawHeaders), rawHeaders, text, json: parseJson(text) }
  }

  const close = () => agent.destroy()
  return { request, get: (url, headers = {}) => request('GET', url, { headers }), close, [Symbol.asyncDispose]: close }
}
