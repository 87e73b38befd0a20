import { entityTable } from './entity-table.ts'
import type { Migration } from './migration.ts'

/** Certificates, the names that they are shown for, authorities, and the certificate that a Service shows to its upstream. */
export const certificates: Migration = {
  version: 2,
  name: 'certificates',
  async up(db) {
    await entityTable(db, 'certificates').execute()
    await entityTable(db, 'snis')
      .addColumn('name', 'text', (column) => column.unique())
      .addColumn('certificate_id', 'text', (column) => column.references('certificates.id').onDelete('cascade'))
      .execute()
    await entityTable(db, 'ca_certificates')
      .addColumn('cert_digest', 'text', (column) => column.unique())
      .execute()
    await db.schema
      .alterTable('services')
      .addColumn('client_certificate_id', 'text', (column) => column.references('certificates.id').onDelete('restrict'))
      .execute()
    for (const [table, column] of [
      ['snis', 'certificate_id'],
      ['services', 'client_certificate_id'],
    ] as const) {
      await db.schema.createIndex(`${table}_${column}`).on(table).column(column).execute()
    }
  },
}
