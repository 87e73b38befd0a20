/**
 * Identity headers are the gateway's to write. A client's own copies are removed before any plugin runs, in any case and with `_` for `-` (CGI and WSGI
 * cannot tell those apart), whatever the outcome of authentication and also where no plugin authenticates.
 */
import type { HeaderList } from '../http/headers.ts'

const PREFIXES = ['x-consumer-', 'x-credential-', 'x-authenticated-', 'x-anonymous-']

/** Removes the well-known identity set and `configured` names (lower case, dashed). */
export function removeIdentityHeaders(headers: HeaderList, configured: ReadonlySet<string>): void {
  headers.removeWhere((name) => {
    // Nearly every name is decided by its first letters.
    if (name.charCodeAt(0) !== 120 && configured.size === 0) return false
    const dashed = name.includes('_') ? name.replaceAll('_', '-') : name
    return (dashed.startsWith('x-') && PREFIXES.some((prefix) => dashed.startsWith(prefix))) || configured.has(dashed)
  })
}
