/**
 * The header of the PROXY protocol, versions 1 and 2 (HAProxy's proxy-protocol.txt, sections 2.1 and 2.2): what a proxy that only moves bytes says of the
 * client's connection before the first of them.
 *
 *   1   PROXY TCP4 192.0.2.1 198.51.100.1 40000 443\r\n        at most 107 bytes; also TCP6, and UNKNOWN with anything or nothing behind it
 *   2   12 bytes of signature | version, command | family, transport | length, 2 bytes | addresses | TLVs, which are skipped
 *
 * Read as strictly as the text allows, because both sides have to agree on where the header ends: what stands behind it is TLS or HTTP of a client.
 */
import { isIPv4, isIPv6, SocketAddress } from 'node:net'
import type { Endpoint, ProxiedConnection } from '../http/exchange.ts'
import { plainAddress } from './forwarded.ts'

/** What the first bytes of a connection are. */
export type ProxyHeader =
  /** The beginning of a header, as far as can be seen. */
  | { readonly kind: 'partial' }
  /** No header, or a broken one. `reason` is for logs, and has nothing of the bytes in it. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** The whole of one; the client's bytes follow after `length`. `proxied` is null where it tells no addresses of TCP: those of the socket stand. */
  | { readonly kind: 'complete'; readonly length: number; readonly proxied: ProxiedConnection | null }

/** Bytes that a header may have: nginx's bound for version 2. */
export const MAX_PROXY_HEADER_BYTES = 4096

const V1_BEGIN = Buffer.from('PROXY ', 'latin1')
const V1_MAX_BYTES = 107
const V1_TCP = /^PROXY TCP([46]) (\S+) (\S+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})$/
const V1_UNKNOWN = /^PROXY UNKNOWN(?: |$)/

const V2_SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
const V2_FIXED_BYTES = 16
const V2_LOCAL = 0x20
const V2_PROXY = 0x21
const TCP4 = 0x11
const TCP6 = 0x21
/** Bytes of the addresses by family and transport. All others are reserved (section 2.2). */
const V2_ADDRESS_BYTES: ReadonlyMap<number, number> = new Map([
  [0x00, 0],
  [TCP4, 12],
  [0x12, 12],
  [TCP6, 36],
  [0x22, 36],
  [0x31, 216],
  [0x32, 216],
])

const PARTIAL: ProxyHeader = { kind: 'partial' }

/**
 * Reads the header at the beginning of a connection. The same bytes with more behind them give the same header.
 *
 * @param bytes all that has come; a header is told from other things by its first byte, and is never asked to be longer than {@link MAX_PROXY_HEADER_BYTES}
 */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  if (agrees(bytes, V2_SIGNATURE)) return readV2(bytes)
  return agrees(bytes, V1_BEGIN) ? readV1(bytes) : refused('no header of the PROXY protocol')
}

/** Nothing of `bytes` contradicts that they begin with `expected`. */
function agrees(bytes: Buffer, expected: Buffer): boolean {
  const size = Math.min(bytes.length, expected.length)
  return bytes.compare(expected, 0, size, 0, size) === 0
}

function refused(reason: string): ProxyHeader {
  return { kind: 'refused', reason }
}

// --------------------------------------------------------------------------------------------------------------------------------------- version 1

function readV1(bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, V1_MAX_BYTES).indexOf('\r\n')
  if (end === -1) return bytes.length < V1_MAX_BYTES ? PARTIAL : refused('the line is too long')
  const line = bytes.toString('latin1', 0, end)
  const length = end + 2
  if (V1_UNKNOWN.test(line)) return { kind: 'complete', length, proxied: null }
  const [, version, from = '', to = '', fromPort, toPort] = V1_TCP.exec(line) ?? []
  if (version === undefined) return refused('malformed line')
  const source = readEndpoint(version, from, Number(fromPort))
  const destination = readEndpoint(version, to, Number(toPort))
  return source === null || destination === null
    ? refused('malformed address or port')
    : { kind: 'complete', length, proxied: { source, destination } }
}

function readEndpoint(version: string, address: string, port: number): Endpoint | null {
  // A zone (`fe80::1%eth0`) means something on one machine only.
  const valid = version === '4' ? isIPv4(address) : isIPv6(address) && !address.includes('%')
  if (!valid || port > 65_535) return null
  return { address: version === '4' ? address : ipv6(address), port }
}

// --------------------------------------------------------------------------------------------------------------------------------------- version 2

/** What is wrong with the fixed part as far as it has come; undefined for nothing. */
function checkV2(bytes: Buffer): ProxyHeader | undefined {
  const [command, family] = bytes.subarray(12, 14)
  if (command === undefined) return undefined
  if (command !== V2_LOCAL && command !== V2_PROXY) return refused('unknown version or command')
  // LOCAL is the proxy's own connection, a health check for instance; its family is to be ignored.
  if (family === undefined || command === V2_LOCAL || V2_ADDRESS_BYTES.has(family)) return undefined
  return refused('unknown address family or transport')
}

function readV2(bytes: Buffer): ProxyHeader {
  const fault = checkV2(bytes)
  if (fault !== undefined) return fault
  if (bytes.length < V2_FIXED_BYTES) return PARTIAL
  const family = bytes.readUInt8(13)
  const rest = bytes.readUInt16BE(14)
  const length = V2_FIXED_BYTES + rest
  if (length > MAX_PROXY_HEADER_BYTES) return refused('the header is too long')
  const local = bytes[12] === V2_LOCAL
  if (!local && rest < (V2_ADDRESS_BYTES.get(family) ?? 0)) return refused('the header is too short for its addresses')
  if (bytes.length < length) return PARTIAL
  return { kind: 'complete', length, proxied: local ? null : readV2Addresses(family, bytes.subarray(V2_FIXED_BYTES, length)) }
}

function readV2Addresses(family: number, bytes: Buffer): ProxiedConnection | null {
  if (family === TCP4) {
    return {
      source: { address: bytes.subarray(0, 4).join('.'), port: bytes.readUInt16BE(8) },
      destination: { address: bytes.subarray(4, 8).join('.'), port: bytes.readUInt16BE(10) },
    }
  }
  if (family !== TCP6) return null
  return {
    source: { address: ipv6(groups(bytes.subarray(0, 16))), port: bytes.readUInt16BE(32) },
    destination: { address: ipv6(groups(bytes.subarray(16, 32))), port: bytes.readUInt16BE(34) },
  }
}

function groups(address: Buffer): string {
  return address.toString('hex').replace(/.{4}(?!$)/g, '$&:')
}

/** The one way to write an address (RFC 5952), so that equal ones are equal texts for whoever counts by client; IPv4 in IPv6 as IPv4. */
function ipv6(address: string): string {
  return plainAddress(new SocketAddress({ address, family: 'ipv6' }).address)
}
