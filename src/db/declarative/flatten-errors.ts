import type { Violation, Violations } from '../../schema/field.ts'
import { isVaultReference } from '../../schema/field.ts'
import { mapEncrypted } from '../../schema/project.ts'
import type { EntitySchema } from '../../schema/schema.ts'
import { fieldsFor, foreignFields } from '../../schema/schema.ts'
import { isObject, isUuid } from '../../schema/validate.ts'

/** One error of a faulty entity: of a field, with its dotted path (list positions from 1), or of the entity as a whole. */
export interface FlatError {
  readonly type: 'field' | 'entity'
  readonly field?: string
  readonly message: string
}

/** What `POST /config?flatten_errors=1` answers for each faulty entity: enough for a client to find the object that it was made from. */
export interface FlattenedEntity {
  readonly entity_type: string
  readonly entity_name?: string
  readonly entity_id?: string
  readonly entity_tags?: readonly string[]
  readonly entity: unknown
  readonly errors: readonly FlatError[]
}

/** A faulty entity as it was found in the input. */
export interface FaultyEntity {
  readonly schema: EntitySchema
  /** As received. */
  readonly input: unknown
  /** Names of the nested lists that stand for entities of their own. */
  readonly childNames: readonly string[]
  /** The entity that this one is nested in. */
  readonly parent?: { readonly field: string; readonly input: unknown }
  readonly violations: readonly Violation[]
}

/** Describes one faulty entity in Kong's flat form. */
export function flattenEntity(faulty: FaultyEntity): FlattenedEntity {
  const { schema, input } = faulty
  const record = isObject(input) ? input : {}
  const { name, id, tags } = record
  return {
    entity_type: schema.name.replace(/s$/, ''),
    ...(typeof name === 'string' && name !== '' ? { entity_name: name } : {}),
    ...(isUuid(id) ? { entity_id: id } : {}),
    ...(Array.isArray(tags) && tags.every((tag) => typeof tag === 'string') ? { entity_tags: tags } : {}),
    entity: isObject(input) ? withoutSecrets(schema, withoutChildren(faulty, input)) : input,
    errors: faulty.violations.flatMap((violation) => flattenViolation(violation, '')),
  }
}

/** Whoever sent it logs the answer. References are no secrets. */
function withoutSecrets(schema: EntitySchema, entity: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return mapEncrypted(fieldsFor(schema, entity), { ...entity }, (text) => (isVaultReference(text) ? text : '***'))
}

function withoutChildren({ schema, childNames, parent }: FaultyEntity, input: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const entity = Object.fromEntries(Object.entries(input).filter(([name, value]) => !(childNames.includes(name) && Array.isArray(value))))
  for (const { name } of foreignFields(schema)) {
    const embedded = entity[name]
    if (isObject(embedded) && isUuid(embedded['id'])) entity[name] = { id: embedded['id'] }
  }
  if (parent !== undefined && isObject(parent.input) && isUuid(parent.input['id'])) entity[parent.field] = { id: parent.input['id'] }
  return entity
}

function flattenViolation(violation: Violation, path: string): FlatError[] {
  if (typeof violation === 'string')
    return [path === '' ? { type: 'entity', message: violation } : { type: 'field', field: path, message: violation }]
  if (Array.isArray(violation)) {
    return (violation as readonly (Violation | null)[]).flatMap((item, index) =>
      item === null ? [] : flattenViolation(item, typeof item === 'string' && path === '' ? '' : join(path, String(index + 1))),
    )
  }
  return Object.entries(violation as Violations).flatMap(([name, inner]) =>
    name === '@entity' ? flattenTexts(inner) : flattenViolation(inner, join(path, name)),
  )
}

function flattenTexts(texts: Violation): FlatError[] {
  return (Array.isArray(texts) ? texts : [texts]).map((message) => ({ type: 'entity', message: String(message) }))
}

function join(path: string, step: string): string {
  return path === '' ? step : `${path}.${step}`
}
