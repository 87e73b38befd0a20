/** The behaviour that every kind of database owes to dao.ts. Run against each by its own test file. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import test from 'node:test'
import type { EntitySchema } from '../schema/schema.ts'
import type { Entity, EntityTree } from './database.ts'
import { shapeEntity } from './shape.ts'
import type { PageQuery, Strategy } from './strategy.ts'
import { cacheKeyOf } from './strategy.ts'

export interface StrategyUnderTest {
  readonly strategy: Strategy
  /** Makes these the entities of the empty database. */
  fill(tree: EntityTree): Promise<void>
}

const IDS = [
  '11111111-1111-4111-8111-111111111111',
  '22222222-2222-4222-8222-222222222222',
  '33333333-3333-4333-8333-333333333333',
] as const
const [A, B, C] = IDS

/**
 * @param schemas the entities of the database that `open` opens, by name
 * @param open    an empty database; closed by the caller after the test
 */
export function strategyCases(
  name: string,
  schemas: ReadonlyMap<string, EntitySchema>,
  open: (context: TestContext) => Promise<StrategyUnderTest>,
): void {
  const entity = (table: string, members: Readonly<Record<string, unknown>> & { readonly id: string }): Entity => {
    const schema = schemas.get(table)
    if (schema === undefined) throw new TypeError(table)
    return shapeEntity(schema, members)
  }
  const tree: EntityTree = {
    certificates: [],
    snis: [],
    ca_certificates: [],
    services: [entity('services', { id: B, name: 'b', host: 'h' }), entity('services', { id: A, name: 'a', host: 'h', tags: ['x', 'y'] })],
    routes: [
      entity('routes', { id: C, name: null, paths: ['/c'], service: { id: B }, tags: ['x'] }),
      entity('routes', { id: A, name: 'Route', paths: ['/a'], service: { id: B }, headers: { 'X-A': ['1'] } }),
      entity('routes', { id: B, name: 'route', paths: ['/b'], service: { id: A }, tags: ['y'] }),
    ],
    consumers: [entity('consumers', { id: A, username: 'bob', custom_id: 'a\u0000"\'; drop table consumers' })],
    plugins: [
      entity('plugins', { id: A, name: 'sample', config: { secret: 's', secrets: ['t'] }, service: { id: A } }),
      entity('plugins', { id: B, name: 'open', config: {} }),
    ],
  }
  const filled = async (context: TestContext): Promise<Strategy> => {
    const { strategy, fill } = await open(context)
    await fill(tree)
    return strategy
  }
  const ids = async (strategy: Strategy, table: string, query: PageQuery) =>
    (await strategy.read((reader) => reader.page(table, query))).map((found) => found.id)

  test(`${name}: an empty database has nothing`, async (context) => {
    const { strategy } = await open(context)
    for (const table of schemas.keys()) {
      assert.deepEqual(await ids(strategy, table, {}), [])
      assert.equal(await strategy.read((reader) => reader.select(table, A)), null)
    }
    assert.equal(strategy.configurationHash, '0'.repeat(32))
    assert.equal(await strategy.reachable(), true)
  })

  test(`${name}: what was written is read back as it was, by id`, async (context) => {
    const strategy = await filled(context)
    for (const [table, entities] of Object.entries(tree)) {
      for (const written of entities) {
        const read = await strategy.read((reader) => reader.select(table, written.id))
        assert.deepEqual(read, written)
        assert.deepEqual(Object.keys(read ?? {}), Object.keys(written))
      }
    }
  })

  test(`${name}: a unique field finds its entity, case-sensitively, whatever its text`, async (context) => {
    const strategy = await filled(context)
    const by = (table: string, field: string, value: string) => strategy.read((reader) => reader.selectBy(table, field, value))
    assert.equal((await by('routes', 'name', 'Route'))?.id, A)
    assert.equal((await by('routes', 'name', 'route'))?.id, B)
    assert.equal(await by('routes', 'name', 'ROUTE'), null)
    assert.equal((await by('consumers', 'custom_id', 'a\u0000"\'; drop table consumers'))?.id, A)
    assert.equal(await by('consumers', 'custom_id', 'a'), null)
  })

  test(`${name}: a cache key counts nulls as values`, async (context) => {
    const strategy = await filled(context)
    const schema = schemas.get('plugins')
    assert.ok(schema !== undefined)
    for (const plugin of tree.plugins) {
      const key: string = cacheKeyOf(schema, plugin) ?? ''
      const found: Entity | null = await strategy.read((reader) => reader.selectByCacheKey('plugins', key))
      assert.equal(found?.id, plugin.id)
    }
    const other = cacheKeyOf(schema, { name: 'sample' }) ?? ''
    assert.equal(await strategy.read((reader) => reader.selectByCacheKey('plugins', other)), null)
  })

  test(`${name}: a page goes by ascending id, after an id, up to a limit`, async (context) => {
    const strategy = await filled(context)
    assert.deepEqual(await ids(strategy, 'routes', {}), [A, B, C])
    assert.deepEqual(await ids(strategy, 'routes', { limit: 2 }), [A, B])
    assert.deepEqual(await ids(strategy, 'routes', { after: A }), [B, C])
    assert.deepEqual(await ids(strategy, 'routes', { after: A, limit: 1 }), [B])
    assert.deepEqual(await ids(strategy, 'routes', { after: C }), [])
  })

  test(`${name}: a page holds the children of a parent`, async (context) => {
    const strategy = await filled(context)
    assert.deepEqual(await ids(strategy, 'routes', { parent: { field: 'service', id: B } }), [A, C])
    assert.deepEqual(await ids(strategy, 'routes', { parent: { field: 'service', id: B }, after: A }), [C])
    assert.deepEqual(await ids(strategy, 'plugins', { parent: { field: 'service', id: A } }), [A])
    assert.deepEqual(await ids(strategy, 'plugins', { parent: { field: 'route', id: A } }), [])
  })

  test(`${name}: a page holds what bears all of the tags, or any`, async (context) => {
    const strategy = await filled(context)
    const tags = (match: 'all' | 'any', ...names: string[]) => ids(strategy, 'services', { tags: { names, match } })
    assert.deepEqual(await tags('all', 'x', 'y'), [A])
    assert.deepEqual(await tags('all', 'x', 'z'), [])
    assert.deepEqual(await tags('any', 'x', 'z'), [A])
    assert.deepEqual(await tags('any', 'z'), [])
    assert.deepEqual(await ids(strategy, 'routes', { tags: { names: ['x', 'y'], match: 'any' }, limit: 1 }), [B])
  })

  test(`${name}: objects are kept by plugin, kind and key`, async (context) => {
    const { strategy } = await open(context)
    const { objects } = strategy
    const first = await objects.put('p', 'jwks', 'b', { keys: [1] })
    await objects.put('p', 'jwks', 'a', { keys: [2] })
    await objects.put('p', 'metadata', 'a', {})
    await objects.put('q', 'jwks', 'a', {})
    const again = await objects.put('p', 'jwks', 'b', { keys: [3] })
    assert.deepEqual(again, { ...first, value: { keys: [3] } })
    assert.deepEqual(
      (await objects.list({ plugin: 'p', kind: 'jwks' })).map(({ key, value }) => [key, value]),
      [
        ['a', { keys: [2] }],
        ['b', { keys: [3] }],
      ],
    )
    assert.equal((await objects.list({})).length, 4)
    assert.equal(await objects.delete({ plugin: 'p', kind: 'jwks', key: 'a' }), 1)
    assert.equal(await objects.delete({ plugin: 'p', kind: 'jwks', key: 'a' }), 0)
    assert.equal(await objects.delete({ plugin: 'p', kind: 'jwks' }), 1)
    assert.deepEqual(
      (await objects.list({})).map(({ plugin, kind }) => [plugin, kind]),
      [
        ['p', 'metadata'],
        ['q', 'jwks'],
      ],
    )
  })
}
