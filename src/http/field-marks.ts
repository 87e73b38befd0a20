/**
 * What a gateway does with a header line because of its name alone, as bits. Worked out once for each name that is seen, so that a head is cleaned by
 * comparing numbers.
 */

/** Meant for this hop: never forwarded in a request. */
export const REQUEST_HOP = 1
/** The same in a response; `X-Accel-*` among them, which would steer an nginx behind us. */
export const RESPONSE_HOP = 2
/** Says who the request is: the gateway's to write. A client's copy is removed, in any case and with `_` for `-` (CGI and WSGI cannot tell those apart). */
export const IDENTITY = 4
/** Says what only a trusted peer may say: `Forwarded`, and the gateway's own names with `_` for `-`. */
export const FORGERY = 8

/** In both directions (RFC 9110 section 7.6.1, and what proxies have always treated alike). */
const HOPS = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'trailer', 'te'])
const REQUEST_ONLY_HOPS = new Set(['expect', 'proxy', 'http2-settings', 'proxy-authenticate'])
/** How the names begin that say who the request is; lower case, dashed. */
export const IDENTITY_PREFIXES: readonly string[] = ['x-consumer-', 'x-credential-', 'x-authenticated-', 'x-anonymous-']
const OWN_NAMES = new Set([
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-path',
  'x-forwarded-prefix',
  'x-real-ip',
  'x-kong-request-id',
])

/** A name with `-` for `_`: how CGI and WSGI read it. */
export function dashedName(lower: string): string {
  return lower.includes('_') ? lower.replaceAll('_', '-') : lower
}

/** The bits of a name in lower case. */
export function marksOf(lower: string): number {
  const dashed = dashedName(lower)
  let marks = 0
  if (HOPS.has(lower)) marks |= REQUEST_HOP | RESPONSE_HOP
  if (REQUEST_ONLY_HOPS.has(lower)) marks |= REQUEST_HOP
  if (lower.startsWith('x-accel-')) marks |= RESPONSE_HOP
  if (IDENTITY_PREFIXES.some((prefix) => dashed.startsWith(prefix))) marks |= IDENTITY
  if (lower === 'forwarded' || (dashed !== lower && OWN_NAMES.has(dashed))) marks |= FORGERY
  return marks
}
