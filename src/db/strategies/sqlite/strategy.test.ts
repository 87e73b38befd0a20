import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import test from 'node:test'
import { selfSigned } from '../../../../test/support/certificates.ts'
import { entitySchemas } from '../../../entities/index.ts'
import { foreignFields } from '../../../schema/schema.ts'
import { openSqlite, PLUGINS, refusal, temporaryFolder } from '../../fixtures.cases.ts'
import { strategyCases } from '../../strategy.cases.ts'
import { uniqueFields } from '../../strategy.ts'
import { openSqlite as connect } from './connector.ts'
import { foreignColumn } from './statements.ts'
import { openSqliteStrategy } from './strategy.ts'

const schemas = new Map(entitySchemas(PLUGINS).map((schema) => [schema.name, schema]))
const nowS = () => 1_700_000_000

async function openStrategy(context: test.TestContext) {
  const folder = await temporaryFolder(context)
  const strategy = await openSqliteStrategy({ file: join(folder, 'db.sqlite'), keyringFile: join(folder, 'keyring'), schemas, nowS })
  context.after(() => strategy.close())
  return strategy
}

strategyCases('sqlite', schemas, async (context) => {
  const strategy = await openStrategy(context)
  return {
    strategy,
    fill: (tree) =>
      strategy.write(async (writer) => {
        for (const [table, entities] of Object.entries(tree)) for (const entity of entities) await writer.insert(table, entity)
      }),
  }
})

const consumer = (id: string, username: string) => ({ id, created_at: 1, updated_at: 1, username, custom_id: null, tags: null })
const A = '11111111-1111-4111-8111-111111111111'
const B = '22222222-2222-4222-8222-222222222222'

test('a write that fails changes nothing', async (context) => {
  const strategy = await openStrategy(context)
  const write = strategy.write(async (writer) => {
    await writer.insert('consumers', consumer(A, 'a'))
    throw new RangeError('half-way')
  })
  await assert.rejects(write, RangeError)
  assert.deepEqual(await strategy.read((reader) => reader.page('consumers', {})), [])
  await strategy.write((writer) => writer.insert('consumers', consumer(A, 'a')))
})

test('writes run one after the other, and nobody reads what is not committed', async (context) => {
  const strategy = await openStrategy(context)
  const order: string[] = []
  const first = strategy.write(async (writer) => {
    await writer.insert('consumers', consumer(A, 'a'))
    order.push('first begins')
    await new Promise(setImmediate)
    order.push('first ends')
  })
  const second = strategy.write(async (writer) => {
    order.push('second begins')
    assert.notEqual(await writer.select('consumers', A), null)
  })
  const reading = strategy.read(async (reader) => order.push(`${(await reader.page('consumers', {})).length} read`))
  await Promise.all([first, second, reading])
  assert.deepEqual(order, ['first begins', 'first ends', 'second begins', '1 read'])
})

test('the database itself keeps uniqueness and references, should a check above it ever fail', async (context) => {
  const strategy = await openStrategy(context)
  const insert = (table: string, entity: { readonly id: string }) => strategy.write((writer) => writer.insert(table, { ...entity }))
  await insert('consumers', consumer(A, 'a'))
  assert.equal((await refusal(insert('consumers', consumer(B, 'a')))).code, 8)
  assert.equal((await refusal(insert('consumers', consumer(A, 'b')))).code, 8)
  assert.equal((await refusal(insert('routes', { id: A, ...{ name: null, service: { id: B }, tags: null } }))).code, 8)
})

test('a commit is on the disk: write-ahead log, full synchronisation, foreign keys', async (context) => {
  const database = connect(join(await temporaryFolder(context), 'db.sqlite'))
  context.after(() => database.close())
  const pragma = (name: string) => Object.values(database.prepare(`pragma ${name}`).get() ?? {})[0]
  assert.deepEqual([pragma('journal_mode'), pragma('synchronous'), pragma('foreign_keys'), pragma('busy_timeout')], ['wal', 2, 1, 5000])
})

test('the tables have a column for every unique and foreign field of the schemas', async (context) => {
  const folder = await temporaryFolder(context)
  await openSqlite(context, folder)
  const raw = new DatabaseSync(join(folder, 'data', 'gateway.sqlite'))
  context.after(() => raw.close())
  for (const schema of schemas.values()) {
    const columns = raw
      .prepare(`select name from pragma_table_info('${schema.name}') order by name`)
      .all()
      .map((row) => row['name'])
    const foreign = foreignFields(schema).flatMap(({ name, reference }) => (schemas.has(reference) ? [foreignColumn(name)] : []))
    const expected = ['id', 'tags', 'entity', ...uniqueFields(schema), ...foreign, ...(schema.cacheKey === null ? [] : ['cache_key'])]
    assert.deepEqual(columns, expected.sort())
    for (const { name, field, reference } of foreignFields(schema)) {
      if (!schemas.has(reference)) continue
      const key = raw
        .prepare(`select "table", on_delete from pragma_foreign_key_list('${schema.name}') where "from" = ?`)
        .get(foreignColumn(name))
      assert.deepEqual({ ...key }, { table: reference, on_delete: field.onDelete?.toUpperCase() })
    }
  }
})

test('a database made by a newer version is refused and left alone', async (context) => {
  const folder = await temporaryFolder(context)
  await (await openSqlite(context, folder)).close()
  const file = join(folder, 'data', 'gateway.sqlite')
  const raw = new DatabaseSync(file)
  raw.exec("insert into schema_migrations values (999, 'from the future', 1)")
  raw.close()
  await assert.rejects(openSqlite(context, folder), {
    code: 'GW_DATABASE_VERSION',
    message: `the database ${file} was made by a newer version of Sallyport (it is at step 999, this version knows 2): start that version, or restore a backup`,
  })
})

test('a database that is there already is opened as it is', async (context) => {
  const folder = await temporaryFolder(context)
  const first = await openSqlite(context, folder)
  const bob = await first.entities.consumers.insert({ username: 'bob' })
  const object = await first.objects.put('p', 'k', 'key', { a: 1 })
  await first.close()
  const second = await openSqlite(context, folder)
  assert.deepEqual(await second.entities.consumers.all(), [bob])
  assert.deepEqual(await second.objects.all(), [object])
})

test('a row of an older version gets the defaults of fields that came later and loses those that are gone', async (context) => {
  const folder = await temporaryFolder(context)
  const first = await openSqlite(context, folder)
  const { id } = await first.entities.plugins.insert({ name: 'sample', config: { secret: 's' } })
  await first.close()
  const raw = new DatabaseSync(join(folder, 'data', 'gateway.sqlite'))
  raw.exec("update plugins set entity = json_set(json_remove(entity, '$.config.ttl', '$.config.redis'), '$.config.gone', 1)")
  raw.close()
  const second = await openSqlite(context, folder)
  const config = (await second.entities.plugins.select(id))?.['config'] as Readonly<Record<string, unknown>>
  assert.deepEqual([config['ttl'], config['redis'], 'gone' in config], [30, { password: null, port: 6379 }, false])
  await second.entities.plugins.update(id, { enabled: false })
})

test('a private key lies encrypted, its certificate in clear', async (context) => {
  const folder = await temporaryFolder(context)
  const database = await openSqlite(context, folder)
  const { cert, key } = selfSigned({ name: 'a' })
  const other = selfSigned({ name: 'b', keyType: 'rsa' })
  const { id } = await database.entities.certificates.insert({ cert, key, cert_alt: other.cert, key_alt: other.key, snis: ['a.test'] })
  const stored = await database.entities.certificates.select(id)
  assert.deepEqual([stored?.['key'], stored?.['key_alt'], stored?.['snis']], [key, other.key, ['a.test']])
  await database.close()
  const bytes = await readFile(join(folder, 'data', 'gateway.sqlite'), 'latin1')
  assert.ok(bytes.includes('BEGIN CERTIFICATE'))
  assert.ok(!bytes.includes('PRIVATE KEY'))
})

test('secrets lie encrypted in every file of the database, which is for the owner only', async (context) => {
  const folder = await temporaryFolder(context)
  const database = await openSqlite(context, folder)
  const config = { secret: 'hush-hush-1', secrets: ['hush-hush-2'], redis: { password: 'hush-hush-3' } }
  const { id } = await database.entities.plugins.insert({ name: 'sample', config })
  await database.entities.plugins.update(id, { config: { secret: 'hush-hush-4' } })
  await database.objects.put('p', 'jwks', 'k', { d: 'hush-hush-5' })
  const stored = (await database.entities.plugins.select(id))?.['config'] as Readonly<Record<string, unknown>>
  assert.deepEqual(
    [stored['secret'], stored['secrets'], stored['redis']],
    ['hush-hush-4', ['hush-hush-2'], { password: 'hush-hush-3', port: 6379 }],
  )
  const check = async () => {
    const names = await readdir(join(folder, 'data'))
    const bytes = Buffer.concat(await Promise.all(names.map((name) => readFile(join(folder, 'data', name)))))
    assert.ok(bytes.includes('$enc:v1:') && bytes.includes('sample'))
    assert.ok(!bytes.includes('hush-hush'))
    for (const name of names) assert.equal((await stat(join(folder, 'data', name))).mode & 0o077, 0)
  }
  await check()
  await database.close()
  await check()
})

test('every acknowledged write survives kill -9', async (context) => {
  const folder = await temporaryFolder(context)
  const program = `
    import { createDatabase } from ${JSON.stringify(new URL('../../open.ts', import.meta.url).href)}
    const [file, keyringFile] = process.argv.slice(1)
    const database = await createDatabase({ kind: 'sqlite', file, keyringFile, plugins: new Map() })
    for (let index = 0; ; index++) {
      const { id } = await database.entities.consumers.insert({ username: 'user-' + index })
      process.stdout.write(id + '\\n')
    }`
  const paths = [join(folder, 'data', 'gateway.sqlite'), join(folder, 'keyring.json')]
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', program, ...paths], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  context.after(() => child.kill('SIGKILL'))
  const acknowledged: string[] = []
  const lines = createInterface({ input: child.stdout })
  lines.on('line', (id) => {
    acknowledged.push(id)
    if (acknowledged.length === 150) child.kill('SIGKILL')
  })
  const [[, signal]] = await Promise.all([once(child, 'exit'), once(lines, 'close')])
  assert.equal(signal, 'SIGKILL')
  assert.ok(acknowledged.length >= 150)
  const database = await openSqlite(context, folder)
  const ids = new Set((await database.entities.consumers.all()).map((found) => found.id))
  assert.deepEqual(
    acknowledged.filter((id) => !ids.has(id)),
    [],
  )
})
