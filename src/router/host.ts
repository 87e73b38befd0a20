/**
 * Host names as routes and requests spell them. Compared without regard to ASCII case and without one trailing dot (Kong compares as written);
 * an IPv6 literal is read as one thing with its brackets (Kong cuts it at its first colon).
 *
 * @see RFC 9110 section 4.2.3, RFC 3986 section 3.2.2
 */

import { isIPv6 } from 'node:net'

/** Longest textual IPv6 address with brackets. Longer is not an address and is not parsed. */
const MAX_IPV6_LITERAL = 47

const PORT = /^[0-9]{1,5}$/
const DOT = 0x2e
const BRACKET = 0x5b

/** The name in an authority (`name`, `name:port`, `[v6]`, `[v6]:port`) in the form names are compared in. '' stays ''. */
export function hostName(authority: string): string {
  if (authority.charCodeAt(0) === BRACKET) return ipv6Name(authority)
  const colon = authority.indexOf(':')
  return comparableName(colon === -1 ? authority : authority.slice(0, colon))
}

/** The port an authority names, or `fallback` when it names none. */
export function hostPort(authority: string, fallback: number): number {
  return portOf(authority) ?? fallback
}

function portOf(authority: string): number | null {
  const colon = authority.indexOf(':', authority.charCodeAt(0) === BRACKET ? authority.indexOf(']') : 0)
  const digits = colon === -1 ? '' : authority.slice(colon + 1)
  return PORT.test(digits) ? Number(digits) : null
}

/** Lower case, without one trailing dot. Gives `name` itself back when it is already so. */
export function comparableName(name: string): string {
  const end = name.length - 1
  return (end > 0 && name.charCodeAt(end) === DOT ? name.slice(0, end) : name).toLowerCase()
}

function ipv6Name(authority: string): string {
  const literal = authority.slice(0, authority.indexOf(']') + 1)
  if (literal === '' || literal.length > MAX_IPV6_LITERAL) return authority.toLowerCase()
  return canonicalIpv6(literal)
}

/** `[0:0:0:0:0:0:0:1]` and `[::1]` are one host. */
function canonicalIpv6(literal: string): string {
  return URL.parse(`http://${literal}/`)?.hostname ?? literal.toLowerCase()
}

/** An entry of `hosts` or `snis`, ready to be compared. */
export interface NamePattern {
  /** `*.example.com` is a suffix, `example.*` a prefix. Neither is bound to one label. */
  readonly kind: 'exact' | 'suffix' | 'prefix'
  /** What the name must equal, end with (`.example.com`) or begin with (`example.`). */
  readonly text: string
  /** The port the request must be for, null when the entry names none. */
  readonly port: number | null
}

/** Reads an entry of `hosts` (`a.example.com`, `*.example.com`, `example.*`, each with or without `:port`; or an IPv6 address, in brackets or bare). */
export function hostPattern(entry: string): NamePattern {
  const authority = isIPv6(entry) ? `[${entry}]` : entry
  const port = portOf(authority)
  if (authority.charCodeAt(0) === BRACKET) return { kind: 'exact', text: ipv6Name(authority), port }
  const colon = authority.indexOf(':')
  return namePattern(colon === -1 ? authority : authority.slice(0, colon), port)
}

/** Reads an entry of `snis` (`a.example.com`, `*.example.com`, `example.*`). */
export function sniPattern(entry: string): NamePattern {
  return namePattern(entry, null)
}

function namePattern(name: string, port: number | null): NamePattern {
  if (name.startsWith('*')) return { kind: 'suffix', text: comparableName(name).slice(1), port }
  if (name.endsWith('*')) return { kind: 'prefix', text: name.slice(0, -1).toLowerCase(), port }
  return { kind: 'exact', text: comparableName(name), port }
}

/** Whether `name`, as `hostName` or `comparableName` gives it, fits the pattern. The port is the caller's to compare. */
export function nameMatches(pattern: NamePattern, name: string): boolean {
  switch (pattern.kind) {
    case 'exact':
      return name === pattern.text
    case 'suffix':
      return name.endsWith(pattern.text)
    case 'prefix':
      return name.startsWith(pattern.text)
  }
}
