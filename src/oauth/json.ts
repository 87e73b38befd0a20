/**
 * The one way in which this folder reads JSON of a peer (RFC 8259), so that a cache and a decision never see different things: UTF-8 only, the last
 * of several members with one name wins, objects inherit nothing, so that `__proto__` and `constructor` are ordinary members.
 */

import { Members } from '../util/members.ts'

/** Any JSON value. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject

/** A JSON object that inherits nothing: a member that is not there is `undefined`, whatever its name. */
export interface JsonObject {
  readonly [member: string]: JsonValue | undefined
}

/** Deeper documents are refused: nothing in OAuth nests that far, and what walks them later may be recursive. */
const MAX_DEPTH = 64

const utf8 = new TextDecoder('utf-8', { fatal: true })

/**
 * Reads a JSON object.
 *
 * @param source bytes or text, already bounded in length
 * @returns null when it is not UTF-8, not JSON, not an object, or nested deeper than 64 levels
 */
export function parseJsonObject(source: Uint8Array | string): JsonObject | null {
  let value: unknown
  try {
    value = JSON.parse(typeof source === 'string' ? source : utf8.decode(source))
    const copy = withoutPrototypes(value, 0)
    return isJsonObject(copy) ? copy : null
  } catch {
    return null
  }
}

/** True for an object, false for arrays, null and simple values. */
export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The value when it is a string that is not empty, else undefined. */
export function textOf(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** The strings of an array; of anything else undefined. */
export function textsOf(value: JsonValue | undefined): readonly string[] | undefined {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : undefined
}

function withoutPrototypes(value: unknown, depth: number): JsonValue {
  if (depth > MAX_DEPTH) throw new RangeError('JSON is nested too deeply')
  if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value
  if (Array.isArray(value)) return value.map((item) => withoutPrototypes(item, depth + 1))
  const source = value as Record<string, unknown>
  const copy = new Members<JsonValue>()
  for (const member of Object.keys(source)) copy[member] = withoutPrototypes(source[member], depth + 1)
  return copy
}
