/** The keys that the gateway makes for itself, among the objects that this plugin keeps. Their value is `{ keys: [private JWK, …] }`. */
import { isJsonObject, type JsonObject, parseJsonObject } from '../../oauth/json.ts'
import type { JsonObject as StoredObject } from '../../schema/validate.ts'

/** Kind of the objects. */
export const JWKS = 'jwks'
/** The set that new assertions are signed with. */
export const CURRENT = 'current'
/** The one before it: still published, so that assertions under way can be verified. */
export const PREVIOUS = 'previous'

/** The private JWKs of a set. */
export function keysOf(value: StoredObject): readonly JsonObject[] {
  const keys = parseJsonObject(JSON.stringify(value))?.['keys']
  return Array.isArray(keys) ? keys.filter(isJsonObject) : []
}
