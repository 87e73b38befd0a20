/**
 * Identity headers are the gateway's to write. A client's own copies are removed before any plugin runs, whatever the outcome of authentication and also where
 * no plugin authenticates.
 */
import { dashedName, IDENTITY } from '../http/field-marks.ts'
import type { HeaderList } from '../http/headers.ts'

/** Removes the well-known identity set and `configured` names (lower case, dashed), in any spelling. */
export function removeIdentityHeaders(headers: HeaderList, configured: ReadonlySet<string>): void {
  headers.removeMarked(IDENTITY)
  if (configured.size > 0) headers.removeWhere((name) => configured.has(dashedName(name)))
}
