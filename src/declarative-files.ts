/** Declarative files without a running gateway: what `config parse`, `db_import` and `db_export` need. */
import { mkdirSync } from 'node:fs'
import type { Settings } from './config/settings.ts'
import { loadEnabledPlugins, openOffDatabase, openSqliteDatabase } from './configured-database.ts'
import { type Dao, type Database, ENTITY_NAMES, type Entity, type EntityTree } from './db/database.ts'
import { exportDeclarative } from './db/declarative/export.ts'
import { loadDeclarativeFile, schemasOf } from './db/declarative/load.ts'

/** A database that closes with its scope. */
export type ScopedDatabase = Database & AsyncDisposable

/** The configured database. @throws with a message for the operator */
export async function openDatabase(settings: Settings): Promise<ScopedDatabase> {
  mkdirSync(settings.prefix, { recursive: true })
  return scoped(await openSqliteDatabase(settings, await loadEnabledPlugins(settings)))
}

/** An empty database in memory: the schemas are there, nothing is read or written. */
export async function openUnused(settings: Settings): Promise<ScopedDatabase> {
  return scoped(await openOffDatabase(await loadEnabledPlugins(settings)))
}

/** Reads a file. @throws with Kong's text, one line per fault */
export function readConfiguration(file: string, database: Database): EntityTree {
  return loadDeclarativeFile(file, database).tree
}

/** Creates or replaces every entity by its id, parents first; deletes nothing. */
export async function upsertAll(tree: EntityTree, database: Database): Promise<void> {
  for (const name of ENTITY_NAMES) {
    for (const entity of tree[name]) await upsert(database.entities[name], entity)
  }
}

/** Children that a schema lists by name are entities of their own in a tree: those that are there already stay. */
async function upsert(dao: Dao, entity: Entity): Promise<void> {
  const { childList } = dao.schema
  const stored = childList === undefined ? null : await dao.select(entity.id)
  await dao.upsert(
    entity.id,
    stored === null || childList === undefined ? entity : { ...entity, [childList.field]: stored[childList.field] },
  )
}

/** The database as a declarative file. */
export async function writeConfiguration(database: Database): Promise<string> {
  return exportDeclarative(await database.export(), schemasOf(database))
}

function scoped(database: Database): ScopedDatabase {
  return Object.assign(database, { [Symbol.asyncDispose]: () => database.close() })
}
