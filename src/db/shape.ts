import type { Field, Fields } from '../schema/field.ts'
import type { EntitySchema } from '../schema/schema.ts'
import { fieldsFor } from '../schema/schema.ts'
import type { JsonObject } from '../schema/validate.ts'
import { isObject } from '../schema/validate.ts'
import type { Entity } from './database.ts'

/**
 * The entity with the members of its schema, in the schema's order. A row that an older version wrote gets the defaults of fields that came later and loses
 * those that are gone, as in Kong; a plugin's configuration is left alone while the plugin is not installed.
 */
export function shapeEntity(schema: EntitySchema, stored: JsonObject & { readonly id: string }): Entity {
  return { ...shapeRecord(fieldsFor(schema, stored), stored), id: stored.id }
}

function shapeRecord(fields: Fields, record: JsonObject): Record<string, unknown> {
  const shaped: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(fields)) {
    if (field.options.transient === true) continue
    shaped[name] = shapeValue(field, Object.hasOwn(record, name) ? record[name] : undefined)
  }
  return shaped
}

function shapeValue(field: Field, value: unknown): unknown {
  if (value === undefined) return missingValue(field)
  if (field.kind === 'record' && field.fields !== undefined && isObject(value)) return shapeRecord(field.fields, value)
  const { elements } = field
  if (elements?.kind === 'record' && Array.isArray(value)) return value.map((item: unknown) => shapeValue(elements, item))
  return value
}

function missingValue(field: Field): unknown {
  if (field.options.default !== undefined) return structuredClone<unknown>(field.options.default)
  return field.kind === 'record' && field.fields !== undefined && field.options.required === true ? shapeRecord(field.fields, {}) : null
}
