/**
 * Numbered steps that bring a database to the shape that this version expects. A step never changes once it is released; a later one goes on from there.
 * Numbers are the same for every kind of database.
 */
import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import { GatewayError } from '../../util/errors.ts'

export interface Migration {
  readonly version: number
  readonly name: string
  readonly up: (db: Kysely<unknown>) => Promise<void>
}

/** The database is of a newer version of this program, which may mean things by it that this one does not know. Nothing has been changed. */
export class DatabaseVersionError extends GatewayError {
  readonly code = 'GW_DATABASE_VERSION'
  readonly source = 'internal'
  readonly status = 500
}

/**
 * Applies the steps that are missing, all or none: the caller gives a transaction that excludes other writers.
 *
 * @param name of the database, for the message
 * @returns the versions applied now
 * @throws {DatabaseVersionError}
 */
export async function migrate(
  db: Kysely<unknown>,
  migrations: readonly Migration[],
  name: string,
  nowS: number,
): Promise<readonly number[]> {
  await sql`create table if not exists schema_migrations (version integer primary key, name text not null, applied_at integer not null)`.execute(
    db,
  )
  const { rows } = await sql<{ version: number }>`select version from schema_migrations order by version`.execute(db)
  const applied = new Set(rows.map((row) => row.version))
  const newest = Math.max(0, ...migrations.map((migration) => migration.version))
  const unknown = rows.at(-1)
  if (unknown !== undefined && unknown.version > newest) {
    throw new DatabaseVersionError(
      `the database ${name} was made by a newer version of Sallyport (it is at step ${unknown.version}, this version knows ${newest}): start that version, or restore a backup`,
    )
  }
  const pending = migrations.filter((migration) => !applied.has(migration.version))
  for (const { version, name: title, up } of pending) {
    await up(db)
    await sql`insert into schema_migrations (version, name, applied_at) values (${version}, ${title}, ${nowS})`.execute(db)
  }
  return pending.map((migration) => migration.version)
}
