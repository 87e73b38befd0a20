/**
 * What dao.ts asks of a kind of database. A strategy stores complete, checked entities and answers reads; every rule (uniqueness, references, defaults,
 * cascades) is kept above it, in dao.ts, inside {@link Strategy.write}. strategy.cases.ts is the behaviour suite of this interface.
 *
 * Invariants
 * - `write` is exclusive: no other write of this database runs between its first read and its commit, so a rule that held when it was read still holds.
 * - `write` is atomic: when `work` throws, nothing is changed. When it resolves, the change survives the loss of the process and of power.
 * - `read` sees one state: none of the changes of a write that has not committed.
 * - What is handed out is a copy, or is frozen.
 */
import type { EntitySchema } from '../schema/schema.ts'
import type { JsonObject } from '../schema/validate.ts'
import type { Database, Entity, EntityTree, PageOptions, StoredObject } from './database.ts'

export interface PageQuery {
  /** Only ids greater than this one. */
  readonly after?: string
  /** At most so many; unlimited when absent. */
  readonly limit?: number
  readonly tags?: NonNullable<PageOptions['tags']>
  readonly parent?: NonNullable<PageOptions['parent']>
}

/** Entities of one consistent state. `table` is a schema's name; ids are in lower case. */
export interface EntityReader {
  select(table: string, id: string): Promise<Entity | null>
  /** `field` is marked `unique` in the schema. */
  selectBy(table: string, field: string, value: string): Promise<Entity | null>
  /** The entity whose {@link cacheKeyOf} equals `cacheKey`. */
  selectByCacheKey(table: string, cacheKey: string): Promise<Entity | null>
  /** By ascending id. */
  page(table: string, query: PageQuery): Promise<readonly Entity[]>
}

/** What a write is going to do, for databases that refuse. `by` is the field that addresses the entity, when it is not the id. */
export interface WriteOperation {
  readonly verb: 'create' | 'create or update' | 'update' | 'remove'
  readonly table: string
  readonly by?: string
}

export interface EntityWriter extends EntityReader {
  /**
   * Called once per write, after the input has been checked and before anything is changed.
   * @throws {DaoError} code 12 when this database takes no single writes
   */
  admit(operation: WriteOperation): void
  insert(table: string, entity: Entity): Promise<void>
  update(table: string, entity: Entity): Promise<void>
  delete(table: string, id: string): Promise<void>
}

/** Which objects; absent members match all. */
export interface ObjectFilter {
  readonly plugin?: string
  readonly kind?: string
  readonly key?: string
}

/** Objects that plugins keep, by plugin, kind and key; atomic and durable like `write`. */
export interface ObjectTable {
  /** By plugin, kind and key, ascending. */
  list(filter: ObjectFilter): Promise<readonly StoredObject[]>
  put(plugin: string, kind: string, key: string, value: JsonObject): Promise<StoredObject>
  delete(filter: ObjectFilter): Promise<number>
}

export interface Strategy {
  readonly kind: Database['kind']
  read<T>(work: (reader: EntityReader) => Promise<T>): Promise<T>
  write<T>(work: (writer: EntityWriter) => Promise<T>): Promise<T>
  /** @throws {DaoError} code 12 unless the configuration is declarative */
  replace(tree: EntityTree, hash: string): Promise<void>
  readonly configurationHash: string
  readonly objects: ObjectTable
  reachable(): Promise<boolean>
  close(): Promise<void>
}

/** The values of the schema's cache key as one text, nulls included; null for schemas without one. */
export function cacheKeyOf(schema: EntitySchema, entity: JsonObject): string | null {
  return schema.cacheKey === null ? null : JSON.stringify(schema.cacheKey.map((name) => idOrValue(entity[name])))
}

/** Fields that must be unique on their own. */
export function uniqueFields(schema: EntitySchema): readonly string[] {
  return Object.entries(schema.fields).flatMap(([name, field]) => (field.options.unique === true ? [name] : []))
}

/** Id of the parent that `entity` names in `field`, or null. */
export function parentId(entity: JsonObject, field: string): string | null {
  const value = idOrValue(entity[field])
  return typeof value === 'string' ? value : null
}

function idOrValue(value: unknown): unknown {
  return typeof value === 'object' && value !== null && 'id' in value ? value.id : (value ?? null)
}
