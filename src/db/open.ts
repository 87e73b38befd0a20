import { entitySchemas } from '../entities/index.ts'
import type { EntitySchema, Subschema } from '../schema/schema.ts'
import { createDao } from './dao.ts'
import type { Dao, Database, EntityName, EntityTree, ObjectStore } from './database.ts'
import { openOffStrategy } from './strategies/off/strategy.ts'
import { openSqliteStrategy } from './strategies/sqlite/strategy.ts'
import type { ObjectTable, Strategy } from './strategy.ts'

interface CommonOptions {
  /** Installed plugins by name: they judge the configuration of the Plugin entity. */
  readonly plugins: ReadonlyMap<string, { readonly subschema: Subschema }>
  /** The clock, in epoch seconds. */
  readonly nowS?: () => number
}

export interface SqliteDatabaseOptions extends CommonOptions {
  readonly kind: 'sqlite'
  /** Made, with its folder, where missing. */
  readonly file: string
  /** Keys of the secrets in the database; made at the first start, with mode 0600. */
  readonly keyringFile: string
}

export interface OffDatabaseOptions extends CommonOptions {
  readonly kind: 'off'
  /** Where the last configuration is kept for the next start. */
  readonly persistFile?: string
  /** Keys of the secrets in that file; by default the same name with `.keyring` at the end. */
  readonly keyringFile?: string
}

export type DatabaseOptions = SqliteDatabaseOptions | OffDatabaseOptions

/**
 * Opens a database; makes and migrates it where needed.
 * @throws {GatewayError} `GW_KEYRING`, `GW_DATABASE_VERSION`, `GW_PERSISTED_CONFIGURATION`: with a message for the operator; nothing has been changed then
 */
export async function createDatabase(options: DatabaseOptions): Promise<Database> {
  const schemas = new Map(entitySchemas(options.plugins).map((schema) => [schema.name, schema]))
  const nowS = options.nowS ?? epochSeconds
  const strategy =
    options.kind === 'sqlite'
      ? await openSqliteStrategy({ ...options, schemas, nowS })
      : await openOffStrategy({ ...options, schemas, nowS })
  return new OpenDatabase(strategy, schemas, nowS)
}

function epochSeconds(): number {
  return Math.floor(Date.now() / 1000)
}

class OpenDatabase implements Database {
  readonly kind: Database['kind']
  readonly entities: Readonly<Record<EntityName, Dao>>
  readonly objects: ObjectStore
  readonly #strategy: Strategy
  readonly #listeners = new Set<() => void>()

  constructor(strategy: Strategy, schemas: ReadonlyMap<string, EntitySchema>, nowS: () => number) {
    this.kind = strategy.kind
    this.#strategy = strategy
    const announce = () => this.#announce()
    const dao = (name: EntityName): Dao => {
      const schema = schemas.get(name)
      if (schema === undefined) throw new TypeError(`no schema for '${name}'`)
      return createDao(schema, { schemas, strategy, nowS, announce })
    }
    this.entities = forEachEntity(dao)
    this.objects = announcingObjects(strategy.objects, announce)
  }

  get configurationHash(): string {
    return this.#strategy.configurationHash
  }

  async export(): Promise<EntityTree> {
    return await this.#strategy.read(async (reader) => {
      const all = (name: EntityName) => reader.page(name, {})
      return {
        certificates: await all('certificates'),
        snis: await all('snis'),
        ca_certificates: await all('ca_certificates'),
        services: await all('services'),
        routes: await all('routes'),
        consumers: await all('consumers'),
        plugins: await all('plugins'),
      }
    })
  }

  async replace(tree: EntityTree, hash: string): Promise<void> {
    await this.#strategy.replace(tree, hash)
    this.#announce()
  }

  async reachable(): Promise<boolean> {
    return await this.#strategy.reachable()
  }

  onChange(listener: () => void): () => void {
    // Wrapped, so that the same function may listen twice and stop once.
    const entry = () => listener()
    this.#listeners.add(entry)
    return () => void this.#listeners.delete(entry)
  }

  async close(): Promise<void> {
    this.#listeners.clear()
    await this.#strategy.close()
  }

  /** The change is durable already: a listener that fails must not make its writer believe otherwise. */
  #announce(): void {
    for (const listener of this.#listeners) {
      try {
        listener()
      } catch (error) {
        process.emitWarning(error instanceof Error ? error : String(error))
      }
    }
  }
}

function forEachEntity<T>(make: (name: EntityName) => T): Readonly<Record<EntityName, T>> {
  return {
    certificates: make('certificates'),
    snis: make('snis'),
    ca_certificates: make('ca_certificates'),
    services: make('services'),
    routes: make('routes'),
    consumers: make('consumers'),
    plugins: make('plugins'),
  }
}

function announcingObjects(table: ObjectTable, announce: () => void): ObjectStore {
  return {
    list: (plugin, kind) => table.list({ plugin, kind }),
    get: async (plugin, kind, key) => (await table.list({ plugin, kind, key }))[0] ?? null,
    put: async (plugin, kind, key, value) => {
      const object = await table.put(plugin, kind, key, value)
      announce()
      return object
    },
    delete: async (plugin, kind, key) => {
      const count = await table.delete(key === undefined ? { plugin, kind } : { plugin, kind, key })
      if (count > 0) announce()
      return count
    },
    all: () => table.list({}),
  }
}
