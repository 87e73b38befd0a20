import assert from 'node:assert/strict'
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { entitySchemas } from '../../../entities/index.ts'
import type { EntityTree } from '../../database.ts'
import { openOff, openSqlite, PLUGINS, refusal, temporaryFolder } from '../../fixtures.cases.ts'
import { strategyCases } from '../../strategy.cases.ts'
import { openOffStrategy } from './strategy.ts'

const schemas = new Map(entitySchemas(PLUGINS).map((schema) => [schema.name, schema]))
const HASH = 'd41d8cd98f00b204e9800998ecf8427e'

strategyCases('off', schemas, async () => {
  const strategy = await openOffStrategy({ schemas, nowS: () => 1_700_000_000 })
  return { strategy, fill: (tree) => strategy.replace(tree, HASH) }
})

/** Entities as a database makes them. */
async function sampleTree(context: test.TestContext): Promise<EntityTree> {
  const source = await openSqlite(context)
  await source.entities.services.insert({ name: 'svc', host: 'h' })
  await source.entities.plugins.insert({ name: 'sample', service: { name: 'svc' }, config: { secret: 'hush-hush' } })
  return await source.export()
}

test('the last configuration is served again after a restart, with its hash and objects', async (context) => {
  const file = join(await temporaryFolder(context), 'prefix', 'declarative.json')
  const tree = await sampleTree(context)
  const first = await openOff(context, file)
  await first.replace(tree, HASH)
  const object = await first.objects.put('p', 'jwks', 'k', { d: 'private' })
  await first.close()

  const second = await openOff(context, file)
  assert.deepEqual(await second.export(), tree)
  assert.equal(second.configurationHash, HASH)
  assert.deepEqual(await second.objects.all(), [object])
})

test('the kept configuration shows no secret and is for the owner only', async (context) => {
  const folder = await temporaryFolder(context)
  const file = join(folder, 'declarative.json')
  const database = await openOff(context, file)
  await database.replace(await sampleTree(context), HASH)
  await database.objects.put('p', 'jwks', 'k', { d: 'private-key' })
  const text = await readFile(file, 'utf8')
  assert.ok(text.includes('svc'))
  assert.ok(!text.includes('hush-hush') && !text.includes('private-key'))
  for (const name of ['declarative.json', 'declarative.json.keyring']) assert.equal((await stat(join(folder, name))).mode & 0o777, 0o600)
  assert.deepEqual((await readdir(folder)).sort(), ['declarative.json', 'declarative.json.keyring'])
})

test('a configuration that cannot be kept is not served either', async (context) => {
  const folder = join(await temporaryFolder(context), 'prefix')
  const database = await openOff(context, join(folder, 'declarative.json'))
  await rm(folder, { recursive: true })
  await writeFile(folder, 'a file where the folder was')
  const { code } = await refusal(database.replace(await sampleTree(context), HASH))
  assert.equal(code, 8)
  assert.deepEqual(await database.entities.services.all(), [])
  assert.equal(database.configurationHash, '0'.repeat(32))
})

test('a damaged or foreign file of the last configuration stops the start with its name', async (context) => {
  const file = join(await temporaryFolder(context), 'declarative.json')
  for (const [text, words] of [
    ['{"format":1', 'is damaged'],
    ['[]', 'is damaged'],
    ['{"format":99}', 'another version'],
    ['{"format":1}', 'is damaged'],
  ] as const) {
    await writeFile(file, text)
    await assert.rejects(openOff(context, file), (error: Error) => error.message.includes(file) && error.message.includes(words))
    assert.equal(await readFile(file, 'utf8'), text)
  }
})

test('without its keys the last configuration is refused, by the name of the key file, and left alone', async (context) => {
  const file = join(await temporaryFolder(context), 'declarative.json')
  const database = await openOff(context, file)
  await database.replace(await sampleTree(context), HASH)
  const before = await readFile(file, 'utf8')
  await rm(`${file}.keyring`)
  await assert.rejects(openOff(context, file), { code: 'GW_KEYRING', message: new RegExp(`the key file ${file}.keyring is missing`) })
  assert.equal(await readFile(file, 'utf8'), before)
})

test('a replacement swaps everything at once, and what readers got stays as it was', async (context) => {
  const database = await openOff(context)
  const tree = await sampleTree(context)
  await database.replace(tree, HASH)
  const [service] = await database.entities.services.all()
  assert.throws(() => Object.assign(service ?? {}, { name: 'changed' }), TypeError)
  await database.replace(await (await openOff(context)).export(), '0'.repeat(32))
  assert.deepEqual(await database.entities.services.all(), [])
  assert.equal(service?.['name'], 'svc')
})

test('a replacement is announced once it is durable', async (context) => {
  const database = await openOff(context)
  const seen: string[] = []
  database.onChange(() => seen.push(database.configurationHash))
  await database.replace(await sampleTree(context), HASH)
  assert.deepEqual(seen, [HASH])
})
