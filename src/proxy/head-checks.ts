/**
 * What a request's head must be before anything looks at it, beyond what the parser enforces: two implementations must not be able to read it differently.
 * Each rule is numbered and answers a refusal or nothing.
 */
import type { HeaderList } from '../http/headers.ts'
import { pathViolation, splitTarget } from '../http/path.ts'

/** A head that is not served: the status and, where it is not the usual one, the message. The connection is closed after it. */
export interface Refusal {
  readonly status: number
  readonly message?: string
}

/** What was read from a good head. */
export interface HeadFacts {
  /** Authority that the request is for; '' for HTTP/1.0 without `Host`. */
  readonly host: string
  /** Origin-form path as received, and the query from `?` on. */
  readonly rawPath: string
  readonly query: string
}

export interface HeadLimits {
  /** Largest request line and largest single header line, bytes. */
  readonly lineBytes: number
  /** Largest number of header lines. */
  readonly lines: number
}

const TOO_LARGE: Refusal = { status: 400, message: 'Request header or cookie too large' }
const BAD: Refusal = { status: 400 }

/** Checks a head. The answer is facts or a refusal; nothing is repaired. */
export function checkHead(method: string, target: string, version: string, headers: HeaderList, limits: HeadLimits): HeadFacts | Refusal {
  return checkLine(method, target, version, limits) ?? checkFields(version, headers, limits) ?? readTarget(method, target, headers)
}

/** True where {@link checkHead} refused. */
export function isRefusal(result: HeadFacts | Refusal): result is Refusal {
  return 'status' in result
}

function checkLine(method: string, target: string, version: string, limits: HeadLimits): Refusal | undefined {
  // 1. Only HTTP/1.0 and 1.1 speak this framing (RFC 9112 section 2.3); HTTP/2 comes with its own.
  if (version !== '1.1' && version !== '1.0' && version !== '2') return { status: 505 }
  // 2. A request line beyond the limit (RFC 9112 section 3).
  if (method.length + target.length + 11 > limits.lineBytes) return { status: 414 }
  // 3. TRACE would reflect credentials, CONNECT would open a tunnel (RFC 9110 sections 9.3.6, 9.3.8).
  if (method === 'TRACE' || method === 'CONNECT') return { status: 405 }
  return undefined
}

function checkFields(version: string, headers: HeaderList, limits: HeadLimits): Refusal | undefined {
  // 4. More lines, or longer ones, than anybody needs.
  if (headers.size > limits.lines) return TOO_LARGE
  let long = false
  headers.each((name, value) => {
    if (name.length + value.length + 4 > limits.lineBytes) long = true
  })
  if (long) return TOO_LARGE
  // 5. The only transfer coding is `chunked`, once, not in HTTP/1.0, never beside Content-Length (RFC 9112 sections 6.1, 6.3).
  const codings = headers.all('transfer-encoding')
  if (codings.length > 0) {
    if (version === '1.0' || codings.length > 1 || headers.has('content-length')) return BAD
    const coding = (codings[0] as string).toLowerCase()
    if (coding !== 'chunked')
      return /^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(coding) && coding !== 'identity' && !coding.includes('chunked') ? { status: 501 } : BAD
  }
  // 6. One Content-Length, plain digits (RFC 9112 section 6.3).
  const lengths = headers.all('content-length')
  if (lengths.length > 1 || (lengths.length === 1 && !/^\d{1,15}$/.test(lengths[0] as string))) return BAD
  // 7. One Host in HTTP/1.1, none missing; at most one in 1.0 (RFC 9112 section 3.2).
  const hosts = headers.all('host')
  if (hosts.length > 1 || (hosts.length === 0 && version === '1.1')) return BAD
  if (hosts.length === 1 && !isAuthority(hosts[0] as string)) return BAD
  return undefined
}

function readTarget(method: string, target: string, headers: HeaderList): HeadFacts | Refusal {
  // 8. Origin-form (RFC 9112 section 3.2.1).
  if (target.startsWith('/')) return withPath(headers.get('host') ?? '', target)
  // 9. Asterisk-form belongs to OPTIONS alone; no route can match it (RFC 9112 section 3.2.4).
  if (target === '*') return method === 'OPTIONS' ? { host: headers.get('host') ?? '', rawPath: '*', query: '' } : BAD
  // 10. Absolute-form: its authority replaces Host; no user information, http and https alone (RFC 9112 section 3.2.2).
  const absolute = /^https?:\/\/([^/?#]*)(.*)$/i.exec(target)
  if (absolute === null || !isAuthority(absolute[1] as string)) return BAD
  const rest = absolute[2] as string
  return withPath(absolute[1] as string, rest.startsWith('/') ? rest : `/${rest}`)
}

function withPath(host: string, target: string): HeadFacts | Refusal {
  const { path, query } = splitTarget(target)
  // 11. `%00`, broken escapes, paths that climb above the root (RFC 3986 sections 2.1, 5.2.4).
  if (pathViolation(path) !== null) return BAD
  return { host, rawPath: path, query }
}

/** A host name or address with an optional port: no user information, path, space or control character (RFC 9110 section 4.2.4). */
function isAuthority(text: string): boolean {
  return /^(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?$/.test(text)
}
