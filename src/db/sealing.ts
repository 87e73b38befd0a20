import { mapEncrypted } from '../schema/project.ts'
import type { EntitySchema } from '../schema/schema.ts'
import { fieldsFor } from '../schema/schema.ts'
import type { JsonObject } from '../schema/validate.ts'
import type { Entity, StoredObject } from './database.ts'
import type { Keyring } from './keyring.ts'
import { shapeEntity } from './shape.ts'

/** A plugin's object as it lies on disk: the value is a sealed text. */
export type SealedObject = Omit<StoredObject, 'value'> & { readonly value: string }

/** The entity as it may lie on disk: every field marked `encrypted` is sealed. */
export function sealEntity(schema: EntitySchema, entity: Entity, keyring: Keyring): JsonObject {
  const context = `${schema.name} ${entity.id}`
  return mapEncrypted(fieldsFor(schema, entity), entity, (text) => keyring.seal(text, context))
}

/** The entity that was sealed, in the shape of today's schema. @throws {KeyringError} */
export function openEntity(schema: EntitySchema, stored: JsonObject & { readonly id: string }, keyring: Keyring): Entity {
  const context = `${schema.name} ${stored.id}`
  const opened = mapEncrypted(fieldsFor(schema, stored), stored, (text) => keyring.open(text, context))
  return shapeEntity(schema, { ...opened, id: stored.id })
}

/** The object as it may lie on disk. */
export function sealObject(object: StoredObject, keyring: Keyring): SealedObject {
  return { ...object, value: keyring.seal(JSON.stringify(object.value), `objects ${object.id}`) }
}

/** The object that was sealed. @throws {KeyringError} */
export function openObject(object: SealedObject, keyring: Keyring): StoredObject {
  return { ...object, value: JSON.parse(keyring.open(object.value, `objects ${object.id}`)) as JsonObject }
}
