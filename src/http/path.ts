/**
 * The request path: what routes are matched against, and what leaves for the upstream.
 *
 * Two kinds of string meet here. A *byte string* holds one byte per UTF-16 unit (latin1), as paths come off the wire; everything a request
 * brings is one. *Text* is what an operator wrote in a route. `toByteString` and `fromByteString` of util/bytes.ts are the only bridges.
 *
 * ```
 * wire /a%2fb/%41/../caf%C3%A9?q=%20
 *        splitTarget    → /a%2fb/%41/../caf%C3%A9   and   ?q=%20        (the query is never touched)
 *        pathViolation  → null                                          (else the edge answers 400)
 *        normalizePath  → /a%2Fb/caf\xC3\xA9                            (routes, captures, strip_path)
 *        escapePath     → /a%2Fb/caf%C3%A9                              (to the upstream)
 * ```
 */

import { isUtf8 } from 'node:buffer'
import { fromByteString, toByteString } from '../util/bytes.ts'
import { consistsOf } from './octets.ts'

/** RFC 3986 section 2.2 plus `%`: decoding one of these would change what the path means, so they stay encoded. */
const RESERVED = "!*'();:@&=+$,/?%#[]"

/** Byte → the text an escape of that byte becomes in a normalised path. */
const DECODED: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  RESERVED.includes(String.fromCharCode(byte)) ? percentEncoded(byte) : String.fromCharCode(byte),
)

const ESCAPE = /%([0-9A-Fa-f]{2})/g
const MALFORMED_ESCAPE = /%(?![0-9A-Fa-f]{2})|%00|\0/
const NEEDS_ESCAPE = /[^!#$&'()*+,/:;=?@[\]A-Za-z0-9\-_.~%]/g
/** What {@link escapePath} lets pass. */
const UNESCAPED = Uint8Array.from({ length: 256 }, (_, byte) => (String.fromCharCode(byte).search(NEEDS_ESCAPE) === -1 ? 1 : 0))
const SLASH = 0x2f

function percentEncoded(byte: number): string {
  return `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
}

/** A request-target in origin form, cut in two. */
export interface Target {
  /** Up to the first `?` found from the second character on; `#` is an ordinary character on the server side. */
  readonly path: string
  /** From that `?` on, verbatim (so `/a?` gives `?`), or '' without one. */
  readonly query: string
}

/** Cuts a request-target (byte string, origin form) into path and query, as Kong does: a `?` in first place belongs to the path. */
export function splitTarget(target: string): Target {
  const mark = target.indexOf('?', 1)
  return mark === -1 ? { path: target, query: '' } : { path: target.slice(0, mark), query: target.slice(mark) }
}

/**
 * The form of a path that routes are matched against: escapes decoded unless they stand for a reserved character (those get upper-case
 * digits), runs of `/` merged, dot segments removed. Total: a malformed escape is left as it is, a segment too many of `..` is dropped;
 * `pathViolation` tells the edge which paths to refuse instead. Idempotent for paths that it does not refuse.
 *
 * @param rawPath byte string as received, without query
 * @returns byte string; see `isValidUtf8` before treating it as text
 * @see RFC 3986 sections 5.2.4 and 6.2.2; Kong's normalisation of request paths
 */
export function normalizePath(rawPath: string): string {
  const path = decodeUnreserved(rawPath)
  return path.includes('//') || path.includes('/.') || path.charCodeAt(0) === 0x2e ? removeDotSegments(path) : path
}

function decodeUnreserved(rawPath: string): string {
  return rawPath.includes('%') ? rawPath.replace(ESCAPE, (_, digits: string) => DECODED[Number.parseInt(digits, 16)]!) : rawPath
}

/** RFC 3986 section 5.2.4, with empty segments dropped on the way (`/a//..` loses `a`, as in nginx and Kong). */
function removeDotSegments(path: string): string {
  const output: string[] = []
  let position = 0
  while (position < path.length) {
    const rooted = path.charCodeAt(position) === SLASH
    if (rooted && path.charCodeAt(position + 1) === SLASH) {
      position += 1
      continue
    }
    const start = rooted ? position + 1 : position
    const end = segmentEnd(path, start)
    const segment = path.slice(start, end)
    const last = end === path.length
    if (segment !== '.' && segment !== '..') {
      output.push(path.slice(position, end))
      position = end
      continue
    }
    if (segment === '..') output.pop()
    if (rooted && last) output.push('/')
    position = rooted || last ? end : end + 1
  }
  return output.join('')
}

function segmentEnd(path: string, start: number): number {
  const slash = path.indexOf('/', start)
  return slash === -1 ? path.length : slash
}

/**
 * Whether a received path holds a `%` without two hexadecimal digits, or a NUL byte, raw or as `%00`. Such a path has no agreed meaning
 * (a C string ends where another reader goes on), so the edge answers 400.
 *
 * @see RFC 3986 section 2.1
 */
export function hasMalformedEscape(rawPath: string): boolean {
  return (rawPath.includes('%') || rawPath.includes('\0')) && MALFORMED_ESCAPE.test(rawPath)
}

/** Whether the `..` segments of a received path, also written `%2e%2e`, lead above its root at any point: `/a/../../b`. The edge answers 400. */
export function climbsAboveRoot(rawPath: string): boolean {
  if (!rawPath.includes('.') && !rawPath.includes('%')) return false
  let depth = 0
  for (const segment of decodeUnreserved(rawPath).split('/')) {
    if (segment === '..') depth -= 1
    else if (segment !== '' && segment !== '.') depth += 1
    if (depth < 0) return true
  }
  return false
}

/**
 * Why a received path must be refused with 400 before it is routed, or null. The reason is for the log; it quotes nothing of the path.
 *
 * @param rawPath byte string as received, without query
 */
export function pathViolation(rawPath: string): string | null {
  if (hasMalformedEscape(rawPath)) return 'malformed percent-encoding or NUL in path'
  if (climbsAboveRoot(rawPath)) return 'path climbs above its root'
  return null
}

/**
 * Whether a normalised path still holds a dot segment for readers that take `%2F` or `\` for a slash: `/a/..%2Fb`, `/a\..\b`. Kong forwards
 * such paths; the setting `strict_paths` refuses them with 400.
 *
 * @param path as `normalizePath` returns it (so `%5C` is already `\`)
 */
export function hasHiddenDotSegment(path: string): boolean {
  return path.includes('.') && path.split(/\/|\\|%2F/).some((segment) => segment === '.' || segment === '..')
}

/**
 * A path made fit for a request line: every byte outside ``! # $ & ' ( ) * + , / : ; = ? @ [ ] A-Z a-z 0-9 - _ . ~ %`` as `%XX`. `%` passes because
 * the escapes of reserved characters are still in place after `normalizePath`, of which this is the inverse.
 *
 * @param path byte string
 * @see Kong's escaping of upstream paths
 */
export function escapePath(path: string): string {
  // Nearly every path is fit: to look costs a fraction of what the expression does.
  return consistsOf(UNESCAPED, path) ? path : path.replace(NEEDS_ESCAPE, (char) => percentEncoded(char.charCodeAt(0) & 0xff))
}

/** Whether a byte string holds only ASCII, which most paths do; then it equals its own text. */
export function isAscii(bytes: string): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes.charCodeAt(i) > 0x7f) return false
  return true
}

/** Whether a byte string is UTF-8. A normalised path that is not matches no route (404), as in Kong. */
export function isValidUtf8(bytes: string): boolean {
  return isAscii(bytes) || isUtf8(Buffer.from(bytes, 'latin1'))
}

/** Normal form of a path given and returned as text. Bytes that are not UTF-8 after decoding become U+FFFD. */
export function normalFormOf(path: string): string {
  return fromByteString(normalizePath(toByteString(path)))
}

/** Whether a plain path of a route (text, no `~`) is already in the form it is compared in. */
export function isNormalized(path: string): boolean {
  const bytes = toByteString(path)
  return normalizePath(bytes) === bytes
}

/** Kong's message for a plain path of a route that could never match because it is not normalised, or null. Paths that begin with `~` are not for here. */
export function plainPathViolation(path: string): string | null {
  if (isNormalized(path)) return null
  return `non-normalized path, consider use '${normalFormOf(path)}' instead`
}
