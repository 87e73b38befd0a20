import { stringify } from 'yaml'
import type { EntitySchema } from '../../schema/schema.ts'
import { foreignFields } from '../../schema/schema.ts'
import type { Entity, EntityTree } from '../database.ts'

/**
 * Every entity as a declarative file of format 3.0 that can be loaded again unchanged: parents before children, nothing nested, references as ids, unset
 * fields as null. Texts that some YAML reader would take for something else (`on`, `1e3`, `12:30`) are quoted.
 *
 * @param schemas parents before children
 */
export function exportDeclarative(tree: EntityTree, schemas: readonly EntitySchema[]): string {
  const lists = Object.fromEntries(
    schemas.flatMap((schema) => {
      const entities = entitiesOf(tree, schema.name)
      return entities.length === 0 ? [] : [[schema.name, entities.map((entity) => flatReferences(schema, entity))]]
    }),
  )
  const file = { _format_version: '3.0', _transform: false, ...lists }
  return stringify(file, {
    schema: 'yaml-1.1',
    compat: 'core',
    singleQuote: true,
    nullStr: 'null',
    lineWidth: 0,
    aliasDuplicateObjects: false,
  })
}

/**
 * Entities by type and id, as `POST /config` answers; types without entities are left out.
 * @param schemas parents before children
 */
export function entitiesById(tree: EntityTree, schemas: readonly EntitySchema[]): Record<string, Record<string, Entity>> {
  return Object.fromEntries(
    schemas.flatMap(({ name }) => {
      const entities = entitiesOf(tree, name)
      return entities.length === 0 ? [] : [[name, Object.fromEntries(entities.map((entity) => [entity.id, entity]))]]
    }),
  )
}

function entitiesOf(tree: EntityTree, name: string): readonly Entity[] {
  return new Map<string, readonly Entity[]>(Object.entries(tree)).get(name) ?? []
}

function flatReferences(schema: EntitySchema, entity: Entity): Record<string, unknown> {
  const flat: Record<string, unknown> = { ...entity }
  for (const { name } of foreignFields(schema)) {
    const value = entity[name]
    if (typeof value === 'object' && value !== null && 'id' in value) flat[name] = value.id
  }
  return flat
}
