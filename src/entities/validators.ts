/** Checks of texts that entities share. Each returns the text of the violation, or undefined; the texts are Kong's. */
import ipaddr from 'ipaddr.js'
import { isNormalized, normalFormOf } from '../http/path.ts'
import { regexPathViolation } from '../http/route-regex.ts'

/** Text of a violation, or undefined when the value is good. */
export type TextCheck = (value: string) => string | undefined

/** Letters, digits, `.`, `-`, `_`, `~` and anything beyond ASCII: names that stand in URLs. */
export const utf8Name: TextCheck = (value) =>
  utf8Text(value) ??
  (/^[A-Za-z0-9.\-_~\u0080-\u{10FFFF}]*$/u.test(value)
    ? undefined
    : `invalid value '${value}': the only accepted ascii characters are alphanumerics or ., -, _, and ~`)

/** Any text that UTF-8 can carry: a lone surrogate, as JSON's `\ud800` makes one, cannot be stored. The position is in bytes, from 1. */
export const utf8Text: TextCheck = (value) => {
  if (value.isWellFormed()) return undefined
  const before = /^(?:[^\uD800-\uDFFF]|[\uD800-\uDBFF][\uDC00-\uDFFF])*/.exec(value)?.[0] ?? ''
  return `invalid utf-8 character sequence detected at position ${Buffer.byteLength(before) + 1}`
}

/** A tag: printable, without the `,` and `/` that the list filter uses. */
export const tag: TextCheck = (value) =>
  utf8Text(value) ??
  (/^[\u0020-\u002B\u002D\u002E\u0030-\u007E\u0080-\u{10FFFF}]*$/u.test(value)
    ? undefined
    : `invalid tag '${value}': expected printable ascii (except \`,\` and \`/\`) or valid utf-8 sequences`)

/** A name or an address without a port. */
export const host: TextCheck = (value) => {
  const found = parseAuthority(value)
  if (found === undefined) return `invalid value: ${value}`
  return found.port === undefined ? undefined : 'must not have a port'
}

/** A name or an address, with or without a port. */
export const hostWithOptionalPort: TextCheck = (value) => {
  const found = parseAuthority(value)
  if (found === undefined) return `invalid hostname: ${value}`
  return found.port !== undefined && found.port > 65_535 ? 'invalid port number' : undefined
}

/** A server name that may begin or end in one `*`; no address, no port. */
export const wildcardHost: TextCheck = (value) => {
  const position = value.indexOf('*')
  if (position > 0 && position !== value.length - 1) return 'wildcard must be leftmost or rightmost character'
  if (position >= 0 && value.indexOf('*', position + 1) >= 0) return 'only one wildcard must be specified'
  const found = parseAuthority(value.replace('*', 'wildcard'))
  if (found === undefined) return `invalid value: ${value}`
  if (found.kind !== 'name') return 'must not be an IP'
  return found.port === undefined ? undefined : 'must not have a port'
}

/** A host that a Route matches: one `*` may stand for the whole leftmost or rightmost label, a port may follow. */
export const routeHost: TextCheck = (value) => {
  if (value.split('*').length > 2) return 'invalid wildcard: must have at most one wildcard'
  if (value.includes('*') && !/^\*\.|\.\*(?::\d+)?$/.test(value)) return 'invalid wildcard: must be placed at leftmost or rightmost label'
  const problem = hostWithOptionalPort(value.replace('*', 'wildcard'))
  return problem?.startsWith('invalid hostname') === true ? `invalid hostname: ${value}` : problem
}

/** Characters of a Service's path (RFC 3986 section 3.3), after the leading slash was checked. */
export const path: TextCheck = (value) => {
  if (!/^[A-Za-z0-9\-._~!$&'()*+,;=:@/%]*$/.test(value)) {
    return `invalid path: '${value}' (characters outside of the reserved list of RFC 3986 found)`
  }
  return percentEncoding(value)
}

/** A path that a Route matches: a prefix in normal form, or `~` and a regular expression that begins with `/`. */
export const routerPath: TextCheck = (value) => {
  if (value.startsWith('~/')) return regexPathViolation(value)
  if (!value.startsWith('/')) return 'should start with: / (fixed path) or ~/ (regex path)'
  const malformed = utf8Text(value)
  if (malformed !== undefined) return malformed
  if (value.includes('//')) return 'must not have empty segments'
  return percentEncoding(value) ?? (isNormalized(value) ? undefined : `non-normalized path, consider use '${normalFormOf(value)}' instead`)
}

/** Name of a header field. */
export const headerName: TextCheck = (value) => {
  if (value === '') return 'no header name provided'
  return /^[A-Za-z0-9_-]+$/.test(value) ? undefined : `bad header name '${value}', allowed characters are A-Z, a-z, 0-9, '_', and '-'`
}

/** The value of a header field: no CR, LF or NUL (RFC 9110 section 5.5). It may be a secret, so it is not repeated. */
export const headerValue: TextCheck = (value) => (/[\r\n\0]/.test(value) ? 'a header value must not contain CR, LF or NUL' : undefined)

/** A number that counts or measures. */
export const notNegative = (value: number): string | undefined => (value < 0 ? 'value must not be negative' : undefined)

/** An IPv4 or IPv6 address, or a range of them. */
export const ipOrCidr: TextCheck = (value) => {
  const [address = '', prefix, ...rest] = value.split('/')
  const good = rest.length === 0 && (prefix === undefined ? addressKind(address) !== undefined : isRange(address, prefix))
  return good ? undefined : `invalid ip or cidr range: '${value}'`
}

function percentEncoding(value: string): string | undefined {
  const bad = /%(?![0-9A-Fa-f]{2}).{0,2}/s.exec(value)
  return bad === null ? undefined : `invalid url-encoded value: '${bad[0]}'`
}

// ----------------------------------------------------------------------------------------------------------------------------------- authority

interface Authority {
  readonly kind: 'name' | 'ipv4' | 'ipv6'
  readonly port: number | undefined
}

/** Host and port. More than one colon means IPv6, only digits and dots mean IPv4, the rest is a name: so `1.2.3` is a bad address, not a name. */
function parseAuthority(value: string): Authority | undefined {
  const bracketed = /^\[([^\]]*)\](?::(\d+))?$/.exec(value)
  if (bracketed !== null) return addressKind(bracketed[1] ?? '') === 'ipv6' ? { kind: 'ipv6', port: portOf(bracketed[2]) } : undefined
  if (value.split(':').length > 2) return addressKind(value) === 'ipv6' ? { kind: 'ipv6', port: undefined } : undefined
  const parts = /^([^:]+)(?::(\d+))?$/.exec(value)
  if (parts === null) return undefined
  const [, name = '', port] = parts
  if (/^[\d.]+$/.test(name)) return addressKind(name) === 'ipv4' ? { kind: 'ipv4', port: portOf(port) } : undefined
  return isHostname(name) ? { kind: 'name', port: portOf(port) } : undefined
}

function portOf(digits: string | undefined): number | undefined {
  return digits === undefined ? undefined : Number(digits)
}

function isHostname(name: string): boolean {
  if (!/^[A-Za-z0-9._-]+$/.test(name)) return false
  const labels = name.split('.')
  if (labels.at(-1) === '') labels.pop()
  return labels.length > 0 && labels.every((label) => label !== '' && !label.endsWith('-'))
}

/** Kind of an address in its usual notation; zones (`%eth0`) and octal octets are none. */
function addressKind(text: string): 'ipv4' | 'ipv6' | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return 'ipv4'
  return !text.includes('%') && ipaddr.IPv6.isValid(text) ? 'ipv6' : undefined
}

function isRange(address: string, prefix: string): boolean {
  const kind = addressKind(address)
  return kind !== undefined && /^\d{1,3}$/.test(prefix) && Number(prefix) <= (kind === 'ipv4' ? 32 : 128)
}
