/** The embedded database: one file, one writer at a time, every commit durable. */
import { randomUUID } from 'node:crypto'
import type { Transaction } from 'kysely'
import { Kysely, sql } from 'kysely'
import type { EntitySchema } from '../../../schema/schema.ts'
import type { JsonObject } from '../../../schema/validate.ts'
import { errorCode, errorText } from '../../../util/errors.ts'
import type { Entity, StoredObject } from '../../database.ts'
import { EMPTY_HASH } from '../../database.ts'
import { prepareFile } from '../../durable-file.ts'
import { DaoError } from '../../errors.ts'
import type { KeyCheck, Keyring } from '../../keyring.ts'
import { loadKeyring } from '../../keyring.ts'
import { MIGRATIONS, migrate } from '../../migrations/index.ts'
import type { SealedObject } from '../../sealing.ts'
import { openEntity, openObject, sealEntity, sealObject } from '../../sealing.ts'
import type { EntityReader, EntityWriter, ObjectFilter, ObjectTable, PageQuery, Strategy } from '../../strategy.ts'
import { openSqlite, sqliteDialect } from './connector.ts'
import type { EntityRow } from './statements.ts'
import { insertRow, rowOf, selectPage, selectWhere, updateRow } from './statements.ts'

export interface SqliteOptions {
  readonly file: string
  readonly keyringFile: string
  readonly schemas: ReadonlyMap<string, EntitySchema>
  /** Epoch seconds. */
  readonly nowS: () => number
}

/**
 * Opens the file, makes and migrates it where needed.
 * @throws {DatabaseVersionError} a newer version made it
 * @throws {KeyringError} its secrets cannot be read with this key file
 */
export async function openSqliteStrategy(options: SqliteOptions): Promise<Strategy> {
  await prepareFile(options.file)
  const db = new Kysely<unknown>({ dialect: sqliteDialect(openSqlite(options.file)) })
  try {
    await db.transaction().execute((transaction) => migrate(transaction, MIGRATIONS, options.file, options.nowS()))
    return new SqliteStrategy(db, await openKeyring(db, options.keyringFile), options)
  } catch (error) {
    await db.destroy()
    throw error
  }
}

async function openKeyring(db: Kysely<unknown>, file: string): Promise<Keyring> {
  const { rows: checks } = await sql<KeyCheck>`select key_id, sealed from keyring_checks`.execute(db)
  const keyring = await loadKeyring(file, checks)
  const check = keyring.check()
  await sql`insert into keyring_checks (key_id, sealed) values (${check.key_id}, ${check.sealed}) on conflict (key_id) do nothing`.execute(
    db,
  )
  return keyring
}

class SqliteStrategy implements Strategy {
  readonly kind = 'sqlite'
  readonly configurationHash = EMPTY_HASH
  readonly objects: ObjectTable
  readonly #db: Kysely<unknown>
  readonly #codec: Codec

  constructor(db: Kysely<unknown>, keyring: Keyring, options: SqliteOptions) {
    this.#db = db
    this.#codec = { schemas: options.schemas, keyring }
    this.objects = new SqliteObjects(db, keyring, options.nowS)
  }

  async read<T>(work: (reader: EntityReader) => Promise<T>): Promise<T> {
    return await guarded(() =>
      this.#db
        .transaction()
        .setAccessMode('read only')
        .execute((transaction) => work(new TransactionAccess(transaction, this.#codec))),
    )
  }

  async write<T>(work: (writer: EntityWriter) => Promise<T>): Promise<T> {
    return await guarded(() => this.#db.transaction().execute((transaction) => work(new TransactionAccess(transaction, this.#codec))))
  }

  async replace(): Promise<void> {
    throw new DaoError(12, 'cannot replace all entities when using a database')
  }

  async reachable(): Promise<boolean> {
    try {
      await sql`select 1`.execute(this.#db)
      return true
    } catch {
      return false
    }
  }

  async close(): Promise<void> {
    await this.#db.destroy()
  }
}

interface Codec {
  readonly schemas: ReadonlyMap<string, EntitySchema>
  readonly keyring: Keyring
}

/** Reads and writes within one transaction. */
class TransactionAccess implements EntityWriter {
  readonly #transaction: Transaction<unknown>
  readonly #codec: Codec

  constructor(transaction: Transaction<unknown>, codec: Codec) {
    this.#transaction = transaction
    this.#codec = codec
  }

  async select(table: string, id: string): Promise<Entity | null> {
    return await this.#selectOne(table, 'id', id)
  }

  async selectBy(table: string, field: string, value: string): Promise<Entity | null> {
    return await this.#selectOne(table, field, value)
  }

  async selectByCacheKey(table: string, cacheKey: string): Promise<Entity | null> {
    return await this.#selectOne(table, 'cache_key', cacheKey)
  }

  async page(table: string, query: PageQuery): Promise<readonly Entity[]> {
    const { rows } = await selectPage(table, query).execute(this.#transaction)
    return rows.map((row) => this.#open(table, row))
  }

  admit(): void {}

  async insert(table: string, entity: Entity): Promise<void> {
    await insertRow(table, this.#row(table, entity)).execute(this.#transaction)
  }

  async update(table: string, entity: Entity): Promise<void> {
    await updateRow(table, this.#row(table, entity)).execute(this.#transaction)
  }

  async delete(table: string, id: string): Promise<void> {
    await sql`delete from ${sql.table(table)} where id = ${id}`.execute(this.#transaction)
  }

  async #selectOne(table: string, column: string, value: string): Promise<Entity | null> {
    const { rows } = await selectWhere(table, column, value).execute(this.#transaction)
    return rows[0] === undefined ? null : this.#open(table, rows[0])
  }

  #open(table: string, row: EntityRow): Entity {
    return openEntity(this.#schema(table), JSON.parse(row.entity) as Entity, this.#codec.keyring)
  }

  #row(table: string, entity: Entity): Readonly<Record<string, string | null>> {
    const schema = this.#schema(table)
    return rowOf(schema, entity, sealEntity(schema, entity, this.#codec.keyring), this.#codec.schemas)
  }

  #schema(table: string): EntitySchema {
    const schema = this.#codec.schemas.get(table)
    if (schema === undefined) throw new TypeError(`no entity '${table}'`)
    return schema
  }
}

class SqliteObjects implements ObjectTable {
  readonly #db: Kysely<unknown>
  readonly #keyring: Keyring
  readonly #nowS: () => number

  constructor(db: Kysely<unknown>, keyring: Keyring, nowS: () => number) {
    this.#db = db
    this.#keyring = keyring
    this.#nowS = nowS
  }

  async list(filter: ObjectFilter): Promise<readonly StoredObject[]> {
    return await guarded(async () => {
      const { rows } = await sql<SealedObject>`
        select id, plugin, kind, key, created_at, value from objects where ${matches(filter)} order by plugin, kind, key`.execute(this.#db)
      return rows.map((row) => openObject(row, this.#keyring))
    })
  }

  async put(plugin: string, kind: string, key: string, value: JsonObject): Promise<StoredObject> {
    return await guarded(() =>
      this.#db.transaction().execute(async (transaction) => {
        const { rows } = await sql<{ id: string; created_at: number }>`
          select id, created_at from objects where ${matches({ plugin, kind, key })}`.execute(transaction)
        const { id, created_at } = rows[0] ?? { id: randomUUID(), created_at: this.#nowS() }
        const object: StoredObject = { id, plugin, kind, key, created_at, value }
        const sealed = sealObject(object, this.#keyring).value
        await sql`
          insert into objects (id, plugin, kind, key, created_at, value) values (${id}, ${plugin}, ${kind}, ${key}, ${created_at}, ${sealed})
          on conflict (plugin, kind, key) do update set value = excluded.value`.execute(transaction)
        return object
      }),
    )
  }

  async delete(filter: ObjectFilter): Promise<number> {
    return await guarded(async () =>
      Number((await sql`delete from objects where ${matches(filter)}`.execute(this.#db)).numAffectedRows ?? 0n),
    )
  }
}

function matches(filter: ObjectFilter) {
  return sql.join([sql`true`, ...Object.entries(filter).map(([column, value]) => sql`${sql.ref(column)} = ${value}`)], sql` and `)
}

/** What SQLite refuses has no name that a client could use: the checks above it have already named whatever a client can do wrong. */
async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (errorCode(error) === 'ERR_SQLITE_ERROR') throw new DaoError(8, errorText(error), { cause: error })
    throw error
  }
}
