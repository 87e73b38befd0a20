import { dashedName, IDENTITY_PREFIXES, REQUEST_HOP, RESPONSE_HOP } from './field-marks.ts'
import type { HeaderList } from './headers.ts'

/**
 * Names that `Connection` may not take away: a client that could name them would remove framing, credentials or identity behind the gateway's back
 * (CVE-2026-6338 and its kin).
 */
const PROTECTED = new Set(['host', 'content-length', 'content-type', 'authorization', 'cookie'])
const PROTECTED_PREFIXES = [...IDENTITY_PREFIXES, 'x-forwarded-', 'x-kong-', 'x-real-']

/** Removes what is not to be forwarded from a request's head. Runs before any plugin, so that nothing a plugin writes can be named by the client. */
export function removeRequestHopByHop(headers: HeaderList): void {
  const trailers = headers.has('te') && headers.all('te').some((value) => /(^|,)\s*trailers\s*(;|,|$)/i.test(value))
  removeNamed(headers)
  headers.removeMarked(REQUEST_HOP)
  if (trailers) headers.set('TE', 'trailers')
}

/** Removes what is not to be forwarded from a response's head. */
export function removeResponseHopByHop(headers: HeaderList): void {
  removeNamed(headers)
  headers.removeMarked(RESPONSE_HOP)
}

/** Removes the lines that `Connection` names. */
function removeNamed(headers: HeaderList): void {
  const named = namedByConnection(headers)
  if (named !== undefined) headers.removeWhere((name) => named.has(name))
}

function namedByConnection(headers: HeaderList): Set<string> | undefined {
  const first = headers.get('connection')
  if (first === undefined || (isUsual(first) && headers.count('connection') === 1)) return undefined
  let names: Set<string> | undefined
  for (const value of headers.all('connection')) {
    for (const item of value.split(',')) {
      const name = item.trim().toLowerCase()
      if (name === '' || name === 'close' || name === 'keep-alive' || isProtected(name)) continue
      names ??= new Set()
      names.add(name)
    }
  }
  return names
}

/** Says something about the connection and names no line. */
function isUsual(value: string): boolean {
  return value === 'keep-alive' || value === 'close'
}

function isProtected(name: string): boolean {
  const dashed = dashedName(name)
  return PROTECTED.has(dashed) || PROTECTED_PREFIXES.some((prefix) => dashed.startsWith(prefix))
}
