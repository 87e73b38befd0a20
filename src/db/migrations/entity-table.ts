import type { Kysely } from 'kysely'

/** A table with what every entity has: its id, its tags for the list filter, and itself as JSON. */
export function entityTable(db: Kysely<unknown>, name: string) {
  return db.schema
    .createTable(name)
    .addColumn('id', 'text', (column) => column.primaryKey().notNull())
    .addColumn('tags', 'text')
    .addColumn('entity', 'text', (column) => column.notNull())
}
