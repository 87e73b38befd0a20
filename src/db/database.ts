/**
 * What the rest of the gateway knows of a database: one Dao per entity, objects that plugins keep, and word of every change. `strategies/` has one
 * implementation per kind of database; `off` keeps everything in memory and refuses single writes.
 */
import type { EntitySchema } from '../schema/schema.ts'
import type { JsonObject } from '../schema/validate.ts'

/** A stored entity, complete: every declared field is present, unset ones are null; foreign fields are `{ id }` or null. */
export type Entity = JsonObject & { readonly id: string }

export interface PageOptions {
  /** 1 to 1000; default 100. */
  readonly size?: number
  /** Opaque, from a former page. */
  readonly offset?: string
  /** `all`: entities that bear every tag; `any`: at least one. */
  readonly tags?: { readonly names: readonly string[]; readonly match: 'all' | 'any' }
  /** Only children of this parent. */
  readonly parent?: { readonly field: string; readonly id: string }
}

export interface Page {
  readonly data: readonly Entity[]
  /** Null on the last page. */
  readonly offset: string | null
}

/** Fields forced by the path of a nested endpoint: they win over the body's. */
export interface WriteOptions {
  readonly force?: JsonObject
}

/**
 * Reads and writes of one entity. Writes check the input against the schema, resolve references given by a unique field, keep unique and foreign constraints,
 * are durable when they return, and are announced through {@link Database.onChange}.
 *
 * A `key` is an id when it has the form of a UUID, otherwise a value of the schema's endpoint key.
 *
 * @throws {DaoError} of errors.ts, with Kong's code, name, message and fields
 */
export interface Dao {
  readonly schema: EntitySchema
  select(key: string): Promise<Entity | null>
  selectBy(field: string, value: string): Promise<Entity | null>
  page(options: PageOptions): Promise<Page>
  /** Every entity, by ascending id. */
  all(): Promise<readonly Entity[]>
  insert(input: JsonObject, options?: WriteOptions): Promise<Entity>
  /** Kong's PATCH merge. @throws {DaoError} code 6 when there is none */
  update(key: string, body: JsonObject, options?: WriteOptions): Promise<Entity>
  /** Replaces, or creates under this key. The key wins over the body's own. */
  upsert(key: string, body: JsonObject, options?: WriteOptions): Promise<Entity>
  /** False when there was none. Children go with it or refuse it, as the schemas say. @throws {DaoError} code 4 */
  delete(key: string): Promise<boolean>
}

/** An object that a plugin keeps (a generated key set, a discovery document). The value lies encrypted in the database. */
export interface StoredObject {
  readonly id: string
  readonly plugin: string
  readonly kind: string
  readonly key: string
  /** Epoch seconds. */
  readonly created_at: number
  readonly value: JsonObject
}

export interface ObjectStore {
  list(plugin: string, kind: string): Promise<readonly StoredObject[]>
  get(plugin: string, kind: string, key: string): Promise<StoredObject | null>
  /** Creates or replaces; keeps id and created_at of an existing one. */
  put(plugin: string, kind: string, key: string, value: JsonObject): Promise<StoredObject>
  /** Deletes one, or all of a kind; answers how many. */
  delete(plugin: string, kind: string, key?: string): Promise<number>
  /** Every object, for the snapshot. */
  all(): Promise<readonly StoredObject[]>
}

/** Kong's hash of an empty configuration. */
export const EMPTY_HASH = '0'.repeat(32)

/** Parents before children. */
export const ENTITY_NAMES = ['certificates', 'snis', 'ca_certificates', 'services', 'routes', 'consumers', 'plugins'] as const

export type EntityName = (typeof ENTITY_NAMES)[number]

/** All entities by declarative key. */
export type EntityTree = Readonly<Record<EntityName, readonly Entity[]>>

export interface Database {
  readonly kind: 'sqlite' | 'off'
  readonly entities: Readonly<Record<EntityName, Dao>>
  readonly objects: ObjectStore
  /** A consistent read of everything that a snapshot is built from. */
  export(): Promise<EntityTree>
  /**
   * Replaces all entities by `tree`, atomically (declarative configuration). The tree is complete and checked.
   * @throws {DaoError} code 12 for a database that is not `off`
   */
  replace(tree: EntityTree, hash: string): Promise<void>
  /** 32 hex digits naming what `replace` loaded; {@link EMPTY_HASH} when nothing was. Only for `off`. */
  readonly configurationHash: string
  /** True when the database answers. */
  reachable(): Promise<boolean>
  /** Called after every durable change, entities and objects alike. Returns the way to stop listening. */
  onChange(listener: () => void): () => void
  close(): Promise<void>
}
