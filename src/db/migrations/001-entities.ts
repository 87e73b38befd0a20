import { entityTable } from './entity-table.ts'
import type { Migration } from './migration.ts'

/** The four entities that requests need, the objects of plugins, and proofs of the keys that secrets are sealed with. */
export const entities: Migration = {
  version: 1,
  name: 'entities',
  async up(db) {
    await entityTable(db, 'services')
      .addColumn('name', 'text', (column) => column.unique())
      .execute()
    await entityTable(db, 'routes')
      .addColumn('name', 'text', (column) => column.unique())
      .addColumn('service_id', 'text', (column) => column.references('services.id').onDelete('restrict'))
      .execute()
    await entityTable(db, 'consumers')
      .addColumn('username', 'text', (column) => column.unique())
      .addColumn('custom_id', 'text', (column) => column.unique())
      .execute()
    await entityTable(db, 'plugins')
      .addColumn('instance_name', 'text', (column) => column.unique())
      .addColumn('route_id', 'text', (column) => column.references('routes.id').onDelete('cascade'))
      .addColumn('service_id', 'text', (column) => column.references('services.id').onDelete('cascade'))
      .addColumn('consumer_id', 'text', (column) => column.references('consumers.id').onDelete('cascade'))
      .addColumn('cache_key', 'text', (column) => column.notNull().unique())
      .execute()
    for (const [table, column] of [
      ['routes', 'service_id'],
      ['plugins', 'route_id'],
      ['plugins', 'service_id'],
      ['plugins', 'consumer_id'],
    ] as const) {
      await db.schema.createIndex(`${table}_${column}`).on(table).column(column).execute()
    }
    await db.schema
      .createTable('objects')
      .addColumn('id', 'text', (column) => column.primaryKey().notNull())
      .addColumn('plugin', 'text', (column) => column.notNull())
      .addColumn('kind', 'text', (column) => column.notNull())
      .addColumn('key', 'text', (column) => column.notNull())
      .addColumn('created_at', 'integer', (column) => column.notNull())
      .addColumn('value', 'text', (column) => column.notNull())
      .addUniqueConstraint('objects_place', ['plugin', 'kind', 'key'])
      .execute()
    await db.schema
      .createTable('keyring_checks')
      .addColumn('key_id', 'text', (column) => column.primaryKey().notNull())
      .addColumn('sealed', 'text', (column) => column.notNull())
      .execute()
  },
}
