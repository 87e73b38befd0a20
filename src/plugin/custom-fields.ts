/**
 * `custom_fields_by_lua` of loggers. There is no Lua here: what can be said without running any (`return` of a text, a number, a truth value or nil) is taken,
 * everything else is refused when it is configured.
 */
import { field } from '../schema/field.ts'
import type { LoggedFields } from './log-entry.ts'

const RETURN = /^\s*return\s+(?:(nil|true|false)|(-?\d+(?:\.\d+)?)|"([^"\\\n]*)"|'([^'\\\n]*)')\s*;?\s*$/

/** Makes the field. */
export function customFieldsField() {
  return field.map({
    keys: field.string({ lenMin: 1 }),
    values: field.string({ lenMin: 1, validator: (code) => (RETURN.test(code) ? undefined : NO_LUA) }),
    description:
      'Members that are added to entries, replaced or removed, by dotted path. There is no Lua: a value is `return` with a text in quotes, a number, `true`, ' +
      '`false`, or `nil` to remove the member.',
  })
}

const NO_LUA = "this gateway runs no Lua: only 'return' of a text in quotes without escapes, a number, true, false or nil is possible"

/** What stored fields come to. */
export function customFields(config: Readonly<Record<string, string>> | null): LoggedFields {
  return Object.entries(config ?? {}).map(([path, code]) => [path, returned(code)])
}

function returned(code: string): unknown {
  const [, word, digits, double, single] = RETURN.exec(code) ?? []
  if (digits !== undefined) return Number(digits)
  if (word !== undefined) return word === 'nil' ? null : word === 'true'
  return double ?? single ?? null
}
