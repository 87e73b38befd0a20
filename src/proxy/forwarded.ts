/** `X-Forwarded-*`, `X-Real-IP`, `Via` and real client addresses, by whom the gateway trusts. */
import ipaddr from 'ipaddr.js'
import type { ProxiedConnection } from '../http/exchange.ts'
import { FORGERY } from '../http/field-marks.ts'
import { fieldName, type HeaderList } from '../http/headers.ts'
import { withoutPort } from '../util/authority.ts'

/** Whose word about the client is taken (`trusted_ips`), and where it stands. */
export interface TrustSettings {
  readonly trusted_ips: readonly string[]
  readonly real_ip_header: string
  readonly real_ip_recursive: boolean
}

export interface Trust {
  isTrusted(address: string): boolean
  /**
   * The client's address as `peer`, which has to be a trusted one, tells it: in the head of a request, or in the PROXY header of its connection, whichever
   * the settings name and never the other. The peer where it tells none.
   */
  toldAddress(peer: string, headers: HeaderList, proxied: ProxiedConnection | null): string
}

/** The value of `real_ip_header` that means no header of HTTP. */
const PROXY_PROTOCOL = 'proxy_protocol'

type Range = [ipaddr.IPv4 | ipaddr.IPv6, number]

export function createTrust(settings: TrustSettings): Trust {
  const ranges = settings.trusted_ips.filter((entry) => entry !== 'unix:').map(parseRange)
  const header = settings.real_ip_header.toLowerCase()
  const isTrusted = (address: string): boolean => {
    if (ranges.length === 0 || !ipaddr.isValid(address)) return false
    const parsed = ipaddr.process(address)
    return ranges.some((range) => parsed.kind() === range[0].kind() && parsed.match(range))
  }
  if (settings.real_ip_header === PROXY_PROTOCOL)
    return { isTrusted, toldAddress: (peer, _headers, proxied) => proxied?.source.address ?? peer }
  return {
    isTrusted,
    toldAddress: (peer, headers) => chooseAddress(peer, headers.all(header).join(',').split(','), settings.real_ip_recursive, isTrusted),
  }
}

function parseRange(entry: string): Range {
  if (entry.includes('/')) return ipaddr.parseCIDR(entry)
  const address = ipaddr.process(entry)
  return [address, address.kind() === 'ipv4' ? 32 : 128]
}

/** From the right: the last address, or recursively the first that is not itself trusted. Stops at what is no address. */
function chooseAddress(peer: string, items: readonly string[], recursive: boolean, isTrusted: (address: string) => boolean): string {
  let chosen = peer
  for (let i = items.length - 1; i >= 0; i--) {
    const address = stripPort((items[i] as string).trim())
    if (!ipaddr.isValid(address)) return chosen
    chosen = address
    if (!recursive || !isTrusted(address)) return chosen
  }
  return chosen
}

function stripPort(text: string): string {
  const bracketed = /^\[([^\]]+)\](?::\d+)?$/.exec(text)
  if (bracketed !== null) return bracketed[1] as string
  return /^[^:]+:\d+$/.test(text) ? text.slice(0, text.lastIndexOf(':')) : text
}

/** An address without the IPv4-in-IPv6 form that dual-stack sockets show. */
export function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}

/** A request, as the forwarded headers tell of it. */
export interface ForwardedRequest {
  readonly headers: HeaderList
  readonly peerAddress: string
  readonly clientAddress: string
  readonly scheme: 'http' | 'https'
  /** Authority that it is for. */
  readonly host: string
  readonly port: number
  readonly rawPath: string
  readonly version: '1.0' | '1.1' | '2'
}

/**
 * Writes the forwarded set into the head that goes upstream. A trusted peer's values stand, anybody else's are replaced; `X-Forwarded-For` is always
 * appended to. `Forwarded` (RFC 7239) passes only from trusted peers: upstreams that prefer it would be deceived.
 *
 * @param strippedPrefix what `strip_path` took away; null or '/' when nothing
 * @param product        `kong/x.y.z`, the token clients of Kong know
 */
export function setForwarded(request: ForwardedRequest, trusted: boolean, strippedPrefix: string | null, product: string): void {
  const { headers } = request
  if (!trusted) headers.removeMarked(FORGERY)
  const chain = headers.all('x-forwarded-for')
  headers.setParsed(FOR, chain.length === 0 ? request.clientAddress : `${chain.join(', ')}, ${request.peerAddress}`)
  headers.setParsed(PROTO, (trusted ? headers.get(PROTO.lower) : undefined) ?? request.scheme)
  headers.setParsed(HOST, (trusted ? headers.get(HOST.lower) : undefined) ?? hostName(request.host))
  headers.setParsed(PORT, (trusted ? headers.get(PORT.lower) : undefined) ?? String(request.port))
  headers.setParsed(PATH, (trusted ? headers.get(PATH.lower) : undefined) ?? request.rawPath)
  const prefix = (trusted ? headers.get(PREFIX.lower) : undefined) ?? (strippedPrefix === '/' ? null : strippedPrefix)
  if (prefix === null || prefix === '') headers.remove(PREFIX.lower)
  else headers.setParsed(PREFIX, prefix)
  headers.setParsed(REAL_IP, request.clientAddress)
  appendVia(headers, request.version === '2' ? '2' : request.version === '1.0' ? '1' : '1.1', product)
}

const FOR = fieldName('X-Forwarded-For')
const PROTO = fieldName('X-Forwarded-Proto')
const HOST = fieldName('X-Forwarded-Host')
const PORT = fieldName('X-Forwarded-Port')
const PATH = fieldName('X-Forwarded-Path')
const PREFIX = fieldName('X-Forwarded-Prefix')
const REAL_IP = fieldName('X-Real-IP')
const VIA = fieldName('Via')

/** Appends this hop to `Via` (RFC 9110 section 7.6.3). */
export function appendVia(headers: HeaderList, version: string, product: string): void {
  const own = `${version} ${product}`
  headers.setParsed(VIA, headers.has(VIA.lower) ? [...headers.all(VIA.lower), own].join(', ') : own)
}

/** A `Host` value without port, lower case; brackets of IPv6 literals stay. */
export function hostName(host: string): string {
  return withoutPort(host).toLowerCase()
}
