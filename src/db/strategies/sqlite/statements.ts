/** Tables and queries written from schemas. A foreign field `service` lies in the column `service_id`; the entity itself is JSON. */
import type { RawBuilder } from 'kysely'
import { sql } from 'kysely'
import type { EntitySchema } from '../../../schema/schema.ts'
import { foreignFields } from '../../../schema/schema.ts'
import type { JsonObject } from '../../../schema/validate.ts'
import type { Entity } from '../../database.ts'
import type { PageQuery } from '../../strategy.ts'
import { cacheKeyOf, parentId, uniqueFields } from '../../strategy.ts'

/** What a query for entities gives. */
export interface EntityRow {
  readonly entity: string
}

/** The column of a foreign field. */
export function foreignColumn(field: string): string {
  return `${field}_id`
}

/** Columns and values of a row. `entity` decides the columns, `sealed` is what lies in JSON. References to entities without a schema yet have no column. */
export function rowOf(
  schema: EntitySchema,
  entity: Entity,
  sealed: JsonObject,
  schemas: ReadonlyMap<string, EntitySchema>,
): Readonly<Record<string, string | null>> {
  const row: Record<string, string | null> = {
    id: entity.id,
    tags: Array.isArray(entity['tags']) ? JSON.stringify(entity['tags']) : null,
    entity: JSON.stringify(sealed),
  }
  for (const name of uniqueFields(schema)) row[name] = typeof entity[name] === 'string' ? entity[name] : null
  for (const { name, reference } of foreignFields(schema)) if (schemas.has(reference)) row[foreignColumn(name)] = parentId(entity, name)
  const cacheKey = cacheKeyOf(schema, entity)
  if (cacheKey !== null) row['cache_key'] = cacheKey
  return row
}

export function selectWhere(table: string, column: string, value: string): RawBuilder<EntityRow> {
  return sql<EntityRow>`select entity from ${sql.table(table)} where ${sql.ref(column)} = ${value}`
}

export function selectPage(table: string, query: PageQuery): RawBuilder<EntityRow> {
  const conditions: RawBuilder<unknown>[] = [sql`true`]
  if (query.after !== undefined) conditions.push(sql`id > ${query.after}`)
  if (query.parent !== undefined) conditions.push(sql`${sql.ref(foreignColumn(query.parent.field))} = ${query.parent.id}`)
  if (query.tags !== undefined) conditions.push(tagCondition(table, query.tags))
  const where = sql.join(conditions, sql` and `)
  return sql<EntityRow>`select entity from ${sql.table(table)} where ${where} order by id limit ${query.limit ?? -1}`
}

function tagCondition(table: string, { names, match }: NonNullable<PageQuery['tags']>): RawBuilder<unknown> {
  const bears = names.map((name) => sql`exists (select 1 from json_each(${sql.ref(`${table}.tags`)}) where value = ${name})`)
  return sql`(${sql.join(bears, match === 'all' ? sql` and ` : sql` or `)})`
}

export function insertRow(table: string, row: Readonly<Record<string, string | null>>): RawBuilder<unknown> {
  const columns = sql.join(Object.keys(row).map((name) => sql.ref(name)))
  return sql`insert into ${sql.table(table)} (${columns}) values (${sql.join(Object.values(row).map((value) => sql`${value}`))})`
}

export function updateRow(table: string, row: Readonly<Record<string, string | null>>): RawBuilder<unknown> {
  const { id, ...columns } = row
  const changes = Object.entries(columns).map(([name, value]) => sql`${sql.ref(name)} = ${value}`)
  return sql`update ${sql.table(table)} set ${sql.join(changes)} where id = ${id}`
}
