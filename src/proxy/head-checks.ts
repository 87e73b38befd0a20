/**
 * What a request's head must be before anything looks at it, beyond what the codec enforces (http/h1): two implementations must not be able to read it
 * differently. Each rule is numbered and answers a refusal or nothing.
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

const BAD: Refusal = { status: 400 }
const AUTHORITY = /^(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?$/

/** Checks a head. The answer is facts or a refusal; nothing is repaired. */
export function checkHead(method: string, target: string, version: string, headers: HeaderList): HeadFacts | Refusal {
  // 1. TRACE would reflect credentials, CONNECT would open a tunnel (RFC 9110 sections 9.3.6, 9.3.8).
  if (method === 'TRACE' || method === 'CONNECT') return { status: 405 }
  // 2. One Host in HTTP/1.1 and 2, none missing; at most one in 1.0 (RFC 9112 section 3.2, RFC 9113 section 8.3.1).
  const host = headers.only('host')
  if (host === null || (host === undefined && version !== '1.0')) return BAD
  if (host !== undefined && !isAuthority(host)) return BAD
  return readTarget(method, target, host ?? '')
}

/** True where {@link checkHead} refused. */
export function isRefusal(result: HeadFacts | Refusal): result is Refusal {
  return 'status' in result
}

function readTarget(method: string, target: string, host: string): HeadFacts | Refusal {
  // 3. Origin-form (RFC 9112 section 3.2.1).
  if (target.startsWith('/')) return withPath(host, target)
  // 4. Asterisk-form belongs to OPTIONS alone; no route can match it (RFC 9112 section 3.2.4).
  if (target === '*') return method === 'OPTIONS' ? { host, rawPath: '*', query: '' } : BAD
  // 5. Absolute-form: its authority replaces Host; no user information, http and https alone (RFC 9112 section 3.2.2).
  const absolute = /^https?:\/\/([^/?#]*)(.*)$/i.exec(target)
  if (absolute === null || !isAuthority(absolute[1] as string)) return BAD
  const rest = absolute[2] as string
  return withPath(absolute[1] as string, rest.startsWith('/') ? rest : `/${rest}`)
}

function withPath(host: string, target: string): HeadFacts | Refusal {
  const { path, query } = splitTarget(target)
  // 6. `%00`, broken escapes, paths that climb above the root (RFC 3986 sections 2.1, 5.2.4).
  if (pathViolation(path) !== null) return BAD
  return { host, rawPath: path, query }
}

/** A host name or address with an optional port: no user information, path, space or control character (RFC 9110 section 4.2.4). */
function isAuthority(text: string): boolean {
  return AUTHORITY.test(text)
}
