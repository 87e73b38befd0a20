import { normalFormOf } from '../../http/path.ts'
import type { JsonObject } from '../../schema/validate.ts'
import { isObject } from '../../schema/validate.ts'

/** Versions of the file format that are read; the last is written. */
export const FORMAT_VERSIONS = ['1.1', '2.1', '3.0'] as const

/** A path that Kong's older versions took as plain text; everything else was a regular expression. */
const PLAIN_PATH = /^[a-zA-Z0-9.\-_~/%]*$/
const ESCAPE = /%([0-9a-fA-F]{2})/g
const UNRESERVED = /[A-Za-z0-9\-._~]/

/**
 * A file of format 1.1 or 2.1 in the terms of 3.0: route paths that are regular expressions get their `~`, the others their normal form. Everything
 * else is the same in all versions.
 */
export function migrateToCurrent(file: JsonObject): JsonObject {
  if (file['_format_version'] !== '1.1' && file['_format_version'] !== '2.1') return file
  const migrated: Record<string, unknown> = { ...file, _format_version: '3.0' }
  if (Array.isArray(file['routes'])) migrated['routes'] = file['routes'].map(migrateRoute)
  if (Array.isArray(file['services'])) {
    migrated['services'] = file['services'].map((service: unknown) =>
      isObject(service) && Array.isArray(service['routes']) ? { ...service, routes: service['routes'].map(migrateRoute) } : service,
    )
  }
  return migrated
}

function migrateRoute(route: unknown): unknown {
  if (!isObject(route) || !Array.isArray(route['paths'])) return route
  return { ...route, paths: route['paths'].map((path: unknown) => (typeof path === 'string' ? migratePath(path) : path)) }
}

/** One path of a route: `/a/\d+` → `~/a/\d+`, `/a/../b%41` → `/bA`. */
export function migratePath(path: string): string {
  return PLAIN_PATH.test(path) ? normalFormOf(path) : `~${decodeUnreserved(path)}`
}

function decodeUnreserved(path: string): string {
  return path.replace(ESCAPE, (triplet, digits: string) => {
    const character = String.fromCharCode(Number.parseInt(digits, 16))
    return UNRESERVED.test(character) ? escapeForRegex(character) : triplet.toUpperCase()
  })
}

/** Of the unreserved characters only the dot means something in a regular expression. */
function escapeForRegex(character: string): string {
  return character === '.' ? '\\.' : character
}
