/**
 * Form fields carry text only. These are Kong's rules for turning the text of a decoded form into the types that a schema expects; JSON bodies never pass
 * through here.
 */
import type { Field, Fields, Shorthands } from './field.ts'
import type { EntitySchema } from './schema.ts'
import { fieldsFor } from './schema.ts'
import type { JsonObject } from './validate.ts'
import { isObject } from './validate.ts'

/** Types the values of a decoded form by `schema`. Unknown fields stay as they are, for the validation to refuse. */
export function inferEntity(schema: EntitySchema, form: JsonObject): Record<string, unknown> {
  const selector = schema.subschema === undefined ? form : { ...form, [schema.subschema.key]: inferSelector(schema, form) }
  return inferFields(fieldsFor(schema, selector), schema.shorthands, form)
}

function inferSelector(schema: EntitySchema, form: JsonObject): unknown {
  const key = schema.subschema?.key ?? ''
  const own = schema.fields[key]
  return own === undefined || form[key] === undefined ? form[key] : inferField(own, form[key])
}

function inferFields(fields: Fields, shorthands: Shorthands | undefined, form: JsonObject): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(form).map(([name, value]) => {
      const known = Object.hasOwn(fields, name) ? fields[name] : shorthandField(shorthands, name)
      return [name, known === undefined ? value : inferField(known, value)]
    }),
  )
}

function shorthandField(shorthands: Shorthands | undefined, name: string): Field | undefined {
  return shorthands !== undefined && Object.hasOwn(shorthands, name) ? shorthands[name]?.field : undefined
}

/** One value: empty text is null; numbers and booleans are read where their type is expected; a scalar becomes a list where a list is. */
export function inferField(field: Field, value: unknown): unknown {
  if (value === '') return null
  switch (field.kind) {
    case 'integer':
    case 'number':
      return typeof value === 'string' ? inferNumber(value) : value
    case 'boolean':
      return value === 'true' ? true : value === 'false' ? false : value
    case 'array':
    case 'set':
      return inferList(field, value)
    case 'map':
      return isObject(value) ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, inferIn(field.values, item)])) : value
    case 'record':
      return isObject(value) ? inferFields(field.fields ?? {}, field.shorthands, value) : value
    case 'foreign':
      return isObject(value) ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, item === '' ? null : item])) : value
    case 'string':
      return value
  }
}

function inferList(field: Field, value: unknown): unknown {
  if (Array.isArray(value)) return Array.from(value, (item) => inferIn(field.elements, item))
  if (isObject(value)) return value
  return [inferIn(field.elements, value)]
}

function inferIn(field: Field | undefined, value: unknown): unknown {
  return field === undefined ? value : inferField(field, value)
}

function inferNumber(text: string): unknown {
  const trimmed = text.trim()
  if (!/^[+-]?(0x[0-9a-f]+|(\d+\.?\d*|\.\d+)(e[+-]?\d+)?)$/i.test(trimmed)) return text
  const number = trimmed.startsWith('-0x') || trimmed.startsWith('-0X') ? -Number(trimmed.slice(1)) : Number(trimmed.replace(/^\+/, ''))
  return Number.isFinite(number) ? number : text
}
