import type { Violation, Violations } from './field.ts'

/** Input that does not fit its schema. Carries one violation per field, mirroring the input. The message is Kong's. */
export class SchemaViolation extends Error {
  readonly code = 'GW_SCHEMA_VIOLATION'
  readonly fields: Violations
  constructor(fields: Violations) {
    super(describeViolations(fields))
    this.name = 'SchemaViolation'
    this.fields = fields
  }
}

/**
 * Kong's one-line summary: `schema violation (X)` or `N schema violations (X; Y)`. Entity-level texts come first, then the fields sorted by name;
 * positions in lists count from 1; what lies deeper than one level below a field is printed in Lua's notation.
 */
export function describeViolations(fields: Violations): string {
  const items: string[] = []
  const entityTexts = fields['@entity']
  if (Array.isArray(entityTexts)) for (const text of entityTexts) items.push(String(text))
  for (const name of Object.keys(fields).sort()) {
    if (name === '@entity') continue
    const violation = fields[name] as Violation
    if (typeof violation === 'string') items.push(`${name}: ${violation}`)
    else
      for (const [key, inner] of entriesOf(violation))
        items.push(`${name}.${key}: ${typeof inner === 'string' ? inner : luaNotation(inner)}`)
  }
  return items.length === 1 ? `schema violation (${items[0]})` : `${items.length} schema violations (${items.join('; ')})`
}

function entriesOf(violation: Exclude<Violation, string>): [string, Violation][] {
  if (Array.isArray(violation)) {
    return (violation as readonly (Violation | null)[]).flatMap((inner, index) =>
      inner === null ? [] : [[String(index + 1), inner] as [string, Violation]],
    )
  }
  const record = violation as Violations
  return Object.keys(record)
    .sort()
    .map((key) => [key, record[key] as Violation])
}

/** Compact Lua table notation, as Kong prints keys and errors: `{consumer=null,name="x",[2]={…}}`, keys sorted, list positions from 1. */
export function luaNotation(value: unknown): string {
  if (value === null || value === undefined) return 'null'
  if (typeof value === 'string') return `"${value.replace(/[\\"]/g, '\\$&')}"`
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (Array.isArray(value)) return luaList(value)
  const record = value as Record<string, unknown>
  const parts = Object.keys(record)
    .sort()
    .map((key) => `${/^[A-Za-z_][A-Za-z0-9_]*$/.test(key) ? key : `["${key}"]`}=${luaNotation(record[key])}`)
  return `{${parts.join(',')}}`
}

/** A list without holes is printed without positions, one with holes (`null` for the good elements) with them. */
function luaList(list: readonly unknown[]): string {
  const holes = list.some((item) => item === null || item === undefined)
  if (!holes) return `{${list.map(luaNotation).join(',')}}`
  const parts = list.flatMap((item, index) => (item === null || item === undefined ? [] : [`[${index + 1}]=${luaNotation(item)}`]))
  return `{${parts.join(',')}}`
}
