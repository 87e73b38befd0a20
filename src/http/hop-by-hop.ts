import type { HeaderList } from './headers.ts'

/** Never forwarded in either direction (RFC 9110 section 7.6.1, and what proxies have always treated alike). */
const ALWAYS = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'trailer', 'te'])

/** The same, and request lines that are meant for this hop only. */
const REQUEST_HOPS = new Set([...ALWAYS, 'expect', 'proxy', 'http2-settings', 'proxy-authenticate'])

/**
 * Names that `Connection` may not take away: a client that could name them would remove framing, credentials or identity behind the gateway's back
 * (CVE-2026-6338 and its kin).
 */
const PROTECTED = new Set(['host', 'content-length', 'content-type', 'authorization', 'cookie'])
const PROTECTED_PREFIXES = ['x-consumer-', 'x-credential-', 'x-forwarded-', 'x-anonymous-', 'x-authenticated-', 'x-kong-', 'x-real-']

/** Removes what is not to be forwarded from a request's head. Runs before any plugin, so that nothing a plugin writes can be named by the client. */
export function removeRequestHopByHop(headers: HeaderList): void {
  const trailers = headers.has('te') && headers.all('te').some((value) => /(^|,)\s*trailers\s*(;|,|$)/i.test(value))
  const named = namedByConnection(headers)
  headers.removeWhere(named === undefined ? isRequestHop : (name) => isRequestHop(name) || named.has(name))
  if (trailers) headers.set('TE', 'trailers')
}

/** Removes what is not to be forwarded from a response's head. `X-Accel-*` would steer an nginx behind us: hidden. */
export function removeResponseHopByHop(headers: HeaderList): void {
  const named = namedByConnection(headers)
  headers.removeWhere(named === undefined ? isResponseHop : (name) => isResponseHop(name) || named.has(name))
}

function isRequestHop(name: string): boolean {
  return REQUEST_HOPS.has(name)
}

function isResponseHop(name: string): boolean {
  return ALWAYS.has(name) || (name.charCodeAt(0) === 120 && name.startsWith('x-accel-'))
}

function namedByConnection(headers: HeaderList): Set<string> | undefined {
  let names: Set<string> | undefined
  for (const value of headers.all('connection')) {
    if (value === 'keep-alive' || value === 'close') continue
    for (const item of value.split(',')) {
      const name = item.trim().toLowerCase()
      if (name === '' || name === 'close' || name === 'keep-alive' || isProtected(name)) continue
      names ??= new Set()
      names.add(name)
    }
  }
  return names
}

function isProtected(name: string): boolean {
  const dashed = name.replaceAll('_', '-')
  return PROTECTED.has(dashed) || PROTECTED_PREFIXES.some((prefix) => dashed.startsWith(prefix))
}
