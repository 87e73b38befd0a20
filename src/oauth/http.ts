/** The HTTP client as this folder needs it. Pools, time-outs, TLS, proxies and retries belong to whoever passes one in. */

/** One request. Header names keep their case; a name may occur more than once. */
export interface HttpRequest {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH'
  url: string
  headers: readonly (readonly [string, string])[]
  body?: string
  /** A body that is no text, in place of `body`. */
  bytes?: Uint8Array
}

/** One response, read to its end. */
export interface HttpResponse {
  status: number
  headers: { get(lowerName: string): string | null }
  /** already bounded in size and freed of any content encoding */
  body: Uint8Array
}

/** Sends one request; never follows redirects; rejects with an Error on transport failure, time-out or too large a body. */
export type HttpClient = (request: HttpRequest) => Promise<HttpResponse>

/** The media type of a response in lower case without its parameters; empty when there is none (RFC 9110 section 8.3.1). */
export function mediaTypeOf(response: HttpResponse): string {
  const [type = ''] = (response.headers.get('content-type') ?? '').split(';', 1)
  return type.trim().toLowerCase()
}
