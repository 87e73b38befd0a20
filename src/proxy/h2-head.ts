/** The head of a stream as a request of the gateway: what nghttp2 leaves to be checked (RFC 9113 sections 8.2, 8.3), and the fields that HTTP/1.1 spells differently. */

import { REQUEST_HOP } from '../http/field-marks.ts'
import type { HeadLimits } from '../http/h1/head.ts'
import { HEAD_TOO_LARGE, TARGET_TOO_LONG } from '../http/h1/violation.ts'
import { HeaderList } from '../http/headers.ts'
import { consistsOf, HTAB, METHOD, SP, TARGET } from '../http/octets.ts'

export interface StreamHead {
  readonly method: string
  /** `:path`; the authority for CONNECT, which has none. */
  readonly target: string
  /** `Host` from `:authority` first, then the lines in order; crumbs of `cookie` are one line. */
  readonly headers: HeaderList
  readonly framing: 'none' | 'length' | 'chunked'
  /** Bytes of the body; null where the stream's end will tell. */
  readonly length: number | null
  /** About what HTTP/1.1 would have taken. */
  readonly bytes: number
  /** An answer that needs no further look. */
  readonly refusal?: { readonly status: number; readonly message?: string | undefined }
}

/** Bytes beside name and value in a line of HTTP/1.1. */
const LINE_BYTES = 4
/** Longest method, as in HTTP/1.1. */
const METHOD_BYTES = 32
/** Never in HTTP/2 (RFC 9113 section 8.2.2); `TE` has a rule of its own. */
const CONNECTION_FIELDS = ['connection', 'proxy-connection', 'keep-alive', 'transfer-encoding', 'upgrade']

const WHITE_SPACE: ReadonlySet<number> = new Set([SP, HTAB])

interface PseudoFields {
  method: string
  path: string
  scheme: string
  authority: string | undefined
  protocol: string | undefined
}

/**
 * Reads a head.
 *
 * @param raw flat, as `node:http2` gives it: byte strings, pseudo-header fields first
 * @param ended the head was the stream's last frame
 * @returns undefined for a malformed head: the stream is to be reset (PROTOCOL_ERROR)
 */
export function readStreamHead(raw: readonly string[], ended: boolean, limits: HeadLimits): StreamHead | undefined {
  const pseudo: PseudoFields = { method: '', path: '', scheme: '', authority: undefined, protocol: undefined }
  const first = readPseudoFields(raw, pseudo)
  if (first === -1) return undefined
  const headers = new HeaderList()
  if (pseudo.authority !== undefined) headers.add('Host', pseudo.authority)
  const fields = addFields(headers, raw, first, limits.lineBytes)
  if (fields === undefined || headers.unsafeName() !== undefined || hasConnectionFields(headers)) return undefined
  const body = bodyOf(headers, ended)
  if (body === undefined || !isPlainPseudo(pseudo)) return undefined
  const { method } = pseudo
  const target = method === 'CONNECT' ? (pseudo.authority ?? '') : pseudo.path
  const bytes = method.length + target.length + fields.bytes
  const head = { method, target, headers, ...body, bytes }
  if (target.length > limits.lineBytes) return { ...head, refusal: TARGET_TOO_LONG }
  return fields.oversize || bytes > limits.headBytes ? { ...head, refusal: HEAD_TOO_LARGE } : head
}

/** Index of the first field that is none; -1 where one is unknown or repeated. */
function readPseudoFields(raw: readonly string[], pseudo: PseudoFields): number {
  const seen = new Set<string>()
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string
    if (!name.startsWith(':')) return i
    if (seen.has(name)) return -1
    seen.add(name)
    const value = raw[i + 1] as string
    if (name === ':method') pseudo.method = value
    else if (name === ':path') pseudo.path = value
    else if (name === ':scheme') pseudo.scheme = value
    else if (name === ':authority') pseudo.authority = value
    else if (name === ':protocol') pseudo.protocol = value
    else return -1
  }
  return raw.length
}

/** Extended CONNECT is none of the settings that we sent (RFC 8441 section 3). */
function isPlainPseudo({ method, path, scheme, protocol }: PseudoFields): boolean {
  if (protocol !== undefined || method.length > METHOD_BYTES || method === '' || !consistsOf(METHOD, method)) return false
  if (method === 'CONNECT') return path === '' && scheme === ''
  if (scheme !== 'http' && scheme !== 'https') return false
  return path === '*' ? method === 'OPTIONS' : path.startsWith('/') && consistsOf(TARGET, path)
}

/** Adds the lines; undefined for a second pseudo-header section or a name that is not in lower case. */
function addFields(
  headers: HeaderList,
  raw: readonly string[],
  first: number,
  lineBytes: number,
): { bytes: number; oversize: boolean } | undefined {
  let bytes = 0
  let oversize = false
  let crumbs: string[] | undefined
  for (let i = first; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string
    const value = raw[i + 1] as string
    if (name.startsWith(':') || name !== name.toLowerCase() || isPadded(value)) return undefined
    const size = name.length + value.length + LINE_BYTES
    bytes += size
    oversize ||= size > lineBytes
    if (name === 'cookie') {
      if (crumbs === undefined) {
        crumbs = []
        headers.add(name, value)
      }
      crumbs.push(value)
    } else if (name !== 'host' || !isSameHost(headers.get('host'), value)) headers.add(name, value)
  }
  // Crumbs are one line again (RFC 9113 section 8.2.3).
  if (crumbs !== undefined && crumbs.length > 1) headers.set('cookie', crumbs.join('; '))
  return { bytes, oversize }
}

/** White space at either end is no part of a value (RFC 9113 section 8.2.1). */
function isPadded(value: string): boolean {
  return value !== '' && (WHITE_SPACE.has(value.charCodeAt(0)) || WHITE_SPACE.has(value.charCodeAt(value.length - 1)))
}

/** `Host` beside an equal `:authority` says nothing new; one that differs stays, and two `Host` lines are refused (RFC 9113 section 8.3.1). */
function isSameHost(authority: string | undefined, host: string): boolean {
  return authority !== undefined && authority.toLowerCase() === host.toLowerCase()
}

function hasConnectionFields(headers: HeaderList): boolean {
  if (!headers.hasMarked(REQUEST_HOP)) return false
  return CONNECTION_FIELDS.some((name) => headers.has(name)) || headers.all('te').some((value) => value.toLowerCase() !== 'trailers')
}

/** That DATA adds up to `length` is checked by nghttp2, which resets the stream otherwise. */
function bodyOf(headers: HeaderList, ended: boolean): Pick<StreamHead, 'framing' | 'length'> | undefined {
  const lengths = headers.all('content-length')
  const declared = lengths[0]
  if (declared === undefined) return ended ? { framing: 'none', length: 0 } : { framing: 'chunked', length: null }
  const length = Number(declared)
  if (lengths.length > 1 || !/^\d+$/.test(declared) || !Number.isSafeInteger(length) || (ended && length > 0)) return undefined
  return { framing: length > 0 ? 'length' : 'none', length }
}
