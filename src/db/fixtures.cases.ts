/** What the tests of this folder share: a plugin with secrets and generated values, databases in a folder of their own, ways to read errors. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { field } from '../schema/field.ts'
import type { Subschema } from '../schema/schema.ts'
import type { Database } from './database.ts'
import { DaoError } from './errors.ts'
import { createDatabase } from './open.ts'

const sample: Subschema = {
  fields: {
    consumer: field.foreign('consumers', { eq: null, onDelete: 'cascade' }),
    config: field.record({
      required: true,
      fields: {
        secret: field.string({ encrypted: true }),
        secrets: field.array({ encrypted: true, elements: field.string() }),
        salt: field.string({ auto: true }),
        ttl: field.integer({ default: 30 }),
        redis: field.record({
          required: true,
          fields: { password: field.string({ encrypted: true }), port: field.integer({ default: 6379 }) },
        }),
      },
    }),
  },
}

/** Fits any scope. */
const open: Subschema = { fields: { config: field.record({ required: true, fields: { note: field.string() } }) } }

export const PLUGINS = new Map([
  ['sample', { subschema: sample }],
  ['open', { subschema: open }],
])

/** An id that nothing has. */
export const NOBODY = '00000000-0000-4000-8000-000000000000'

/** A folder that is gone after the test. */
export async function temporaryFolder(context: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-db-'))
  context.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** A clock that tests move by hand, in epoch seconds. */
export class Clock {
  nowS = 1_700_000_000
}

export async function openSqlite(context: TestContext, folder?: string, clock = new Clock()): Promise<Database> {
  const place = folder ?? (await temporaryFolder(context))
  const files = { file: join(place, 'data', 'gateway.sqlite'), keyringFile: join(place, 'keyring.json') }
  const database = await createDatabase({ kind: 'sqlite', ...files, plugins: PLUGINS, nowS: () => clock.nowS })
  context.after(() => database.close())
  return database
}

export async function openOff(context: TestContext, persistFile?: string): Promise<Database> {
  const database = await createDatabase({ kind: 'off', plugins: PLUGINS, ...(persistFile === undefined ? {} : { persistFile }) })
  context.after(() => database.close())
  return database
}

/** Members of the refusal that `work` meets. */
export async function refusal(work: Promise<unknown>): Promise<{ code: number; name: string; message: string; fields: unknown }> {
  try {
    await work
  } catch (error) {
    if (!(error instanceof DaoError)) throw error
    const { code, name, message, fields } = error
    return { code, name, message, fields }
  }
  assert.fail('was not refused')
}
