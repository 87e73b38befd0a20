import type { Violations } from '../schema/field.ts'
import type { EntitySchema } from '../schema/schema.ts'
import { foreignFields } from '../schema/schema.ts'
import type { JsonObject } from '../schema/validate.ts'
import { checkField, isObject, isUuid } from '../schema/validate.ts'
import { luaNotation } from '../schema/violations.ts'
import { DaoError, schemaViolation } from './errors.ts'
import type { EntityReader } from './strategy.ts'
import { uniqueFields } from './strategy.ts'

/** A reference as a client wrote it: by id, by another unique field with its value, or in no way that names a parent. */
type Reference =
  | { readonly kind: 'id'; readonly id: string }
  | { readonly kind: 'field'; readonly name: string; readonly value: unknown }
  | { readonly kind: 'none' }

/**
 * Replaces references by a unique field (`{"name": "x"}`) by references by id. Those by id lose what stands beside it; those that name no parent stay as they
 * are, for the schema's check to refuse.
 *
 * @throws {DaoError} code 13 for parents that are not found, code 2 for values that cannot name one
 */
export async function resolveReferences(
  schema: EntitySchema,
  input: JsonObject,
  schemas: ReadonlyMap<string, EntitySchema>,
  reader: EntityReader,
): Promise<Record<string, unknown>> {
  const resolved: Record<string, unknown> = { ...input }
  const unresolved: Violations = {}
  for (const { name, reference } of foreignFields(schema)) {
    const parents = schemas.get(reference)
    const value = input[name]
    if (parents === undefined || !isObject(value)) continue
    const read = readReference(parents, value)
    if (read.kind === 'id') resolved[name] = { id: read.id }
    if (read.kind !== 'field') continue
    const parent = await selectReferenced(parents, name, read, reader)
    if (parent === null) unresolved[name] = { [read.name]: unresolvedText(read.name, read.value, reference) }
    else resolved[name] = { id: parent }
  }
  if (Object.keys(unresolved).length > 0) throw foreignKeysUnresolved(unresolved)
  return resolved
}

/** Id of the parent that `value` names, or null when it names none that exists. For rules that look at parents before the schema is checked. */
export async function findReferenced(parents: EntitySchema, value: unknown, reader: EntityReader): Promise<string | null> {
  if (!isObject(value)) return null
  const read = readReference(parents, value)
  if (read.kind === 'id') return isUuid(read.id) ? read.id : null
  if (read.kind === 'none' || typeof read.value !== 'string') return null
  return (await reader.selectBy(parents.name, read.name, read.value))?.id ?? null
}

function readReference(parents: EntitySchema, value: JsonObject): Reference {
  const id = value['id'] ?? null
  // A malformed id is left for the schema's check to refuse.
  if (id !== null) return typeof id === 'string' ? { kind: 'id', id: isUuid(id) ? id.toLowerCase() : id } : { kind: 'none' }
  const name = uniqueFields(parents).find((field) => (value[field] ?? null) !== null)
  return name === undefined ? { kind: 'none' } : { kind: 'field', name, value: value[name] }
}

async function selectReferenced(
  parents: EntitySchema,
  name: string,
  reference: { readonly name: string; readonly value: unknown },
  reader: EntityReader,
): Promise<string | null> {
  const own = parents.fields[reference.name]
  const violation = own === undefined ? undefined : checkField(own, reference.value)
  if (violation !== undefined) throw schemaViolation({ [name]: { [reference.name]: violation } })
  return (await reader.selectBy(parents.name, reference.name, String(reference.value)))?.id ?? null
}

function unresolvedText(field: string, value: unknown, parents: string): string {
  return `the foreign key cannot be resolved with '${luaNotation({ [field]: value })}' for an existing '${parents}' entity`
}

function foreignKeysUnresolved(fields: Violations): DaoError {
  const items = Object.keys(fields)
    .sort()
    .flatMap((name) => Object.entries(fields[name] as Violations).map(([key, text]) => `${name}.${key}: ${String(text)}`))
  const count = items.length === 1 ? 'foreign key unresolved' : `${items.length} foreign keys unresolved`
  return new DaoError(13, `${count} (${items.join('; ')})`, { fields })
}
