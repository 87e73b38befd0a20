/**
 * No database: the whole configuration in memory, replaced at once. Readers hold on to the state they began with, so a replacement never shows half of itself.
 */
import { randomUUID } from 'node:crypto'
import type { EntitySchema } from '../../../schema/schema.ts'
import type { JsonObject } from '../../../schema/validate.ts'
import { isObject } from '../../../schema/validate.ts'
import type { Entity, EntityTree, StoredObject } from '../../database.ts'
import { EMPTY_HASH } from '../../database.ts'
import { DaoError } from '../../errors.ts'
import { Mutex } from '../../mutex.ts'
import type { EntityReader, EntityWriter, ObjectFilter, ObjectTable, PageQuery, Strategy, WriteOperation } from '../../strategy.ts'
import { cacheKeyOf, parentId, uniqueFields } from '../../strategy.ts'
import type { Configuration } from './persistence.ts'
import { ConfigurationFile } from './persistence.ts'

export interface OffOptions {
  /** Where the last configuration is kept; without it a restart begins empty. */
  readonly persistFile?: string
  /** Keys for the secrets in that file; by default beside it, with `.keyring` at the end. */
  readonly keyringFile?: string
  readonly schemas: ReadonlyMap<string, EntitySchema>
  /** Epoch seconds. */
  readonly nowS: () => number
}

/**
 * Begins with the last configuration where one was kept.
 * @throws {PersistedConfigurationError}
 * @throws {KeyringError}
 */
export async function openOffStrategy(options: OffOptions): Promise<Strategy> {
  const { persistFile, schemas } = options
  const file =
    persistFile === undefined ? null : await ConfigurationFile.open(persistFile, options.keyringFile ?? `${persistFile}.keyring`, schemas)
  const last = file?.last() ?? { hash: EMPTY_HASH, entities: new Map(), objects: [] }
  return new OffStrategy(options, file, last)
}

class OffStrategy implements Strategy {
  readonly kind = 'off'
  readonly objects: ObjectTable
  readonly #schemas: ReadonlyMap<string, EntitySchema>
  readonly #file: ConfigurationFile | null
  readonly #mutex = new Mutex()
  #configuration: Configuration
  #state: MemoryReader

  constructor(options: OffOptions, file: ConfigurationFile | null, configuration: Configuration) {
    this.#schemas = options.schemas
    this.#file = file
    freezeDeeply([...configuration.entities.values(), configuration.objects])
    this.#configuration = configuration
    this.#state = new MemoryReader(this.#schemas, configuration)
    this.objects = {
      list: async (filter) => this.#configuration.objects.filter((object) => matches(object, filter)),
      put: (plugin, kind, key, value) => this.#putObject({ plugin, kind, key }, value, options.nowS),
      delete: (filter) => this.#deleteObjects(filter),
    }
  }

  get configurationHash(): string {
    return this.#configuration.hash
  }

  async read<T>(work: (reader: EntityReader) => Promise<T>): Promise<T> {
    return await work(this.#state)
  }

  async write<T>(work: (writer: EntityWriter) => Promise<T>): Promise<T> {
    return await work(new RefusingWriter(this.#state))
  }

  async replace(tree: EntityTree, hash: string): Promise<void> {
    const given = new Map<string, readonly Entity[]>(Object.entries(tree))
    const entities = new Map([...this.#schemas.keys()].map((name) => [name, byId(given.get(name) ?? [])]))
    await this.#change(async () => ({ ...this.#configuration, hash, entities: frozenCopy(entities) }))
  }

  async reachable(): Promise<boolean> {
    return true
  }

  async close(): Promise<void> {
    await this.#mutex.run(async () => undefined)
  }

  async #putObject(place: Required<ObjectFilter>, value: JsonObject, nowS: () => number): Promise<StoredObject> {
    let object: StoredObject | undefined
    await this.#change(async () => {
      const { objects } = this.#configuration
      const former = objects.find((other) => matches(other, place))
      const written = frozenCopy({ id: former?.id ?? randomUUID(), ...place, created_at: former?.created_at ?? nowS(), value })
      object = written
      return { ...this.#configuration, objects: [...objects.filter((other) => other !== former), written].sort(byPlace) }
    })
    if (object === undefined) throw new TypeError('an object was not written')
    return object
  }

  async #deleteObjects(filter: ObjectFilter): Promise<number> {
    let count = 0
    await this.#change(async () => {
      const kept = this.#configuration.objects.filter((object) => !matches(object, filter))
      count = this.#configuration.objects.length - kept.length
      return count === 0 ? null : { ...this.#configuration, objects: kept }
    })
    return count
  }

  /** On the disk first, then in memory: what is served survives a restart, and a failure to write changes nothing. */
  async #change(next: () => Promise<Configuration | null>): Promise<void> {
    await this.#mutex.run(async () => {
      const configuration = await next()
      if (configuration === null) return
      await this.#file?.keep(configuration).catch((error: unknown) => {
        throw new DaoError(8, 'the configuration cannot be kept on disk', { cause: error })
      })
      if (configuration.entities !== this.#configuration.entities) this.#state = new MemoryReader(this.#schemas, configuration)
      this.#configuration = configuration
    })
  }
}

/** One state of the configuration, with the look-ups that the interface promises. */
class MemoryReader implements EntityReader {
  readonly #tables: ReadonlyMap<string, MemoryTable>

  constructor(schemas: ReadonlyMap<string, EntitySchema>, configuration: Configuration) {
    this.#tables = new Map([...schemas].map(([name, schema]) => [name, new MemoryTable(schema, configuration.entities.get(name) ?? [])]))
  }

  async select(table: string, id: string): Promise<Entity | null> {
    return this.#table(table).ids.get(id) ?? null
  }

  async selectBy(table: string, field: string, value: string): Promise<Entity | null> {
    return this.#table(table).unique.get(field)?.get(value) ?? null
  }

  async selectByCacheKey(table: string, cacheKey: string): Promise<Entity | null> {
    return this.#table(table).cacheKeys.get(cacheKey) ?? null
  }

  async page(table: string, query: PageQuery): Promise<readonly Entity[]> {
    const found: Entity[] = []
    for (const entity of this.#table(table).sorted) {
      if (found.length === query.limit) break
      if (query.after !== undefined && entity.id <= query.after) continue
      if (query.parent !== undefined && parentId(entity, query.parent.field) !== query.parent.id) continue
      if (query.tags === undefined || bearsTags(entity, query.tags)) found.push(entity)
    }
    return found
  }

  #table(name: string): MemoryTable {
    const table = this.#tables.get(name)
    if (table === undefined) throw new TypeError(`no entity '${name}'`)
    return table
  }
}

class MemoryTable {
  readonly sorted: readonly Entity[]
  readonly ids: ReadonlyMap<string, Entity>
  readonly unique: ReadonlyMap<string, ReadonlyMap<unknown, Entity>>
  readonly cacheKeys: ReadonlyMap<string | null, Entity>

  constructor(schema: EntitySchema, entities: readonly Entity[]) {
    this.sorted = entities
    this.ids = new Map(entities.map((entity) => [entity.id, entity]))
    this.unique = new Map(uniqueFields(schema).map((name) => [name, new Map(entities.map((entity) => [entity[name], entity]))]))
    this.cacheKeys = new Map(entities.map((entity) => [cacheKeyOf(schema, entity), entity]))
  }
}

/** Reads like the state it stands on, and refuses whatever would change it. */
class RefusingWriter implements EntityWriter {
  readonly #state: MemoryReader

  constructor(state: MemoryReader) {
    this.#state = state
  }

  select(table: string, id: string): Promise<Entity | null> {
    return this.#state.select(table, id)
  }

  selectBy(table: string, field: string, value: string): Promise<Entity | null> {
    return this.#state.selectBy(table, field, value)
  }

  selectByCacheKey(table: string, cacheKey: string): Promise<Entity | null> {
    return this.#state.selectByCacheKey(table, cacheKey)
  }

  page(table: string, query: PageQuery): Promise<readonly Entity[]> {
    return this.#state.page(table, query)
  }

  admit({ verb, table, by }: WriteOperation): never {
    throw refusal(`cannot ${verb} '${table}' entities${by === undefined ? '' : ` by '${by}'`}`)
  }

  async insert(table: string): Promise<never> {
    return this.admit({ verb: 'create', table })
  }

  async update(table: string): Promise<never> {
    return this.admit({ verb: 'update', table })
  }

  async delete(table: string): Promise<never> {
    return this.admit({ verb: 'remove', table })
  }
}

function refusal(what: string): DaoError {
  return new DaoError(12, `${what} when not using a database`)
}

function bearsTags(entity: Entity, { names, match }: NonNullable<PageQuery['tags']>): boolean {
  const own: unknown = entity['tags']
  const tags: readonly unknown[] = Array.isArray(own) ? own : []
  return match === 'all' ? names.every((name) => tags.includes(name)) : names.some((name) => tags.includes(name))
}

function matches(object: StoredObject, filter: ObjectFilter): boolean {
  return (['plugin', 'kind', 'key'] as const).every((name) => filter[name] === undefined || filter[name] === object[name])
}

function byPlace(a: StoredObject, b: StoredObject): number {
  return compare(a.plugin, b.plugin) || compare(a.kind, b.kind) || compare(a.key, b.key)
}

function byId(entities: readonly Entity[]): readonly Entity[] {
  return [...entities].sort((a, b) => compare(a.id, b.id))
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** What is handed to every reader must not be changed by one of them. */
function frozenCopy<T>(value: T): T {
  const copy = structuredClone(value)
  freezeDeeply(copy)
  return copy
}

function freezeDeeply(value: unknown): void {
  if (value instanceof Map) for (const item of value.values()) freezeDeeply(item)
  else if (Array.isArray(value) || isObject(value)) {
    Object.freeze(value)
    for (const item of Object.values(value)) freezeDeeply(item)
  }
}
